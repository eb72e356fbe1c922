"""The search that a user would write around the script, after Optuna's own PyTorch example; uses nothing of ours.

Source: optuna-examples, pytorch/pytorch_simple.py: `study.optimize(objective, timeout=600)`, a report and a look at the
pruner after every epoch. That example trains on 3,840 images an epoch; here it is all rows. Several processes share a
database, as in Optuna's tutorial on distributed optimization.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import optuna
from optuna.trial import TrialState
from torch import Tensor

from studies.speed.baseline import Setting, UserScript

RATES = {"sgd": (0.03, 1.0), "adam": (5e-4, 2e-2)}
"""What is searched: the optimizer, and its highest rate in a one-cycle schedule, on the logarithm. What reached 80 %
fastest lies inside both."""
_NAME = "script"
_SEEDS_PER_SEARCH = 1000
"""Trials of one process have seeds of their own."""
_STATES = {TrialState.COMPLETE: "complete", TrialState.PRUNED: "pruned", TrialState.FAIL: "cut off"}


@dataclass(frozen=True)
class Found:
    """The best validation score of any epoch that ended in time; `test_accuracy` is that network's, scored later."""

    val_accuracy: float
    test_accuracy: float
    epochs: int
    """Those that ended in time, of all trials."""


class _TimeIsUpError(Exception):
    """A trial that the deadline ends."""


class _Best:
    """The best score so far and a copy of its weights."""

    def __init__(self, script: UserScript) -> None:
        self._script = script
        self._accuracy = -1.0
        self._weights: dict[str, Tensor] = {}
        self._epochs = 0

    def note(self, accuracy: float) -> None:
        self._epochs += 1
        if accuracy > self._accuracy:
            self._accuracy = accuracy
            self._weights = {name: value.clone() for name, value in self._script.model.state_dict().items()}

    def found(self) -> Found:
        if not self._epochs:
            raise ValueError("the script's first epoch takes longer than the whole time")
        self._script.model.load_state_dict(self._weights)
        return Found(self._accuracy, self._script.test_accuracy(), self._epochs)


def new_search(storage: str) -> None:
    """An empty study in that database, for any number of `search`."""
    optuna.create_study(storage=storage, study_name=_NAME, direction="maximize")


def search(script: UserScript, seed: int, storage: str, epochs: int, seconds: float) -> Found:
    """Trials of `epochs` epochs until the seconds are over, beside whoever else searches in that database.

    Raises ValueError where no epoch ends in time.
    """
    until, best = time.perf_counter() + seconds, _Best(script)

    def objective(trial: optuna.Trial) -> float:
        optimizer = trial.suggest_categorical("optimizer", list(RATES))
        setting = Setting(optimizer, trial.suggest_float(f"{optimizer}_rate", *RATES[optimizer], log=True), epochs)
        accuracies = []
        for accuracy in script.epochs(setting, _SEEDS_PER_SEARCH * seed + trial.number, until):
            best.note(accuracy)
            accuracies.append(accuracy)
            trial.report(accuracy, len(accuracies))
            if trial.should_prune():
                raise optuna.TrialPruned
        if len(accuracies) < epochs:
            trial.study.stop()
            raise _TimeIsUpError
        return accuracies[-1]

    study = optuna.load_study(
        storage=storage,
        study_name=_NAME,
        sampler=optuna.samplers.TPESampler(seed=seed),
        pruner=optuna.pruners.MedianPruner(),
    )
    study.optimize(objective, timeout=seconds, catch=(_TimeIsUpError,))
    return best.found()


def trials_of(storage: str) -> dict[str, int]:
    """Trials of that search by state: complete, pruned, or cut off by the deadline."""
    trials = optuna.load_study(storage=storage, study_name=_NAME).trials
    states = [_STATES[trial.state] for trial in trials]
    return {state: states.count(state) for state in sorted(set(states))}


def one_run(script: UserScript, seed: int, setting: Setting, seconds: float) -> Found:
    """No search: one run of that setting, and its best epoch. Raises ValueError where none ends in time."""
    until, best = time.perf_counter() + seconds, _Best(script)
    for accuracy in script.epochs(setting, seed, until):
        best.note(accuracy)
    return best.found()


def epoch_seconds(script: UserScript, seed: int) -> float:
    """Seconds of one epoch with its score."""
    started = time.perf_counter()
    next(script.epochs(Setting("sgd", RATES["sgd"][0], 1), seed, started + 1e9))
    return time.perf_counter() - started
