"""Depthwise convolutions that start at once compute what they did before, and only short runs on a GPU have them."""

from __future__ import annotations

import copy
from dataclasses import replace

import pytest
import torch
from small_runs import CONFIG, assert_same_run, halves, to_the_end
from torch import Tensor, nn

from benchmark.records import Budget, Choice
from benchmark.training import Captures, Stepper, TrainingRun
from benchmark.training.depthwise import start_at_once

CUDA = pytest.param(
    "cuda",
    marks=[pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")],
)
EFFICIENTNET = Choice("efficientnet", {"variant": "b0", "stem_stride": 1, "drop_rate": 0.0, "drop_path_rate": 0.0})


def network(device: str) -> nn.Sequential:
    torch.manual_seed(0)
    layers = nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1, bias=False),
        nn.Conv2d(8, 8, 5, stride=2, padding=2, groups=8, bias=False),
        nn.Conv2d(8, 16, 3, padding=1, groups=8),
        nn.Conv2d(16, 16, 7, padding=3, groups=16),
        nn.Conv2d(16, 16, 3, padding=1, groups=4),
    )
    return layers.to(device).to(memory_format=torch.channels_last)


def passes(layers: nn.Module, device: str) -> list[Tensor]:
    """Its output and its gradients, of its input too."""
    images = torch.randn(4, 3, 9, 10, generator=torch.Generator().manual_seed(1)).to(device)
    images = images.contiguous(memory_format=torch.channels_last).requires_grad_()
    output = layers(images)
    output.square().mean().backward()
    assert images.grad is not None
    return [output.detach(), images.grad, *(one.grad for one in layers.parameters() if one.grad is not None)]


@pytest.mark.parametrize("device", ["cpu", CUDA])
def test_they_compute_what_they_did(device: str) -> None:
    before, after = network(device), network(device)
    start_at_once(after)
    assert list(after.state_dict()) == list(before.state_dict())
    with torch.backends.cudnn.flags(enabled=True, deterministic=True, allow_tf32=False):
        found, expected = passes(after, device), passes(before, device)
        again = passes(copy.deepcopy(after), device)
    assert len(found) == len(expected) == 2 + 8
    for one, other, copied in zip(found, expected, again, strict=True):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-4)
        assert torch.equal(one, copied), "the same twice"
    assert found[0].is_contiguous(memory_format=torch.channels_last)


def test_only_depthwise_ones_of_sides_that_torch_has_kernels_for() -> None:
    layers = network("cpu")
    start_at_once(layers)
    assert [type(layer) is nn.Conv2d for layer in layers] == [True, False, False, True, True]


@pytest.mark.parametrize(
    ("is_on_gpu", "budget", "expected"),
    [
        (True, Budget(seconds=29), True),
        (True, Budget(seconds=31), False),
        (True, Budget(seconds=31, adapts=True), True),
        (True, Budget(epochs=749), True),
        (True, Budget(epochs=751), False),
        (False, Budget(seconds=29), False),
    ],
)
def test_short_runs_on_a_gpu_have_them(
    monkeypatch: pytest.MonkeyPatch, is_on_gpu: bool, budget: Budget, expected: bool
) -> None:
    monkeypatch.setattr(Stepper, "is_on_gpu", property(lambda stepper: is_on_gpu))
    model = Stepper(replace(CONFIG, architecture=EFFICIENTNET, budget=budget), halves(8)).model
    depthwise = [
        part for part in model.modules() if isinstance(part, nn.Conv2d) and part.groups == part.in_channels > 1
    ]
    assert len(depthwise) == 16
    assert {type(part) is not nn.Conv2d for part in depthwise} == {expected}


@pytest.mark.slow
@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_captured_run_with_them_is_the_plain_one() -> None:
    data = halves(12, "cuda")
    config = replace(CONFIG, architecture=EFFICIENTNET, budget=Budget(epochs=13))
    ended = []
    for captures in (Captures(), None):
        running = TrainingRun(config, data, captures)
        running.open()
        ended.append(to_the_end(running))
    assert_same_run(ended[0], ended[1])
