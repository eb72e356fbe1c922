"""Stratified folds of rows, by label and seed; knows labels and nothing of what is fitted on them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def stratified_folds(labels: NDArray[np.int64], folds: int, seed: int) -> NDArray[np.int64]:
    """The fold, 0..folds-1, of every row (N,): fold sizes and each class's counts by fold differ by at most 1.

    Dealt like cards over the shuffled rows of one class after the other, so that classes with fewer rows than folds
    are no special case (scikit-learn's StratifiedKFold warns of them). Raises ValueError unless 2 <= folds <= N.
    """
    if not 2 <= folds <= len(labels):
        raise ValueError(f"{len(labels)} rows cannot make {folds} folds of at least one row")
    shuffled = np.random.default_rng(seed).permutation(len(labels))
    by_class = shuffled[np.argsort(labels[shuffled], kind="stable")]
    assignment = np.empty(len(labels), np.int64)
    assignment[by_class] = np.arange(len(labels)) % folds
    return assignment
