"""Cross-fitting: a method's validation predictions come from fits on other rows; knows no trial and no method by name.

Wolpert 1992, doi:10.1016/S0893-6080(05)80023-1 (out-of-fold predictions of a combiner).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from joblib import Parallel, delayed
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from benchmark.ensemblers import Ensembler
from benchmark.errors import BenchError
from benchmark.folds import stratified_folds
from benchmark.records import Predictions, Split, deciding


@dataclass(frozen=True, eq=False)
class Fitted:
    """One method over some members: out-of-fold on validation, fitted on all of validation for test."""

    val: Predictions
    test: Predictions
    weights: tuple[float, ...] | None
    """(M,) votes of the method fitted on all of validation."""


@dataclass(frozen=True, eq=False)
class CrossFit:
    """The fits themselves, one without each fold and one on all rows, and what they are to be asked about."""

    without: tuple[Ensembler, ...]
    """By fold: fitted on all rows but the fold's."""
    whole: Ensembler
    assignment: NDArray[np.int64]
    """(N,) the fold of every validation row."""
    val: NDArray[np.float32]
    """(M, N, K) members' log-probabilities on validation."""
    test: NDArray[np.float32]
    """(M, N', K) the same on test."""

    def fitted(self, view: Callable[[Ensembler], Ensembler] = lambda method: method) -> Fitted:
        """What the fits predict, each looked at through `view` (as a smaller ensemble that a fit contains)."""
        out_of_fold = np.empty(self.val.shape[1:], np.float32)
        for fold, method in enumerate(self.without):
            inside = self.assignment == fold
            out_of_fold[inside] = view(method).predict(self.val[:, inside])
        whole = view(self.whole)
        return Fitted(
            val=Predictions(Split.VAL, out_of_fold),
            test=Predictions(Split.TEST, whole.predict(self.test)),
            weights=None if whole.weights is None else tuple(float(weight) for weight in whole.weights),
        )


def cross_fits(
    build: Callable[[], Ensembler],
    val: Sequence[Predictions],
    test: Sequence[Predictions],
    labels: NDArray[np.int64],
    assignment: NDArray[np.int64],
) -> CrossFit:
    """Fit a method on members' validation predictions, without each fold and on all rows.

    `assignment` (N,) is the fold, 0..F-1, of every validation row. Raises SealedTestError where `val` holds
    predictions of another split.
    """
    stacked = np.stack([deciding(predictions) for predictions in val])

    def fitted_without(fold: int | None) -> Ensembler:
        inside = assignment != fold if fold is not None else np.full(len(labels), True)
        return build().fit(stacked[:, inside], labels[inside])

    # Threads, since the fits are numpy and scikit-learn, which let go of the interpreter while they compute. The
    # longest, on all rows, begins first.
    folds = [None, *range(int(assignment.max()) + 1)]
    # One thread each, said here as well: a limit holds for the whole process, and of several threads that set one for
    # themselves, whoever ends first would end it for all.
    with threadpool_limits(limits=1):
        whole, *without = Parallel(n_jobs=-1, prefer="threads")(delayed(fitted_without)(fold) for fold in folds)
    return CrossFit(
        tuple(without), whole, assignment, stacked, np.stack([predictions.log_probs for predictions in test])
    )


def folds_of(labels: NDArray[np.int64], folds: int, seed: int) -> NDArray[np.int64]:
    """The fold of every validation row (N,). Raises BenchError where there are fewer rows than folds."""
    if folds > len(labels):
        raise BenchError(f"{folds} folds need at least as many validation rows, and there are {len(labels)}")
    return stratified_folds(labels, folds, seed)
