"""Which rows are predicted wrong, and how two classifiers differ in them; pure functions that know no image.

Shapes: N rows, K classes. Log-probabilities are natural, (N, K); `labels` int64 (N,) in 0..K-1. Rows are numbers from 0
in the order of both. A temperature changes how sure predictions are, and never what they are. All functions raise
ValueError where the shapes do not fit.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmark.comparisons import Comparison, compare
from benchmark.metrics import confidence, confusion_matrix, correct_rows, predicted
from benchmark.temperature import apply_temperature


@dataclass(frozen=True)
class Mistake:
    """One row predicted wrong."""

    row: int
    label: int
    predicted: int
    confidence: float
    """Probability of the predicted class after the temperature, in (0, 1]."""
    label_probability: float
    """Probability of the label after the temperature, in [0, 1]."""


@dataclass(frozen=True)
class ConfusedPair:
    """A label and a class that it is taken for; the other direction is another pair."""

    label: int
    predicted: int
    share: float
    """Of all rows of the label, in (0, 1]."""
    rows: tuple[int, ...]
    """Those taken for the predicted class, the most confident first."""

    @property
    def count(self) -> int:
        """How many rows are taken for the predicted class."""
        return len(self.rows)


@dataclass(frozen=True, eq=False)
class ClassOutcomes:
    """How many rows of each class, int64 (K,), came out which way; together the class's rows."""

    repaired: NDArray[np.int64]
    broken: NDArray[np.int64]
    both_wrong: NDArray[np.int64]
    both_right: NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Repairs:
    """What a second classifier gets right and wrong beside a first; every row is in one of the four, int64."""

    repaired: NDArray[np.int64]
    """Rows that only the second has right, those that the first was surest of at the front."""
    broken: NDArray[np.int64]
    """Rows that only the first has right, those that the second is surest of at the front."""
    both_wrong: NDArray[np.int64]
    """Rising."""
    both_right: NDArray[np.int64]
    """Rising."""
    by_class: ClassOutcomes
    comparison: Comparison
    """Accuracy of the second minus that of the first, and McNemar's exact test; seen from the second."""


def most_confused(
    log_probs: NDArray[np.float32], labels: NDArray[np.int64], count: int, temperature: float = 1.0
) -> tuple[ConfusedPair, ...]:
    """The `count` pairs with the most rows; of equals the one of the larger share, then of the smaller class numbers.

    Fewer where fewer pairs are confused at all.
    """
    confusion = confusion_matrix(log_probs, labels)
    off_diagonal = confusion - np.diag(np.diag(confusion))
    support = confusion.sum(axis=1)
    pairs = sorted(
        (-int(off_diagonal[label, taken_for]), -off_diagonal[label, taken_for] / support[label], label, taken_for)
        for label, taken_for in np.argwhere(off_diagonal).tolist()
    )
    said, claimed = predicted(log_probs), confidence(apply_temperature(log_probs, temperature))
    found = []
    for _, minus_share, label, taken_for in pairs[:count]:
        rows = _surest_first(np.flatnonzero((labels == label) & (said == taken_for)), claimed)
        found.append(ConfusedPair(label, taken_for, float(-minus_share), tuple(rows.tolist())))
    return tuple(found)


def confident_mistakes(
    log_probs: NDArray[np.float32], labels: NDArray[np.int64], count: int, temperature: float = 1.0
) -> tuple[Mistake, ...]:
    """The `count` mistakes of highest confidence; of equals the one whose label is least probable, then the first row.

    Fewer where fewer rows are wrong.
    """
    wrong = np.flatnonzero(~correct_rows(log_probs, labels))
    stated = apply_temperature(log_probs[wrong], temperature)
    order = np.lexsort((stated[np.arange(len(wrong)), labels[wrong]], -confidence(stated)))
    return mistakes_at(log_probs, labels, wrong[order][:count].tolist(), temperature)


def mistakes_at(
    log_probs: NDArray[np.float32], labels: NDArray[np.int64], rows: Iterable[int], temperature: float = 1.0
) -> tuple[Mistake, ...]:
    """The mistakes in these rows, in their order. Raises ValueError where a row is right."""
    chosen = np.array(list(rows), np.int64)
    if correct_rows(log_probs[chosen], labels[chosen]).any():
        raise ValueError("a row that is predicted right is no mistake")
    stated = apply_temperature(log_probs[chosen], temperature)
    of_label = np.exp(stated[np.arange(len(chosen)), labels[chosen]].astype(np.float64))
    columns = (chosen, labels[chosen], predicted(log_probs[chosen]), confidence(stated), of_label)
    return tuple(Mistake(*values) for values in zip(*(column.tolist() for column in columns), strict=True))


def compare_mistakes(
    first: NDArray[np.float32],
    second: NDArray[np.float32],
    labels: NDArray[np.int64],
    temperatures: tuple[float, float] = (1.0, 1.0),
) -> Repairs:
    """What the second classifier repairs and breaks of the first, from log-probabilities (N, K) each."""
    # Of the second, minus the first: what repairs add is a gain.
    comparison = compare(second, first, labels)
    first_right, second_right = correct_rows(first, labels), correct_rows(second, labels)
    repaired, broken, both_wrong, both_right = (
        np.flatnonzero(rows)
        for rows in (
            second_right & ~first_right,
            first_right & ~second_right,
            ~first_right & ~second_right,
            first_right & second_right,
        )
    )
    of_first, of_second = temperatures
    return Repairs(
        _surest_first(repaired, confidence(apply_temperature(first, of_first))),
        _surest_first(broken, confidence(apply_temperature(second, of_second))),
        both_wrong,
        both_right,
        ClassOutcomes(
            *(
                np.bincount(labels[rows], minlength=first.shape[1]).astype(np.int64)
                for rows in (repaired, broken, both_wrong, both_right)
            )
        ),
        comparison,
    )


def _surest_first(rows: NDArray[np.int64], claimed: NDArray[np.float64]) -> NDArray[np.int64]:
    """Rows by falling confidence (N,) of all rows, the earlier of equals first."""
    ordered: NDArray[np.int64] = rows[np.argsort(-claimed[rows], kind="stable")]
    return ordered
