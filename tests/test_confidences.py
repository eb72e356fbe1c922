"""Accuracy against coverage, by hand and against thresholds tried out; bins are tested with their figure."""

from __future__ import annotations

import numpy as np
import pytest

from benchmark.confidences import Confidences, coverage_curve
from benchmark.metrics import estimated_share

# In the order of confidence: right, wrong and right together, right, wrong.
BY_HAND = Confidences("by hand", np.array([0.6, 0.9, 0.7, 0.4, 0.7]), np.array([True, True, False, False, True]))


def test_by_hand() -> None:
    curve = coverage_curve(BY_HAND)
    assert curve.threshold.tolist() == [0.9, 0.7, 0.6, 0.4]
    assert curve.rows.tolist() == [1, 3, 4, 5]
    assert curve.hits.tolist() == [1, 2, 3, 3]
    assert curve.coverage.tolist() == [0.2, 0.6, 0.8, 1.0]
    assert curve.accuracy.tolist() == pytest.approx([1, 2 / 3, 3 / 4, 3 / 5])


@pytest.mark.parametrize(("coverage", "rows"), [(0.01, 1), (0.2, 1), (0.21, 3), (0.6, 3), (0.61, 4), (1.0, 5)])
def test_a_share_of_rows_is_covered_at_least(coverage: float, rows: int) -> None:
    curve = coverage_curve(BY_HAND)
    assert curve.rows[curve.at(coverage)] == rows


def test_equal_confidence_is_one_point_whatever_the_order() -> None:
    for correct in ([True, False, False], [False, False, True]):
        curve = coverage_curve(Confidences("tied", np.ones(3), np.array(correct)))
        assert (curve.rows.tolist(), curve.hits.tolist(), curve.threshold.tolist()) == ([3], [1], [1.0])


@pytest.mark.parametrize("seed", range(3))
def test_every_threshold_does_what_it_says(seed: int) -> None:
    rng = np.random.default_rng(seed)
    confidence = rng.integers(1, 30, 200) / 30
    answers = Confidences("random", confidence, rng.random(200) < confidence)
    curve = coverage_curve(answers)
    assert curve.threshold.tolist() == sorted(set(confidence.tolist()), reverse=True)
    for threshold, rows, hits in zip(curve.threshold, curve.rows, curve.hits, strict=True):
        assert rows == (confidence >= threshold).sum()
        assert hits == answers.correct[confidence >= threshold].sum()
    assert curve.accuracy[-1] == answers.accuracy.value


def test_accuracy_has_its_interval() -> None:
    assert BY_HAND.accuracy == estimated_share(3, 5)
