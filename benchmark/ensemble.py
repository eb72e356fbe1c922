"""Trials into ensembles: every method cross-fitted on validation, scored once on test; trains and stores nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import add

import numpy as np
from joblib import Parallel, delayed
from numpy.typing import NDArray

from benchmark.ensemblers import ENSEMBLERS, Ensembler
from benchmark.errors import BenchError
from benchmark.folds import stratified_folds
from benchmark.metrics import standing
from benchmark.records import Entrant, Predictions, Split, deciding

ENSEMBLE = "ensemble"


@dataclass(frozen=True, eq=False)
class Fitted:
    """One method over some members: out-of-fold on validation, fitted on all of validation for test."""

    val: Predictions
    test: Predictions
    weights: tuple[float, ...] | None
    """(M,) votes of the method fitted on all of validation."""


def default_methods() -> list[str]:
    """Every registered ensemble method but the baselines."""
    return [name for name in ENSEMBLERS if not ENSEMBLERS[name].tags.get("baseline")]


def build_ensembles(
    candidates: Sequence[Entrant],
    labels: NDArray[np.int64],
    *,
    top: int,
    methods: Sequence[str] | None = None,
    folds: int = 5,
    seed: int = 0,
) -> list[Entrant]:
    """One entrant per method, over the `top` single models of highest validation accuracy.

    `labels` (N,) are those of validation. Each entrant's members, votes and cost are those of the fit on all of
    validation, members without a vote left out. `methods` None means every one but the baselines.

    Raises BenchError where there are fewer than 2 or fewer than `top` candidates, UnknownNameError for an unknown
    method, SealedTestError where anything but validation would decide.
    """
    names = default_methods() if methods is None else list(methods)
    builders = {name: ENSEMBLERS[name].build for name in names}
    chosen = top_candidates(candidates, labels, top)
    assignment = _assignment(labels, folds, seed)
    val, test = [entrant.val for entrant in chosen], [entrant.test for entrant in chosen]
    return [
        _entrant(f"{name.replace('_', ' ')}, top {top}", chosen, cross_fit(build, val, test, labels, assignment))
        for name, build in builders.items()
    ]


def top_candidates(candidates: Sequence[Entrant], labels: NDArray[np.int64], top: int) -> list[Entrant]:
    """The `top` best by validation accuracy; ties go to lower validation log loss, then to the earlier trial."""
    if any(len(entrant.members) != 1 for entrant in candidates):
        raise ValueError("candidates are single models, each the one member of itself")
    if top < 2:
        raise BenchError(f"an ensemble needs at least 2 models, not {top}")
    if len(candidates) < 2:
        raise BenchError(f"an ensemble needs at least 2 completed trials, not {len(candidates)}; search first")
    if top > len(candidates):
        raise BenchError(f"top {top} asks for more than the {len(candidates)} completed trials; lower it or search on")
    return sorted(candidates, key=lambda entrant: (*standing(entrant.val, labels), entrant.members))[:top]


def cross_fit(
    build: Callable[[], Ensembler],
    val: Sequence[Predictions],
    test: Sequence[Predictions],
    labels: NDArray[np.int64],
    assignment: NDArray[np.int64],
) -> Fitted:
    """Fit a method on members' validation predictions; its own validation predictions are out-of-fold.

    `assignment` (N,) is the fold of every validation row: the prediction of a row comes from a fit on the other folds.
    Raises SealedTestError where `val` holds predictions of another split.
    """
    stacked = np.stack([deciding(predictions) for predictions in val])
    folds = np.unique(assignment)

    def fitted_without(fold: int | None) -> Ensembler:
        inside = assignment != fold if fold is not None else np.full(len(labels), True)
        return build().fit(stacked[:, inside], labels[inside])

    # Threads, since the fits are numpy and scikit-learn, which let go of the interpreter while they compute.
    *partial, method = Parallel(n_jobs=-1, prefer="threads")(delayed(fitted_without)(fold) for fold in [*folds, None])
    out_of_fold = np.empty(stacked.shape[1:], np.float32)
    for fold, without in zip(folds, partial, strict=True):
        out_of_fold[assignment == fold] = without.predict(stacked[:, assignment == fold])
    return Fitted(
        val=Predictions(Split.VAL, out_of_fold),
        test=Predictions(Split.TEST, method.predict(np.stack([predictions.log_probs for predictions in test]))),
        weights=None if method.weights is None else tuple(float(weight) for weight in method.weights),
    )


def _assignment(labels: NDArray[np.int64], folds: int, seed: int) -> NDArray[np.int64]:
    if folds > len(labels):
        raise BenchError(f"{folds} folds need at least as many validation rows, and there are {len(labels)}")
    return stratified_folds(labels, folds, seed)


def _entrant(name: str, candidates: Sequence[Entrant], fitted: Fitted) -> Entrant:
    weights = fitted.weights
    voting = [index for index in range(len(candidates)) if weights is None or weights[index] > 0]
    return Entrant(
        name=name,
        kind=ENSEMBLE,
        family=ENSEMBLE,
        members=tuple(candidates[index].members[0] for index in voting),
        weights=None if weights is None else tuple(weights[index] for index in voting),
        val=fitted.val,
        test=fitted.test,
        cost=reduce(add, (candidates[index].cost for index in voting)),
    )
