"""Accuracy against size: the curves, and where they end."""

from __future__ import annotations

import numpy as np
import pytest
from candidates import CANDIDATES, LABELS_VAL, TEST, VAL

from benchmark.ensemble import EnsembleSpec, Limits, build_ensembles, size_curve
from benchmark.ensemble.sizes import CURVES

POINTS = size_curve(CANDIDATES, LABELS_VAL, range(1, 9), EnsembleSpec())


@pytest.mark.parametrize("name", CURVES)
def test_a_curve_goes_over_the_sizes_there_are(name: str) -> None:
    points = [point for point in POINTS if point.curve == f"{name.replace('_', ' ')} of the best"]
    assert [point.size for point in points] == [2, 3, 4, 5]
    assert all(point.fitted.val.log_probs.shape == (VAL, 3) for point in points)
    assert all(point.fitted.test.log_probs.shape == (TEST, 3) for point in points)


def test_a_point_is_the_ensemble_of_so_many_best() -> None:
    (point,) = [one for one in POINTS if one.curve == "soft voting of the best" and one.size == 3]
    (built,) = build_ensembles(CANDIDATES, LABELS_VAL, EnsembleSpec(top=3, methods=("soft_voting",)))
    assert np.array_equal(point.fitted.val.log_probs, built.val.log_probs)
    assert np.array_equal(point.fitted.test.log_probs, built.test.log_probs)


def test_members_are_those_that_have_a_vote() -> None:
    for point in POINTS:
        weights = point.fitted.weights
        assert point.members == (point.size if weights is None else np.count_nonzero(weights)) <= point.size
    assert all(point.members == point.size for point in POINTS if point.curve == "soft voting of the best")
    assert any(point.members < point.size for point in POINTS)


def test_a_selection_from_all_grows_as_far_as_it_wants() -> None:
    points = [point for point in POINTS if point.curve == "greedy selection from all"]
    sizes = [point.members for point in points]
    assert sizes == sorted(set(sizes))
    assert sizes[-1] <= 5
    last = points[-1].fitted.weights
    assert last is not None
    assert np.count_nonzero(last) == sizes[-1]


def test_sizes_beyond_the_limits_are_left_out() -> None:
    free, bound = (
        size_curve(CANDIDATES, LABELS_VAL, range(1, 9), EnsembleSpec(limits=limits))
        for limits in (Limits(), Limits(members=3))
    )
    assert max(point.size for point in free) == 5
    assert {point.size for point in bound if point.curve != "greedy selection from all"} == {2, 3}
    assert max(point.members for point in bound) == 3
