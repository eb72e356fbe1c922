"""Scores under corruption, against numbers worked out by hand."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from benchmark.metrics import Estimate
from benchmark.robustness import score_corruptions

# Two entrants, two corruptions at two severities, four images.
CLEAN = np.array([[1, 1, 1, 0], [1, 1, 0, 0]], bool)
RIGHT = np.array(
    [
        [[[1, 1, 1, 0], [1, 1, 0, 0]], [[1, 0, 0, 0], [0, 0, 0, 0]]],
        [[[1, 0, 1, 0], [1, 0, 0, 0]], [[1, 1, 0, 0], [0, 1, 0, 0]]],
    ],
    bool,
)


def test_accuracies() -> None:
    first, second = score_corruptions(["a", "b"], CLEAN, RIGHT, reference=1)
    assert first.entrant == "a"
    assert first.clean.value == 0.75
    assert first.accuracy.tolist() == [[0.75, 0.5], [0.25, 0.0]]
    assert [one.value for one in first.by_corruption] == [0.625, 0.125]
    assert [one.value for one in first.by_severity] == [0.5, 0.25]
    assert first.mean.value == 6 / 16
    assert second.mean.value == 6 / 16
    assert first.versus_reference.value == 0


def test_mean_corruption_error_is_relative_to_the_reference() -> None:
    first, second = score_corruptions(["a", "b"], CLEAN, RIGHT, reference=1)
    # Errors: 3 and 7 of the first, 5 and 5 of the second.
    assert first.error_ratio == pytest.approx((3 / 5 + 7 / 5) / 2)
    assert second.error_ratio == 1
    first, second = score_corruptions(["a", "b"], CLEAN, RIGHT, reference=0)
    assert second.error_ratio == pytest.approx((5 / 3 + 5 / 7) / 2)


def test_there_is_no_ratio_to_no_errors() -> None:
    perfect = RIGHT.copy()
    perfect[1, 0] = True
    assert [one.error_ratio for one in score_corruptions(["a", "b"], CLEAN, perfect, reference=1)] == [None, None]


def test_the_interval_draws_images_and_keeps_what_became_of_one_together() -> None:
    """Four images: all 256 resamples of them are counted."""
    right = np.zeros((1, 2, 2, 4), bool)
    right[0, :, :, 0] = True
    right[0, 0, :, 1] = right[0, 1, 0, 1] = True
    right[0, 0, 0, 2] = True
    (found,) = score_corruptions(["a"], np.ones((1, 4), bool), right, reference=0)
    means = [np.mean([(1, 0.75, 0.25, 0)[image] for image in drawn]) for drawn in product(range(4), repeat=4)]
    low, high = np.quantile(means, [0.025, 0.975], method="inverted_cdf")
    assert (low, high) == (0.125, 0.875)
    assert (found.mean.value, found.mean.low, found.mean.high) == (0.5, low, high)


def test_equal_entrants_differ_by_nothing() -> None:
    same = np.concatenate([RIGHT[:1], RIGHT[:1]])
    for one in score_corruptions(["a", "b"], CLEAN[[0, 0]], same, reference=0):
        assert one.versus_reference == Estimate(0, 0, 0)


def test_the_difference_is_paired_by_image() -> None:
    # The second has right what the first has, and one image more: resamples without it are equal.
    right = np.zeros((2, 1, 1, 4), bool)
    right[:, 0, 0, :2] = True
    right[1, 0, 0, 2] = True
    _, found = score_corruptions(["a", "b"], right[:, 0, 0], right, reference=0)
    assert found.versus_reference.value == 0.25
    assert found.versus_reference.low == 0
