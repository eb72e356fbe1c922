"""The search that a user's script makes for the comparison: its best epoch counts, the deadline ends it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import pytest
import torch
from torch import nn

from studies.speed.baseline import Setting, UserScript
from studies.speed.script_search import RATES, Found, new_search, one_run, search, trials_of

STEP_SECONDS = 0.01


class FakeScript:
    """A script whose epochs have the given scores, over and over; its network holds the epoch's number."""

    def __init__(self, scores: list[float]) -> None:
        self.model = nn.Linear(1, 1, bias=False)
        self.settings: list[Setting] = []
        self._scores = scores

    def epochs(self, setting: Setting, seed: int, until: float) -> Iterator[float]:
        del seed
        self.settings.append(setting)
        assert setting.one_cycle_epochs is not None
        for number in range(setting.one_cycle_epochs):
            time.sleep(STEP_SECONDS)
            if time.perf_counter() > until:
                return
            with torch.no_grad():
                self.model.weight.fill_(float(number))
            yield self._scores[number % len(self._scores)]

    def test_accuracy(self) -> float:
        return 0.1 * self.model.weight.item()


@pytest.fixture
def storage(tmp_path: Path) -> str:
    place = f"sqlite:///{tmp_path / 'script.db'}"
    new_search(place)
    return place


def test_the_best_epoch_counts_with_its_own_network() -> None:
    script = FakeScript([0.5, 0.8, 0.6])
    found = one_run(cast(UserScript, script), 0, Setting("sgd", 0.1, 3), seconds=60)
    assert found == Found(0.8, pytest.approx(0.1), 3)


def test_what_does_not_end_in_time_does_not_count() -> None:
    found = one_run(cast(UserScript, FakeScript([0.5])), 0, Setting("sgd", 0.1, 10_000), seconds=0.5)
    assert 0 < found.epochs < 10_000
    with pytest.raises(ValueError, match="first epoch takes longer"):
        one_run(cast(UserScript, FakeScript([0.5])), 0, Setting("sgd", 0.1, 3), seconds=0)


def test_a_search_ends_with_the_trial_that_the_deadline_meets(storage: str) -> None:
    script = FakeScript([0.5, 0.8, 0.6])
    seconds = 1.0
    started = time.perf_counter()
    found = search(cast(UserScript, script), 0, storage, epochs=40, seconds=seconds)
    assert seconds <= time.perf_counter() - started < 30
    assert found.val_accuracy == 0.8
    trials = trials_of(storage)
    assert trials.get("cut off", 0) <= 1
    assert sum(trials.values()) == len(script.settings)
    for setting in script.settings:
        low, high = RATES[setting.optimizer]
        assert low <= setting.rate <= high
        assert setting.one_cycle_epochs == 40


def test_the_median_pruner_ends_trials_that_fall_behind(storage: str) -> None:
    class Worse(FakeScript):
        def epochs(self, setting: Setting, seed: int, until: float) -> Iterator[float]:
            for score in super().epochs(setting, seed, until):
                yield score / len(self.settings)

    search(cast(UserScript, Worse([0.5, 0.8])), 0, storage, epochs=2, seconds=2)
    assert trials_of(storage)["pruned"] > 0
