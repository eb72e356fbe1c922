"""A network with folded batch norms says what it said before, and is folded nowhere else."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmark.architectures import ARCHITECTURES
from benchmark.records import ImageShape
from benchmark.training.folding import folded

SHAPE = ImageShape(3, 32, 32)


def norms(model: nn.Module) -> int:
    return sum(isinstance(part, nn.BatchNorm2d) for part in model.modules())


def lived_in(model: nn.Module) -> nn.Module:
    """The network with statistics, scales and shifts that are not those of the start, in evaluation mode."""
    torch.manual_seed(1)
    for part in model.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.running_mean = torch.randn(part.num_features) / 4
            part.running_var = torch.rand(part.num_features) + 0.5
            with torch.no_grad():
                part.weight.uniform_(0.5, 1.5)
                part.bias.normal_(0, 0.2)
    return model.eval()


class Net(nn.Module):
    """Convolution, norm and a forward pass to choose."""

    def __init__(self, how: Callable[[Net, Tensor], Tensor], conv: nn.Module | None = None) -> None:
        super().__init__()
        self.conv = conv or nn.Conv2d(3, 3, 3, padding=1)
        self.norm = nn.BatchNorm2d(3)
        self._how = how

    def forward(self, images: Tensor) -> Tensor:
        return self._how(self, images).flatten(1)


@pytest.mark.parametrize(
    ("family", "params", "left"),
    [
        # The first norm of each group stands behind a pool.
        ("cnn", {}, 3),
        ("cnn", {"depth": 3, "width": 16}, 3),
        ("cnn", {"variant": "plain", "width": 16}, 0),
        ("resnet", {"depth": 14, "width": 8}, 0),
        ("vgg", {"depth": 8, "width": 16}, 0),
        ("efficientnet", {"variant": "b0", "stem_stride": 1}, 0),
        ("timm_zoo", {"model": "resnet18", "min_side": 32}, 0),
        ("timm_zoo", {"model": "mobilenetv3_small_100", "min_side": 32}, 0),
    ],
)
def test_says_the_same_up_to_rounding(family: str, params: dict[str, Any], left: int) -> None:
    torch.manual_seed(0)
    model = lived_in(ARCHITECTURES[family].build(SHAPE, 10, **params).to(memory_format=torch.channels_last))
    before = {name: value.clone() for name, value in model.state_dict().items()}
    images = torch.randn(5, 3, 32, 32).to(memory_format=torch.channels_last)
    with torch.inference_mode():
        found, plain = folded(model), model(images)
        assert norms(found) == left
        assert norms(model) > left
        torch.testing.assert_close(found(images), plain, rtol=1e-3, atol=1e-4 * float(plain.abs().max()))
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(
        part.weight.is_contiguous(memory_format=torch.channels_last)
        for part in found.modules()
        if isinstance(part, nn.Conv2d)
    )


class ScaledConv(nn.Conv2d):
    """Another function of the same weights."""

    def forward(self, input: Tensor) -> Tensor:
        return functional.conv2d(input, 2 * self.weight, self.bias, padding=1)


def shape_decides(net: Net, x: Tensor) -> Tensor:
    found: Tensor = net.norm(net.conv(x)) if x.shape[2] > 1 else x
    return found


@pytest.mark.parametrize(
    "model",
    [
        pytest.param(Net(lambda net, x: net.norm(x) + net.conv(x)), id="the norm does not follow"),
        pytest.param(Net(lambda net, x: net.norm(functional.relu(net.conv(x)))), id="something between them"),
        pytest.param(Net(lambda net, x: net.norm(y := net.conv(x)) + y), id="the output has another use"),
        pytest.param(Net(lambda net, x: net.norm(net.conv(x)) + net.norm(x)), id="the norm has another use"),
        pytest.param(Net(lambda net, x: net.conv(x) * net.norm(net.conv(x))), id="the convolution has another use"),
        pytest.param(Net(lambda net, x: net.norm(net.conv(x)), ScaledConv(3, 3, 3)), id="another convolution"),
        pytest.param(Net(shape_decides), id="it cannot be traced"),
        pytest.param(
            nn.Sequential(nn.Conv2d(3, 3, 3), nn.BatchNorm2d(3, track_running_stats=False)), id="no statistics"
        ),
        pytest.param(nn.Sequential(nn.Flatten(), nn.Linear(3 * 64, 3), nn.BatchNorm1d(3)), id="nothing to fold"),
    ],
)
def test_is_itself_where_folding_would_change_it_or_cannot_be_told(model: nn.Module) -> None:
    assert folded(model.eval()) is model


def test_norms_in_training_are_left_alone() -> None:
    model = Net(lambda net, x: net.norm(net.conv(x))).train()
    assert folded(model) is model
