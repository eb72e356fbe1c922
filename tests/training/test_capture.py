"""Captured networks train like plain ones, bit for bit, whether they are new or were used before."""

from __future__ import annotations

import subprocess
import sys
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest
import torch
from small_runs import CONFIG, Ended, assert_same_run, halves, run, to_the_end
from torch import Tensor, nn

from benchmark.architectures import ARCHITECTURES
from benchmark.augmentations import AUGMENTATIONS, Batch
from benchmark.records import Budget, Choice, TrialConfig
from benchmark.training import (
    BatchStream,
    Captures,
    DeviceData,
    Stepper,
    TrainingRun,
    multiply_accumulates,
    peak_memory_bytes,
    predict,
    start_peak_memory,
    state_from_bytes,
    state_to_bytes,
    stepper,
)
from benchmark.training.capture import Capture, Passes, Scoring, as_backward_leaves_them, captured_on_cuda
from benchmark.training.growth import resized

WHITENING = Choice("cnn", {"variant": "whitening", "width": 16})
MUON = Choice("muon", {"lr": 0.1, "momentum": 0.6})
CHANGES: list[dict[str, Any]] = [
    {},
    {"architecture": WHITENING, "optimizer": MUON, "averaging": Choice("lookahead"), "clip_norm": 1.0},
    {"start_size": 0.625, "averaging": Choice("ema", {"decay": 0.5}), "precision": "bfloat16"},
]

gpu = pytest.mark.gpu
needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")


@pytest.fixture(scope="module")
def data() -> DeviceData:
    return halves(12)


@pytest.fixture
def _always_worth_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Stepper, "_is_worth_capturing", lambda stepper: True)


def as_it_is(model: nn.Module, scoring: Scoring, images: Tensor, targets: Tensor) -> Passes:
    def passes(images: Tensor, targets: Tensor) -> Tensor:
        loss, outcome = scoring(images, targets)
        loss.backward()  # type: ignore[no-untyped-call]
        return outcome

    return passes


def warmed_up(model: nn.Module, scoring: Scoring, images: Tensor, targets: Tensor) -> Passes:
    """As on CUDA: some passes over the batch before they are captured, with gradients."""
    for _ in range(3):
        scoring(images, targets)[0].backward()  # type: ignore[no-untyped-call]
    return as_it_is(model, scoring, images, targets)


def never(model: nn.Module, images: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    raise AssertionError


class Counted:
    """A capture that notes the images that it was asked for."""

    def __init__(self, capture: Capture = warmed_up) -> None:
        self.sizes: list[tuple[int, ...]] = []
        self._capture = capture

    def __call__(self, model: nn.Module, scoring: Scoring, images: Tensor, targets: Tensor) -> Passes:
        self.sizes.append(tuple(images.shape))
        return self._capture(model, scoring, images, targets)


def captured_run(config: TrialConfig, data: DeviceData, captures: Captures) -> tuple[Ended, nn.Module]:
    """What the run gave, and the network that it trained."""
    running = TrainingRun(config, data, captures)
    running.open()
    return to_the_end(running), running.stepper.model


@pytest.mark.usefixtures("_always_worth_it")
@pytest.mark.parametrize("capture", [as_it_is, warmed_up])
@pytest.mark.parametrize("change", CHANGES)
def test_equals_the_plain_run(data: DeviceData, change: dict[str, Any], capture: Capture) -> None:
    config = replace(CONFIG, **change)
    assert_same_run(captured_run(config, data, Captures(capture))[0], run(config, data))


@pytest.mark.usefixtures("_always_worth_it")
@pytest.mark.parametrize("change", CHANGES)
def test_a_network_is_used_again_as_if_it_were_new(data: DeviceData, change: dict[str, Any]) -> None:
    first, second = replace(CONFIG, **change), replace(CONFIG, **change, seed=6)
    capture = Counted()
    captures = Captures(capture)
    _, network = captured_run(first, data, captures)
    asked = list(capture.sizes)
    ended, again = captured_run(second, data, captures)
    assert again is network
    assert capture.sizes == asked, "captured once more"
    assert_same_run(ended, run(second, data))
    # What does not change the shapes does not change the network either.
    other, once_more = captured_run(replace(first, label_smoothing=0.1, optimizer=Choice("sgd")), data, captures)
    assert once_more is network
    assert_same_run(other, run(replace(first, label_smoothing=0.1, optimizer=Choice("sgd")), data))


@pytest.mark.usefixtures("_always_worth_it")
def test_dropout_is_the_same_in_a_new_network_and_in_a_kept_one(
    data: DeviceData, monkeypatch: pytest.MonkeyPatch
) -> None:
    def with_dropout(config: TrialConfig, data: DeviceData) -> nn.Module:
        return nn.Sequential(nn.Flatten(), nn.Dropout(0.5), nn.Linear(3 * 12 * 12, 2)).train()

    monkeypatch.setattr(stepper, "_initialised", with_dropout)
    captures = Captures(warmed_up)
    new, kept = captured_run(CONFIG, data, captures)[0], captured_run(CONFIG, data, captures)[0]
    assert_same_run(new, kept)
    assert_same_run(new, run(CONFIG, data))


@pytest.mark.usefixtures("_always_worth_it")
def test_a_size_is_captured_when_it_first_comes(data: DeviceData) -> None:
    capture = Counted()
    captured_run(replace(CONFIG, start_size=0.625), data, Captures(capture))
    assert capture.sizes == [(16, 3, side, side) for side in (8, 10, 12)]


@pytest.mark.usefixtures("_always_worth_it")
@pytest.mark.parametrize(
    "change",
    [
        {"architecture": Choice("cnn", {"variant": "plain", "width": 32, "depth": 2, "stem_stride": 1})},
        {"batch_size": 32},
        {"precision": "bfloat16"},
    ],
)
def test_other_shapes_are_another_network(data: DeviceData, change: dict[str, Any]) -> None:
    captures = Captures(as_it_is)
    _, network = captured_run(CONFIG, data, captures)
    assert captured_run(replace(CONFIG, **change), data, captures)[1] is not network
    assert captured_run(CONFIG, data, captures)[1] is network


def test_the_least_recently_used_goes_first() -> None:
    captures = Captures(as_it_is)

    def network(key: str) -> nn.Module:
        return captures.network(key, nn.Linear(2, 2), never).model

    first = {key: network(key) for key in "ab"}
    assert network("a") is first["a"]
    network("c")
    assert network("a") is first["a"]
    assert network("b") is not first["b"]


def test_nothing_is_captured_on_a_cpu(data: DeviceData) -> None:
    capture = Counted()
    assert_same_run(captured_run(CONFIG, data, Captures(capture))[0], run(CONFIG, data))
    assert capture.sizes == []


@pytest.mark.parametrize(
    ("device", "budget", "accumulation", "expected"),
    [
        ("cuda", Budget(epochs=12), 1, False),
        ("cuda", Budget(epochs=13), 1, True),
        ("cuda", Budget(seconds=0.1), 1, True),
        ("cuda", Budget(seconds=0.1), 2, False),
        ("cpu", Budget(seconds=100), 1, False),
    ],
)
def test_graphs_are_for_runs_of_50_steps_in_whole_batches_on_a_gpu(
    data: DeviceData, device: str, budget: Budget, accumulation: int, expected: bool
) -> None:
    asking = Stepper(replace(CONFIG, budget=budget, accumulation=accumulation), data)
    asking._data = replace(data, where=replace(data.where, device=torch.device(device)))
    assert asking._is_worth_capturing() is expected


def test_a_family_that_cannot_be_captured_is_not(data: DeviceData, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Stepper, "is_on_gpu", property(lambda stepper: True))
    asking = Stepper(replace(CONFIG, budget=Budget(seconds=1)), data)
    assert asking._is_worth_capturing()
    entry = ARCHITECTURES["cnn"]
    by_hand = replace(entry, tags={**entry.tags, "captured": False})
    monkeypatch.setattr(stepper, "ARCHITECTURES", {"cnn": by_hand})
    assert not asking._is_worth_capturing()


def test_a_budget_in_seconds_begins_when_the_kernels_are_there(
    data: DeviceData, monkeypatch: pytest.MonkeyPatch
) -> None:
    def slowly(model: nn.Module, scoring: Scoring, images: Tensor, targets: Tensor) -> Passes:
        time.sleep(1.5)
        return as_it_is(model, scoring, images, targets)

    monkeypatch.setattr(Stepper, "is_on_gpu", property(lambda stepper: True))
    config = replace(CONFIG, budget=Budget(seconds=2), start_size=0.625)
    capture = Counted(slowly)
    running = TrainingRun(config, data, Captures(capture))
    images = running.open()
    assert [shape[2] for shape in capture.sizes] == [8, 10, 12], "the size in between, too"
    assert running.seconds[0] < 1.5
    assert running.preparing_seconds >= 3 * 1.5
    assert images > 20 * running.stepper.batch_size
    (first, *_), _ = to_the_end(running)
    assert len(capture.sizes) == 3
    # Two steps of the first size and one of each other were taken before the clock ran.
    timed = first.images_seen - 4 * running.stepper.batch_size
    assert first.images_per_second * first.train_seconds == pytest.approx(timed)


def test_gradients_of_a_graph_are_each_its_own_and_laid_out_as_their_parameters() -> None:
    first, second = (torch.ones(2, 3, 4, 4).contiguous(memory_format=torch.channels_last) for _ in range(2))
    gradient = torch.arange(96.0).reshape(2, 3, 4, 4)
    shared = gradient.contiguous(memory_format=torch.channels_last)
    found = as_backward_leaves_them([shared, shared, None, gradient], [first, second, first, second])
    assert found[2] is None
    kept = [one for one in found if one is not None]
    assert len({one.data_ptr() for one in kept}) == 3
    assert all(torch.equal(one, gradient) and one.stride() == first.stride() for one in kept)
    assert kept[0] is shared


# Real graphs ----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def on_gpu() -> DeviceData:
    return halves(12, "cuda")


@pytest.fixture
def _float32_means_float32() -> Iterator[None]:
    with torch.backends.cudnn.flags(enabled=True, deterministic=True, allow_tf32=False):
        yield


def losses(config: TrialConfig, data: DeviceData, captures: Captures | None, steps: int = 20) -> list[float]:
    stepper = Stepper(config, data, captures)
    return [stepper.step(step / steps)[0].item() for step in range(steps)]


@gpu
@needs_cuda
@pytest.mark.usefixtures("_always_worth_it", "_float32_means_float32")
@pytest.mark.parametrize(
    "change", [{}, {"architecture": WHITENING}, {"start_size": 0.625}, {"architecture": Choice("resnet")}]
)
def test_graphs_equal_plain_passes(on_gpu: DeviceData, change: dict[str, Any]) -> None:
    config = replace(CONFIG, optimizer=Choice("sgd", {"lr": 0.01}), **change)
    capture = Counted(captured_on_cuda)
    assert losses(config, on_gpu, Captures(capture)) == pytest.approx(losses(config, on_gpu, None), rel=1e-3)
    assert len(capture.sizes) == (3 if config.start_size < 1 else 1)


@gpu
@needs_cuda
@pytest.mark.usefixtures("_always_worth_it")
@pytest.mark.parametrize("change", CHANGES[1:])
def test_graphs_equal_plain_passes_in_bfloat16(on_gpu: DeviceData, change: dict[str, Any]) -> None:
    config = replace(CONFIG, **{**change, "optimizer": Choice("sgd", {"lr": 0.01}), "precision": "bfloat16"})
    plain = losses(config, on_gpu, None)
    assert losses(config, on_gpu, Captures()) == pytest.approx(plain, rel=0.02), "some units in the last of 8 bits"
    assert losses(replace(config, precision="float32"), on_gpu, None) != plain


@gpu
@needs_cuda
@pytest.mark.usefixtures("_always_worth_it")
@pytest.mark.parametrize("change", CHANGES)
def test_graphs_are_used_again_as_if_they_were_new(on_gpu: DeviceData, change: dict[str, Any]) -> None:
    config = replace(CONFIG, **change)
    capture = Counted(captured_on_cuda)
    captures = Captures(capture)
    captured_run(replace(config, seed=6), on_gpu, captures)
    asked = len(capture.sizes)
    kept, _ = captured_run(config, on_gpu, captures)
    assert len(capture.sizes) == asked
    assert_same_run(kept, captured_run(config, on_gpu, Captures())[0])


@gpu
@needs_cuda
@pytest.mark.usefixtures("_always_worth_it")
def test_graphs_that_had_to_go_are_captured_again(on_gpu: DeviceData) -> None:
    captures = Captures()
    wide = [replace(CONFIG, architecture=Choice("cnn", {"variant": "plain", "width": 16 * n})) for n in (1, 2, 3, 4)]
    for config in (*wide, *wide):
        assert_same_run(captured_run(config, on_gpu, captures)[0], captured_run(config, on_gpu, Captures())[0])


@gpu
@needs_cuda
def test_what_goes_as_a_run_begins_is_no_part_of_its_peak(on_gpu: DeviceData) -> None:
    held: dict[str, Tensor] = {}
    captures = Captures(as_it_is)

    def hold(key: str, mebibytes: int) -> None:
        captures.network(key, nn.Linear(2, 2), never)
        held[key] = torch.empty(mebibytes << 20, dtype=torch.uint8, device="cuda")

    hold("large", 512)
    hold("small", 32)
    start_peak_memory(on_gpu.where)
    both = peak_memory_bytes(on_gpu.where)
    del held["large"]
    hold("another", 32)
    found = peak_memory_bytes(on_gpu.where)
    assert both is not None
    assert found is not None
    assert found < both - (256 << 20)


@pytest.mark.usefixtures("_always_worth_it")
@pytest.mark.parametrize(
    ("device", "capture"),
    [("cpu", as_it_is), ("cpu", warmed_up), pytest.param("cuda", captured_on_cuda, marks=[gpu, needs_cuda])],
)
@pytest.mark.parametrize("change", CHANGES)
def test_a_run_goes_on_from_its_state_on_other_graphs(device: str, capture: Capture, change: dict[str, Any]) -> None:
    config, there = replace(CONFIG, **change), halves(12, device)
    whole, _ = captured_run(config, there, Captures(capture))
    first = TrainingRun(config, there, Captures(capture))
    images = first.open()
    reports = first.reports()
    records = [next(reports) for _ in range(2)]
    content = state_to_bytes(first.state_dict())
    reports.close()
    # Another process has drawn other numbers, and trained another network of these shapes.
    captures = Captures(capture)
    captured_run(replace(config, seed=6), there, captures)
    second = TrainingRun(config, there, captures)
    assert second.resume(state_from_bytes(content)) == images
    rest, trained = to_the_end(second)
    assert_same_run(([*records, *rest], trained), whole)


@gpu
@needs_cuda
@pytest.mark.usefixtures("_always_worth_it")
def test_a_step_is_one_graph_and_leaves_gradients_as_backward_does(on_gpu: DeviceData) -> None:
    gradients = []
    for captures in (Captures(), None):
        training = Stepper(replace(CONFIG, architecture=WHITENING), on_gpu, captures)
        images, targets = next(iter(BatchStream(on_gpu, (), 16, seed=1)))
        for _ in range(2):
            training.model.zero_grad(set_to_none=True)
            training._backward(images, targets)
        gradients.append({name: one.grad for name, one in training.model.named_parameters()})
    captured, plain = gradients
    assert captured.keys() == plain.keys()
    for name, expected in plain.items():
        found = captured[name]
        if expected is None:
            assert found is None
            continue
        assert found is not None
        assert found.stride() == expected.stride()
        torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-5)


WAITING = """
import torch
from torch import nn
from benchmark.training.capture import captured_on_cuda

model = nn.Linear(8, 2).to("cuda")

def scoring(images, targets):
    logits = model(images.flatten(1))
    loss = nn.functional.cross_entropy(logits * (2 if logits.mean().item() > 9 else 1), targets)
    return loss, loss.detach().expand(2)

captured_on_cuda(model, scoring, torch.ones(4, 2, 2, 2, device="cuda"), torch.ones(4, 2, device="cuda") / 2)
"""


@gpu
@needs_cuda
def test_a_network_that_waits_says_how_to_register_it() -> None:
    """In a process of its own: a capture that failed leaves the allocator as if it went on."""
    ended = subprocess.run([sys.executable, "-c", WAITING], capture_output=True, text=True)
    assert ended.returncode == 1
    assert "RuntimeError: cannot be captured as a CUDA graph" in ended.stderr
    assert "captured=False" in ended.stderr


@gpu
@needs_cuda
def test_a_run_in_seconds_is_captured_and_can_be_repeated(on_gpu: DeviceData) -> None:
    config = replace(CONFIG, budget=Budget(seconds=1), start_size=0.625)
    running = TrainingRun(config, on_gpu, Captures())
    images = running.open()
    measured = to_the_end(running)
    again = TrainingRun(config, on_gpu, Captures())
    assert again.open(images) == images
    assert_same_run(measured, to_the_end(again))


@contextmanager
def waits_are_errors() -> Iterator[None]:
    with warnings.catch_warnings():
        # That the mode is a prototype, told once.
        warnings.simplefilter("ignore")
        torch.cuda.set_sync_debug_mode("error")
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode("default")


@gpu
@needs_cuda
@pytest.mark.usefixtures("_always_worth_it")
@pytest.mark.parametrize("optimizer", ["sgd", "adamw", "muon"])
@pytest.mark.parametrize("averaging", ["none", "ema", "lookahead"])
def test_steps_never_wait_for_the_device(on_gpu: DeviceData, optimizer: str, averaging: str) -> None:
    everything = tuple(Choice(name) for name in ("flip", "crop", "rotation", "color", "cutout", "mixup"))
    config = replace(
        CONFIG, optimizer=Choice(optimizer), averaging=Choice(averaging), augmentations=everything, clip_norm=1.0
    )
    for captures in (None, Captures()):
        training = Stepper(config, on_gpu, captures)
        # Capturing and the first use of a kernel may wait.
        for _ in range(6):
            training.step(0.5)
        with waits_are_errors():
            for _ in range(6):
                training.step(0.5)


@gpu
@needs_cuda
def test_peak_memory_of_a_run_is_recorded(on_gpu: DeviceData) -> None:
    start_peak_memory(on_gpu.where)
    before = peak_memory_bytes(on_gpu.where)
    # So wide that it does not fit into blocks that earlier tests left half empty.
    wide = replace(CONFIG.architecture, params={**CONFIG.architecture.params, "width": 256})
    captured_run(replace(CONFIG, architecture=wide), on_gpu, Captures())
    after = peak_memory_bytes(on_gpu.where)
    assert before is not None
    assert after is not None
    assert after > before


@gpu
@needs_cuda
def test_batches_on_a_gpu_look_like_those_on_a_cpu(data: DeviceData, on_gpu: DeviceData) -> None:
    """Their random numbers differ, as the generators do; without any, the same rows are the same images."""
    (cpu_images, cpu_targets), (gpu_images, gpu_targets) = (
        next(iter(BatchStream(part, CONFIG.augmentations, 16, seed=1))) for part in (data, on_gpu)
    )
    assert gpu_images.device.type == gpu_targets.device.type == "cuda"
    for found, expected in ((gpu_images, cpu_images), (gpu_targets, cpu_targets)):
        assert (found.shape, found.dtype) == (expected.shape, expected.dtype)
    assert gpu_images.is_contiguous(memory_format=torch.channels_last)
    found, expected = (part.normalise(part.train.pixels).cpu() for part in (on_gpu, data))
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


@gpu
@needs_cuda
@pytest.mark.usefixtures("_float32_means_float32")
@pytest.mark.parametrize("views", ["one", "two", "six"])
@pytest.mark.parametrize("largest", [None, 7])
def test_predictions_on_a_gpu_are_those_on_a_cpu(
    data: DeviceData, on_gpu: DeviceData, views: str, largest: int | None
) -> None:
    """Also where the last batch is filled up with rows of the one before."""
    _, trained = run(CONFIG, data)
    expected = predict(trained.model, data, data.test, views=views, precision="float32")
    macs = multiply_accumulates(trained.model, data)
    there = trained.model.to("cuda")
    found = predict(there, on_gpu, on_gpu.test, views=views, precision="float32", largest_batch=largest)
    torch.testing.assert_close(found.cpu(), expected, rtol=1e-3, atol=1e-3)
    assert multiply_accumulates(there, on_gpu) == macs


@gpu
@needs_cuda
def test_mirrored_and_smaller_images_on_a_gpu_are_those_on_a_cpu(data: DeviceData, on_gpu: DeviceData) -> None:
    """The alternating flip draws no random numbers, so that it can be compared image for image."""
    flip = AUGMENTATIONS["flip"].build(mode="alternating")
    seen = []
    for part in (data, on_gpu):
        device = part.where.device
        labels = part.train.labels
        targets = nn.functional.one_hot(labels, part.num_classes).float()
        rows, random = torch.arange(len(labels), device=device), torch.Generator(device).manual_seed(1)
        batch = Batch(part.train.pixels, targets, rows, epoch=1, fill=part.mean, generator=random)
        seen.append(part.normalise(flip(batch).images))
    torch.testing.assert_close(seen[1].cpu(), seen[0], rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(resized(seen[1], (8, 8)).cpu(), resized(seen[0], (8, 8)), rtol=1e-4, atol=1e-4)
