"""The search that a user would write around the script, after Optuna's own PyTorch example; uses nothing of ours.

Source: optuna-examples, pytorch/pytorch_simple.py: `study.optimize(objective, timeout=600)`, a report and a look at the
pruner after every epoch. Several processes share a database, as Optuna's tutorial on distributed optimization has it.
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
_STATES = {TrialState.COMPLETE: "complete", TrialState.PRUNED: "pruned", TrialState.FAIL: "cut off"}


@dataclass(frozen=True)
class Found:
    """The best validation score of any epoch that ended in time; `test_accuracy` is that network's, scored later.

    Both are None where no epoch ended in time.
    """

    val_accuracy: float | None
    test_accuracy: float | None


class _TimeIsUpError(Exception):
    """A trial that the deadline ends."""


class _Best:
    """The best score so far and a copy of its weights."""

    def __init__(self, script: UserScript) -> None:
        self._script = script
        self._accuracy: float | None = None
        self._weights: dict[str, Tensor] = {}

    def note(self, accuracy: float) -> None:
        if self._accuracy is None or accuracy > self._accuracy:
            self._accuracy = accuracy
            self._weights = {name: value.clone() for name, value in self._script.model.state_dict().items()}

    def found(self) -> Found:
        if self._accuracy is None:
            return Found(None, None)
        self._script.model.load_state_dict(self._weights)
        return Found(self._accuracy, self._script.test_accuracy())


def new_search(storage: str, seed: int) -> None:
    """An empty study in that database, for any number of `search`."""
    optuna.create_study(storage=storage, study_name=_NAME, direction="maximize", sampler=_sampler(seed))


def search(script: UserScript, storage: str, epochs: int, seed: int, seconds: float) -> Found:
    """Trials of `epochs` epochs until the seconds are over, beside whoever else searches in that database."""
    until, best = time.perf_counter() + seconds, _Best(script)

    def objective(trial: optuna.Trial) -> float:
        optimizer = trial.suggest_categorical("optimizer", list(RATES))
        rate = trial.suggest_float(f"{optimizer}_rate", *RATES[optimizer], log=True)
        accuracies = []
        for accuracy in script.epochs(Setting(optimizer, rate, epochs), seed + trial.number, until):
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
        storage=storage, study_name=_NAME, sampler=_sampler(seed), pruner=optuna.pruners.MedianPruner()
    )
    study.optimize(objective, timeout=seconds, catch=(_TimeIsUpError,))
    return best.found()


def trials_of(storage: str) -> dict[str, int]:
    """Trials of that search by state: complete, pruned, or cut off by the deadline."""
    trials = optuna.load_study(storage=storage, study_name=_NAME).trials
    states = [_STATES[trial.state] for trial in trials]
    return {state: states.count(state) for state in sorted(set(states))}


def one_run(script: UserScript, setting: Setting, seed: int, seconds: float) -> Found:
    """No search: one run of that setting, and its best epoch."""
    until, best = time.perf_counter() + seconds, _Best(script)
    for accuracy in script.epochs(setting, seed, until):
        best.note(accuracy)
    return best.found()


def _sampler(seed: int) -> optuna.samplers.BaseSampler:
    return optuna.samplers.TPESampler(seed=seed)
