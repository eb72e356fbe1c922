"""Accuracy against the size of an ensemble, of methods that are fitted in seconds; recommends nothing."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from benchmark.ensemble.building import GREEDY, EnsembleSpec, refit
from benchmark.ensemble.crossfit import Fitted, cross_fits, folds_of
from benchmark.ensemble.pools import cheapest_first, may_join_within, ranked
from benchmark.ensemblers import Ensembler
from benchmark.ensemblers.greedy_selection import GreedySelection
from benchmark.records import Entrant

CURVES = ("soft_voting", GREEDY, "log_linear_pooling")
"""Methods that are fitted in seconds for any size."""


@dataclass(frozen=True, eq=False)
class SizePoint:
    """An ensemble of one size, by the name of its curve."""

    curve: str
    size: int
    """How many models a method is given, or how many at most greedy selection takes of all."""
    fitted: Fitted

    @property
    def members(self) -> int:
        """Models that have a vote: a method may take fewer than it is given."""
        weights = self.fitted.weights
        return self.size if weights is None else int(np.count_nonzero(weights))


def size_curve(
    candidates: Sequence[Entrant], labels: NDArray[np.int64], sizes: Iterable[int], spec: EnsembleSpec
) -> list[SizePoint]:
    """Ensembles of the so many best single models, and of at most so many that greedy selection picks from all.

    Where there are limits, those within them. No temperature is fitted to what greedy selection picks from. `labels`
    (N,) are those of validation, which decides and is predicted out-of-fold. Sizes below 2 and above the number of
    candidates are left out; a selection that wants fewer members ends its curve early.
    """
    best = ranked(candidates, labels)
    assignment = folds_of(labels, spec.folds, spec.seed)
    wanted = [size for size in sizes if 2 <= size <= len(best)]
    points = [
        SizePoint(f"{name.replace('_', ' ')} of the best", size, refit(name, best[:size], labels, assignment, spec))
        for name in CURVES
        for size in wanted
        if spec.limits.allow(best[:size])
    ]
    return [*points, *_selected(best, labels, wanted, assignment, spec)]


def _selected(
    best: list[Entrant],
    labels: NDArray[np.int64],
    sizes: Sequence[int],
    assignment: NDArray[np.int64],
    spec: EnsembleSpec,
) -> list[SizePoint]:
    """One selection from all, and the smaller ensembles on its way."""
    pool = cheapest_first([one for one in best if spec.limits.allow([one])])
    may_join = partial(may_join_within, pool, spec.limits) if spec.limits else None
    val, test = [entrant.val for entrant in pool], [entrant.test for entrant in pool]
    fits = cross_fits(lambda: GreedySelection(metric=spec.metric, may_join=may_join), val, test, labels, assignment)
    points: list[SizePoint] = []
    for size in sizes:
        fitted = fits.fitted(lambda method, size=size: _up_to(method, size))  # type: ignore[misc]
        point = SizePoint("greedy selection from all", size, fitted)
        if not points or point.members > points[-1].members:
            points.append(point)
    return points


def _up_to(method: Ensembler, members: int) -> Ensembler:
    assert isinstance(method, GreedySelection)
    return method.up_to(members)
