"""Training: exact by seed, within its budget, best weights, and blind to the test part."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from benchmark.records import Budget, Choice, Dataset, Images, ProgressRecord, SplitRows, TrialConfig
from benchmark.training import (
    DeviceData,
    DivergedError,
    TrainedModel,
    choose_device,
    loop,
    planned_images,
    predict,
    train,
)

SGD = Choice("sgd", {"lr": 0.1, "momentum": 0.9, "weight_decay": 1e-4, "bias_scale": 1.0})
MUON = Choice("muon", {"lr": 0.1, "momentum": 0.6})
CONFIG = TrialConfig(
    architecture=Choice("cnn", {"variant": "plain", "width": 16, "depth": 2, "stem_stride": 1}),
    augmentations=(Choice("flip", {"mode": "random"}), Choice("crop", {"pixels": 1})),
    optimizer=SGD,
    schedule=Choice("linear", {"warmup": 0.1}),
    budget=Budget(epochs=2),
    batch_size=16,
    seed=5,
    reports=4,
    precision="float32",
)


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def data() -> DeviceData:
    """64 + 32 + 20 images of 8 x 8 pixels whose class is the brighter half."""
    random = np.random.default_rng(0)

    def images(count: int) -> Images:
        labels = np.arange(count, dtype=np.int64) % 2
        pixels = random.integers(0, 200, (count, 8, 8, 3), np.uint8)
        for row, label in enumerate(labels):
            pixels[row, 4 * label : 4 * label + 4] += 40
        return Images(pixels, labels)

    dataset = Dataset("halves", ("upper", "lower"), images(96), images(20), "0")
    return DeviceData.load(dataset, SplitRows(np.arange(64), np.arange(64, 96)), choose_device("cpu"))


def run(config: TrialConfig, data: DeviceData, images: int | None = None) -> tuple[list[ProgressRecord], TrainedModel]:
    records = []
    generator = train(config, data, planned_images(config, data) if images is None else images)
    while True:
        try:
            records.append(next(generator))
        except StopIteration as stop:
            return records, stop.value


def same_weights(one: nn.Module, other: nn.Module) -> bool:
    pairs = zip(one.state_dict().values(), other.state_dict().values(), strict=True)
    return all(torch.equal(mine, theirs) for mine, theirs in pairs)


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"architecture": Choice("cnn", {"variant": "whitening", "width": 16}), "optimizer": MUON, "ema_decay": 0.9},
        {"optimizer": Choice("adamw"), "schedule": Choice("cosine"), "clip_norm": 1.0, "label_smoothing": 0.1},
    ],
)
def test_same_seed_same_result(data: DeviceData, change: dict[str, Any]) -> None:
    config = replace(CONFIG, **change)
    first, second = run(config, data), run(config, data)
    assert same_weights(first[1].model, second[1].model)
    for one, other in zip(first[0], second[0], strict=True):
        assert (one.train_loss, one.val_loss, one.val_accuracy) == (
            other.train_loss,
            other.val_loss,
            other.val_accuracy,
        )


def test_another_seed_another_result(data: DeviceData) -> None:
    assert not same_weights(run(CONFIG, data)[1].model, run(replace(CONFIG, seed=6), data)[1].model)


@pytest.mark.parametrize(
    ("epochs", "images", "steps"), [(2, 128, [2, 4, 6, 8]), (0.5, 32, [1, 2]), (1.3, 83, [1, 2, 4, 5]), (0.01, 1, [1])]
)
def test_a_budget_in_epochs_is_whole_batches(data: DeviceData, epochs: float, images: int, steps: list[int]) -> None:
    config = replace(CONFIG, budget=Budget(epochs=epochs))
    assert planned_images(config, data) == images
    records, trained = run(config, data)
    assert [record.images_seen // 16 for record in records] == steps
    assert [record.step for record in records] == list(range(1, len(steps) + 1))
    assert trained.images_seen == 16 * steps[-1]
    assert trained.train_seconds == records[-1].train_seconds > 0


def test_learns_what_can_be_learned(data: DeviceData) -> None:
    records, _ = run(replace(CONFIG, augmentations=(), budget=Budget(epochs=10)), data)
    assert records[-1].train_loss < 0.5 * records[0].train_loss
    assert max(record.val_accuracy for record in records) > 0.8


def test_the_rate_follows_the_schedule(data: DeviceData) -> None:
    config = replace(CONFIG, schedule=Choice("linear", {"warmup": 0.0}))
    # Reports follow steps 2, 4, 6 and 8 of 8; the last step of each was taken at shares 1/8, 3/8, 5/8 and 7/8.
    assert [record.learning_rate for record in run(config, data)[0]] == pytest.approx(
        [0.1 * share / 8 for share in (7, 5, 3, 1)]
    )


@pytest.mark.parametrize("ema_decay", [0.0, 0.5])
def test_planning_a_budget_in_seconds_leaves_the_training_exact(data: DeviceData, ema_decay: float) -> None:
    in_seconds = replace(CONFIG, budget=Budget(seconds=0.05), ema_decay=ema_decay)
    plain = run(in_seconds, data, images=64)[1]
    assert planned_images(in_seconds, data) >= 1
    assert same_weights(run(in_seconds, data, images=64)[1].model, plain.model)


def test_seconds_become_images_by_the_measured_speed(data: DeviceData, monkeypatch: pytest.MonkeyPatch) -> None:
    # A clock on which every step takes a quarter of a second.
    clock = itertools.count()
    monkeypatch.setattr(loop.time, "perf_counter", lambda: next(clock) * 0.25)
    assert planned_images(replace(CONFIG, budget=Budget(seconds=10)), data) == 10 * 4 * 16


class Scripted:
    """A validation that follows a script, and what the network was at each report."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, script: list[tuple[float, float]]) -> None:
        self.states: list[dict[str, Tensor]] = []
        answers = iter(script)

        def validate(running: Any) -> tuple[float, float]:
            self.states.append({key: value.clone() for key, value in running.answering.state_dict().items()})
            return next(answers)

        monkeypatch.setattr(loop._Run, "validate", validate)


@pytest.mark.parametrize("ema_decay", [0.0, 0.5])
@pytest.mark.parametrize(
    ("script", "best"),
    [
        ([(0.5, 1.0), (0.9, 1.0), (0.7, 0.5), (0.6, 0.4)], 2),
        ([(0.5, 1.0), (0.9, 1.0), (0.9, 0.8), (0.9, 0.9)], 3),
        ([(0.5, 1.0), (0.5, 1.0), (0.5, 1.0), (0.5, 1.0)], 1),
        ([(0.1, 1.0), (0.2, 1.0), (0.3, 1.0), (0.4, 1.0)], 4),
    ],
)
def test_the_best_weights_are_returned(
    data: DeviceData, monkeypatch: pytest.MonkeyPatch, script: list[tuple[float, float]], best: int, ema_decay: float
) -> None:
    scripted = Scripted(monkeypatch, script)
    _, trained = run(replace(CONFIG, ema_decay=ema_decay), data)
    assert trained.best_step == best
    assert not trained.model.training
    returned = trained.model.state_dict()
    assert all(torch.equal(returned[key], value) for key, value in scripted.states[best - 1].items())
    other = scripted.states[0 if best != 1 else -1]
    assert not all(torch.equal(returned[key], value) for key, value in other.items())


@pytest.mark.parametrize(("patience", "reports"), [(0, 4), (1, 2), (2, 3), (3, 4)])
def test_patience_ends_a_run(data: DeviceData, monkeypatch: pytest.MonkeyPatch, patience: int, reports: int) -> None:
    Scripted(monkeypatch, [(0.9, 1.0), (0.8, 1.0), (0.7, 1.0), (0.6, 1.0)])
    records, trained = run(replace(CONFIG, patience=patience), data)
    assert len(records) == reports
    assert trained.best_step == 1
    assert trained.images_seen == reports * 32


def test_patience_counts_from_the_best(data: DeviceData, monkeypatch: pytest.MonkeyPatch) -> None:
    Scripted(monkeypatch, [(0.8, 1.0), (0.7, 1.0), (0.9, 1.0), (0.6, 1.0)])
    assert len(run(replace(CONFIG, patience=2), data)[0]) == 4


def test_a_loss_that_is_not_finite_is_an_error(data: DeviceData) -> None:
    wild = replace(
        CONFIG,
        architecture=Choice("cnn", {"variant": "whitening", "width": 16}),
        optimizer=Choice("sgd", {"lr": 1e30}),
        schedule=Choice("linear", {"warmup": 0.0}),
        budget=Budget(epochs=4),
    )
    with pytest.raises(DivergedError, match=r"diverged: the loss was not finite by step \d+"):
        run(wild, data)


def test_a_validation_loss_that_is_not_finite_is_an_error(data: DeviceData, monkeypatch: pytest.MonkeyPatch) -> None:
    Scripted(monkeypatch, [(0.5, 1.0), (0.5, float("inf"))])
    with pytest.raises(DivergedError, match="by step 4"):
        run(CONFIG, data)


def test_the_average_answers(data: DeviceData) -> None:
    """The first update of the average copies, the second mixes."""
    config = replace(CONFIG, ema_decay=0.75)
    averaged = loop._Run(config, data)
    averaged.step(0.5)
    first = next(averaged.model.parameters()).detach().clone()
    averaged.step(0.5)
    second = next(averaged.model.parameters()).detach()
    answer = next(averaged.answering.parameters())
    torch.testing.assert_close(answer, 0.75 * first + 0.25 * second)
    assert not torch.equal(answer, second)


def test_without_an_average_the_network_itself_answers(data: DeviceData) -> None:
    plain = loop._Run(CONFIG, data)
    assert plain.answering is plain.model


def test_clipping_bounds_the_step(data: DeviceData) -> None:
    def first_step(clip_norm: float) -> float:
        optimizer = Choice("sgd", {"lr": 1.0, "momentum": 0.0001, "weight_decay": 0.0})
        running = loop._Run(
            replace(CONFIG, optimizer=optimizer, clip_norm=clip_norm, schedule=Choice("linear", {"warmup": 0.0})), data
        )
        before = [parameter.detach().clone() for parameter in running.model.parameters()]
        running.step(0.0)
        moved = zip(running.model.parameters(), before, strict=True)
        return sum((now - then).square().sum().item() for now, then in moved) ** 0.5

    assert first_step(0.01) == pytest.approx(0.01, rel=1e-3)
    assert first_step(0.0) > 0.05


def test_training_never_looks_at_the_test_part(data: DeviceData) -> None:
    class Sealed:
        def __getattribute__(self, name: str) -> Any:
            raise AssertionError(f"training asked the test part for {name}")

    sealed = replace(data, test=Sealed())  # type: ignore[arg-type]
    for budget in (Budget(epochs=1), Budget(seconds=0.01)):
        config = replace(CONFIG, budget=budget)
        planned_images(config, sealed)
        run(config, sealed, images=64)
    assert same_weights(run(CONFIG, sealed, 64)[1].model, run(CONFIG, data, 64)[1].model)


def test_reports_look_at_their_share_of_validation(data: DeviceData, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []

    def counting(model: nn.Module, data: DeviceData, part: Any, **rest: Any) -> Tensor:
        seen.append(len(part))
        return predict(model, data, part, **rest)

    monkeypatch.setattr(loop, "predict", counting)
    run(replace(CONFIG, report_share=0.25), data)
    assert seen == [8, 8, 8, 8]


def test_closing_ends_a_run(data: DeviceData) -> None:
    generator = train(CONFIG, data, 128)
    assert next(generator).step == 1
    generator.close()
    with pytest.raises(StopIteration):
        next(generator)
