"""A search whose accuracies follow a known rule, for tests of what is found in a search."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import TrialState, create_trial

from benchmark.store import StudyLocation, StudyStore, create_study

FAMILIES = ("cnn", "resnet", "vgg")
SPACE: dict[str, BaseDistribution] = {
    "family": CategoricalDistribution(FAMILIES),
    "optimizer": CategoricalDistribution(("adamw", "sgd")),
    "adamw.lr": FloatDistribution(1e-4, 3e-2, log=True),
    "sgd.lr": FloatDistribution(0.005, 5.0, log=True),
    "schedule": CategoricalDistribution(("cosine",)),
    "batch_size": CategoricalDistribution((64, 128, 256, 512)),
    "label_smoothing": FloatDistribution(0.0, 0.3),
    "flip": CategoricalDistribution((True, False)),
    "cnn.width": IntDistribution(16, 64, step=16),
    "cnn.variant": CategoricalDistribution(("whitening", "plain")),
    "resnet.width": IntDistribution(8, 32, step=8),
    "vgg.depth": CategoricalDistribution((8, 11)),
}
"""One choice has one value; learning rates hang on the optimizer, widths and depths on the family."""


def accuracy(parameters: dict[str, Any]) -> float:
    """0.8, less the square of how far, in decades, the learning rate is from a tenth of its range's end; a bit less
    with smaller batches, and nothing else."""
    of_rate = SPACE[f"{parameters['optimizer']}.lr"]
    assert isinstance(of_rate, FloatDistribution)
    decades = math.log10(parameters[f"{parameters['optimizer']}.lr"] / (0.1 * of_rate.high))
    return 0.8 - 0.1 * decades**2 + 0.01 * math.log2(parameters["batch_size"] / 64)


def sampled(family: str, rng: np.random.Generator, **fixed: Any) -> dict[str, Any]:
    """Parameters of one trial, each drawn evenly on its scale, but for those that are given."""
    chosen: dict[str, Any] = {"family": family, **fixed}
    for name, distribution in SPACE.items():
        owner, is_owned, _ = name.partition(".")
        if name not in chosen and (not is_owned or owner in (family, chosen["optimizer"])):
            chosen[name] = _drawn(distribution, rng)
    return chosen


def _drawn(distribution: BaseDistribution, rng: np.random.Generator) -> Any:
    if isinstance(distribution, CategoricalDistribution):
        return distribution.choices[rng.integers(len(distribution.choices))]
    assert isinstance(distribution, IntDistribution | FloatDistribution)
    if isinstance(distribution, IntDistribution):
        return int(rng.integers(distribution.low // distribution.step, distribution.high // distribution.step + 1)) * (
            distribution.step
        )
    if distribution.log:
        return float(np.exp(rng.uniform(np.log(distribution.low), np.log(distribution.high))))
    return float(rng.uniform(distribution.low, distribution.high))


def add(store: StudyStore, parameters: dict[str, Any], state: TrialState = TrialState.COMPLETE, **facts: Any) -> None:
    """A trial with these parameters, with the accuracy that they have where it is complete, reported half way."""
    score = accuracy(parameters)
    reports = {} if state is TrialState.FAIL else {1: score / 2, 2: score}
    store.study.add_trial(
        create_trial(
            state=state,
            value=score if state is not TrialState.FAIL else None,
            params=parameters,
            distributions={name: SPACE[name] for name in parameters},
            user_attrs=facts,
            intermediate_values=reports,
        )
    )


def plant(root: Path, complete: dict[str, int], seed: int = 0) -> StudyStore:
    """A search with so many complete trials of each family, in turn; one of `cnn` was pruned before, another failed."""
    store = create_study(StudyLocation("planted", root))
    store.set_fact("definition", {"seed": 0})
    rng = np.random.default_rng(seed)
    add(store, sampled("cnn", rng), TrialState.PRUNED)
    add(store, sampled("cnn", rng), TrialState.FAIL)
    for number in range(max(complete.values())):
        for family in sorted(complete):
            if number < complete[family]:
                add(store, sampled(family, rng))
    return store
