"""The layer that Grad-CAM looks at is found in any network, in any order of channels and places, or said to be none."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from optuna.distributions import CategoricalDistribution
from torch import Tensor, nn
from torch.nn import functional

from benchmark.architectures import ARCHITECTURES
from benchmark.explain import MapLayer, find_map_layer, grad_cam
from benchmark.records import ImageShape

CIFAR = ImageShape(3, 32, 32)


def images(shape: ImageShape = CIFAR, count: int = 2) -> Tensor:
    return torch.randn(count, shape.channels, shape.height, shape.width, generator=torch.Generator().manual_seed(0))


def build(family: str, shape: ImageShape = CIFAR, **params: Any) -> nn.Module:
    torch.manual_seed(0)
    return ARCHITECTURES[family].build(shape, 3, **params).eval()


def found(network: nn.Module, shape: ImageShape = CIFAR) -> MapLayer:
    layer = find_map_layer(network, images(shape))
    assert layer is not None
    return layer


def smallest(family: str) -> dict[str, Any]:
    return {
        name: space.choices[0] if isinstance(space, CategoricalDistribution) else space.low  # type: ignore[attr-defined]
        for name, space in ARCHITECTURES[family].space.items()
    }


@pytest.mark.parametrize("family", list(ARCHITECTURES))
def test_every_architecture_has_a_map(family: str) -> None:
    network = build(family, **smallest(family))
    layer = found(network)
    assert min(layer.height, layer.width) >= 3
    maps = grad_cam(network, layer, images(), torch.tensor([0, 2]))
    assert maps.shape == (2, layer.height, layer.width)
    assert torch.isfinite(maps).all()
    assert (maps >= 0).all()
    assert not maps.requires_grad


@pytest.mark.parametrize(
    ("model", "layer"),
    [
        # Only the class token leaves the last block: the patches that it saw are the block's before.
        ("test_vit", MapLayer("network.blocks.4", "BTC", 4, 4, prefix=1)),
        # Attention pools all tokens at the end, by their keys and values.
        ("test_vit3", MapLayer("network.attn_pool.kv", "BTC", 4, 4, prefix=1)),
        # Before the depthwise convolution that halves the map, in a block without a way around.
        ("test_efficientnet", MapLayer("network.blocks.4.0.bn1", "BChw", 4, 4)),
        # The norm before the strided convolution.
        ("test_convnext", MapLayer("network.stages.3.downsample.0", "BChw", 4, 4)),
        ("test_mambaout", MapLayer("network.stages.3.downsample.norm", "BhwC", 4, 4)),
    ],
)
def test_depthwise_and_attention_networks_of_timm(model: str, layer: MapLayer) -> None:
    network = build("timm_zoo", model=model, min_side=64)
    assert found(network) == layer
    maps = grad_cam(network, layer, images(), torch.tensor([0, 2]))
    assert maps.shape == (2, 4, 4)


class Head(nn.Module):
    """Global average over the places of a map in any order, and a linear layer."""

    def __init__(self, order: str, channels: int = 32) -> None:
        super().__init__()
        self.places = {"BChw": (2, 3), "BhwC": (1, 2), "BTC": 1}[order]
        self.linear = nn.Linear(channels, 3)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.linear(x.mean(self.places))
        return logits


class Reorder(nn.Module):
    """A map (B, C, h, w) in another order of channels and places."""

    def __init__(self, order: str) -> None:
        super().__init__()
        self.order = order

    def forward(self, x: Tensor) -> Tensor:
        if self.order == "BhwC":
            return x.permute(0, 2, 3, 1)
        return x.flatten(2).transpose(1, 2) if self.order == "BTC" else x


def in_order(order: str) -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 32, 3, stride=4, padding=1), nn.GELU(), Reorder(order), Head(order)).eval()


@pytest.mark.parametrize("shape", [CIFAR, ImageShape(3, 32, 24), ImageShape(3, 17, 31)], ids=str)
@pytest.mark.parametrize("order", ["BhwC", "BTC"])
def test_the_order_of_channels_and_places_makes_no_difference(order: str, shape: ImageShape) -> None:
    plain, network = in_order("BChw"), in_order(order)
    layer = found(network, shape)
    assert (layer.name, layer.order) == ("2", order)
    assert (layer.height, layer.width) == (found(plain, shape).height, found(plain, shape).width)
    classes = torch.tensor([0, 2])
    torch.testing.assert_close(
        grad_cam(network, layer, images(shape), classes), grad_cam(plain, found(plain, shape), images(shape), classes)
    )


class Residual(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.branch = nn.Conv2d(32, 32, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return functional.gelu(x + self.branch(x))


def test_a_branch_that_the_answer_can_do_without_is_no_map() -> None:
    """The block ends in a 1 x 1 map, so that the branch would be the last layer with places."""

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.stem = nn.Conv2d(3, 32, 4, stride=4)
            self.block = Residual()
            self.head = Head("BChw")

        def forward(self, x: Tensor) -> Tensor:
            x = self.stem(x)
            logits: Tensor = self.head((x + self.block.branch(x)).mean((2, 3), keepdim=True))
            return logits

    assert found(Net()).name == "stem"


def test_the_output_of_a_residual_block_is_one() -> None:
    network = nn.Sequential(nn.Conv2d(3, 32, 4, stride=4), Residual(), Residual(), Head("BChw")).eval()
    assert found(network).name == "2"


def test_maps_too_coarse_to_tell_places_apart_are_passed_over() -> None:
    stages = [nn.Conv2d(3, 32, 4, stride=4), nn.MaxPool2d(2), nn.MaxPool2d(2), nn.MaxPool2d(2)]
    assert found(nn.Sequential(*stages, Head("BChw")).eval()) == MapLayer("1", "BChw", 4, 4)
    assert found(nn.Sequential(nn.Conv2d(3, 32, 16, stride=16), nn.GELU(), Head("BChw"))) == MapLayer("1", "BChw", 2, 2)


def test_a_layer_that_runs_twice_is_none() -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.stem, self.act = nn.Conv2d(3, 32, 4, stride=4), nn.GELU()
            self.head = Head("BChw")

        def forward(self, x: Tensor) -> Tensor:
            logits: Tensor = self.head(self.act(self.act(self.stem(x))))
            return logits

    assert found(Net()).name == "stem"


def test_a_network_without_places_has_none() -> None:
    network = nn.Sequential(nn.Flatten(), nn.Linear(3 * 32 * 32, 9), nn.GELU(), nn.Linear(9, 3))
    assert find_map_layer(network, images()) is None


def test_looking_leaves_the_network_and_the_images_as_they_were() -> None:
    network, given = build("cnn", variant="plain", width=16), images()
    before = network(given)
    layer = found(network)
    grad_cam(network, layer, given, torch.tensor([0, 1]))
    assert not given.requires_grad
    assert all(parameter.grad is None for parameter in network.parameters())
    assert not any(module._forward_hooks for module in network.modules())
    torch.testing.assert_close(network(given), before, rtol=0, atol=0)
