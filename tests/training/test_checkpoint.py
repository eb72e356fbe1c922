"""A run that is continued from its state is the run that was never interrupted; weights come back from bytes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import safetensors.torch
import torch
from small_runs import CONFIG, Ended, assert_same_run, halves, run, to_the_end
from torch import nn

from benchmark.records import Budget, Choice
from benchmark.training import (
    DeviceData,
    TrainingRun,
    state_from_bytes,
    state_to_bytes,
    stepper,
    weights_to_bytes,
)


@pytest.fixture(scope="module")
def data() -> DeviceData:
    return halves(12)


def interrupted(config: Any, data: DeviceData, after: int) -> Ended:
    """The run as a second process goes on with it after report `after`."""
    first = TrainingRun(config, data)
    images = first.open()
    reports = first.reports()
    records = [next(reports) for _ in range(after)]
    content = state_to_bytes(first.state_dict())
    reports.close()
    # Another process has drawn other numbers before.
    torch.manual_seed(99)
    torch.rand(7)
    second = TrainingRun(config, data)
    assert second.resume(state_from_bytes(content)) == images
    rest, trained = to_the_end(second)
    return [*records, *rest], trained


@pytest.mark.parametrize("after", [1, 3])
@pytest.mark.parametrize(
    "change",
    [
        {},
        {"optimizer": Choice("adamw", {"lr": 0.01})},
        {"optimizer": Choice("muon", {"lr": 0.1})},
        {"averaging": Choice("ema", {"decay": 0.9})},
        {"averaging": Choice("lookahead", {"decay": 0.9})},
        {"augmentations": (Choice("flip", {"mode": "alternating"}), Choice("cutout", {"pixels": 4}))},
        {"augmentations": (Choice("mixup", {"alpha": 0.5}),)},
        {"start_size": 0.75},
        {"batch_size": 24, "accumulation": 2},
        {"patience": 2},
    ],
    ids=str,
)
def test_a_continued_run_is_the_uninterrupted_one(data: DeviceData, change: dict[str, Any], after: int) -> None:
    config = replace(CONFIG, **change)
    whole = run(config, data)
    if len(whole[0]) > after:
        assert_same_run(interrupted(config, data, after), whole)


def test_random_numbers_of_the_network_go_on_as_well(data: DeviceData, monkeypatch: pytest.MonkeyPatch) -> None:
    build = stepper._initialised

    def with_dropout(*given: Any) -> nn.Module:
        return nn.Sequential(nn.Dropout(0.5), build(*given)).train()

    monkeypatch.setattr(stepper, "_initialised", with_dropout)
    assert_same_run(interrupted(CONFIG, data, 2), run(CONFIG, data))


def test_a_budget_in_seconds_keeps_its_images_and_its_time(data: DeviceData) -> None:
    # Long enough for more than the opening steps before the first report, on a busy machine as well.
    config = replace(CONFIG, budget=Budget(seconds=2))
    records, trained = interrupted(config, data, 2)
    assert trained.images_seen == records[-1].images_seen
    assert [record.step for record in records] == [1, 2, 3, 4]
    seconds = [record.train_seconds for record in records]
    assert seconds == sorted(seconds)
    assert trained.train_seconds == seconds[-1]
    assert trained.evaluation_seconds > records[1].evaluation_seconds


def tensors_in(state: Any) -> Iterator[torch.Tensor]:
    if isinstance(state, torch.Tensor):
        yield state
    elif isinstance(state, dict):
        for value in state.values():
            yield from tensors_in(value)


def test_a_state_stays_what_it_was(data: DeviceData) -> None:
    held = TrainingRun(CONFIG, data)
    held.open()
    reports = held.reports()
    next(reports)
    content = state_to_bytes(held.state_dict())
    next(reports)
    before, after = (list(tensors_in(state)) for state in (state_from_bytes(content), held.state_dict()))
    assert len(before) == len(after)
    assert any(not torch.equal(one, other) for one, other in zip(before, after, strict=True))


@pytest.mark.parametrize("memory", [torch.channels_last, torch.contiguous_format])
def test_weights_come_back(memory: torch.memory_format) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)).to(memory_format=memory)
    model.add_module("shared", model[0])
    found = safetensors.torch.load(weights_to_bytes(model))
    assert found.keys() == model.state_dict().keys()
    assert all(torch.equal(found[name], value) for name, value in model.state_dict().items())
