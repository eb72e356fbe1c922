"""The images that are shown unless others are asked for: telling mistakes first, and right answers of many classes."""

from __future__ import annotations

import numpy as np
import pytest

from benchmark.explain import telling_rows

# Row: label, predicted, confidence.
ROWS = [
    (0, 0, 0.90),
    (0, 0, 0.95),
    (1, 1, 0.80),
    (1, 0, 0.70),  # a mistake
    (2, 1, 0.99),  # the most confident mistake
    (2, 2, 0.60),
    (2, 2, 0.65),
    (1, 2, 0.50),  # a mistake
]
LABELS = np.array([label for label, _, _ in ROWS], np.int64)


def log_probs() -> np.ndarray:
    probs = np.array([np.full(3, (1 - confidence) / 2) for _, _, confidence in ROWS])
    for row, (_, predicted, confidence) in enumerate(ROWS):
        probs[row, predicted] = confidence
    return np.log(probs).astype(np.float32)


@pytest.mark.parametrize(
    ("count", "expected"),
    [
        (1, [4]),
        (2, [4, 6]),
        # Of the classes that were mistaken, 2 and 1, in the order of their mistakes.
        (4, [4, 3, 6, 2]),
        (6, [4, 3, 7, 6, 2, 1]),
        # All mistakes are there: a second right answer of class 2, then of class 0.
        (8, [4, 3, 7, 6, 2, 1, 5, 0]),
        (99, [4, 3, 7, 6, 2, 1, 5, 0]),
    ],
)
def test_mistakes_then_right_answers_of_each_class_in_turn(count: int, expected: list[int]) -> None:
    assert telling_rows(log_probs(), LABELS, count).tolist() == expected


def test_too_few_of_one_kind_make_room_for_the_other() -> None:
    right = np.array([0, 1, 2, 5, 6])
    assert telling_rows(log_probs()[right], LABELS[right], 4).tolist() == [1, 2, 4, 0]
    wrong = np.array([3, 4, 7])
    assert telling_rows(log_probs()[wrong], LABELS[wrong], 4).tolist() == [1, 0, 2]
