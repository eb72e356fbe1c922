"""A study with planted predictions and curves, for tests of its report."""

from __future__ import annotations

import warnings
from dataclasses import asdict
from pathlib import Path

import numpy as np
from filled_study import choose_family, fill, guess
from numpy.typing import NDArray
from optuna.exceptions import ExperimentalWarning
from optuna.samplers import PartialFixedSampler, RandomSampler

from benchmark.ensemble import EnsembleSpec
from benchmark.records import Cost, ProgressRecord, Split
from benchmark.store import Claim, StudyStore
from benchmark.study import ensembles_of


def planted(root: Path, trials: int = 5, *, ensembles: bool = True) -> StudyStore:
    """A study whose trials 0 and 1 are complete without a curve, 2 failed, 3 and on complete with one, the last pruned.

    From trial 3 on, families take turns and two parameters are searched. Of trial 3 no training loss is finite.
    """
    store = fill(root, complete=2)
    for number in range(3, trials + 1):
        claim = _claimed(store, number)
        curve = [_report(step, number) for step in (1, 2, 3)]
        for record in curve:
            store.queue.report(claim.trial, record.step, record.val_accuracy)
        predictions = (guess(store, Split.VAL, number), guess(store, Split.TEST, number))
        accuracy = float((predictions[0].log_probs.argmax(axis=1) == store.labels(Split.VAL)).mean())
        facts = {"cost": Cost(1000 * number, 2000, 1.5, 0.1 * number), "device": "a processor"}
        facts |= {"curve": [asdict(record) for record in curve]}
        assert store.queue.complete(claim.trial, accuracy, predictions, facts)
    pruned = _claimed(store, trials + 1)
    store.queue.report(pruned.trial, 1, 0.2)
    store.queue.prune(pruned.trial, {})
    if ensembles:
        ensembles_of(store, EnsembleSpec(top=3, methods=("soft_voting", "greedy_selection", "stacking_on_probs")))
    return store


def _claimed(store: StudyStore, number: int) -> Claim:
    fixed = {"family": ("cnn", "vgg")[number % 2]}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        store.study.sampler = PartialFixedSampler(fixed, RandomSampler(number))
    claim = store.queue.claim(1000, _suggest)
    assert isinstance(claim, Claim)
    assert claim.trial.number == number
    return claim


def _suggest(claim: Claim) -> None:
    choose_family(claim)
    claim.trial.suggest_float("sgd.lr", 0.01, 1.0, log=True)
    claim.trial.suggest_categorical("batch_size", (64, 128))


def _report(step: int, number: int) -> ProgressRecord:
    loss = float("nan") if number == 3 else 2.0 / step
    return ProgressRecord(step, 1000 * step, loss, 2.2 / step, 0.3 + 0.1 * step, 0.1 * (3 - step), step, 0.1, 900.0)


def noise(height: int, width: int, seed: int = 0) -> NDArray[np.uint8]:
    """An image that no format makes smaller."""
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
