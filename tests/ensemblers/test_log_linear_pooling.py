"""Exponents by hand, against another solver, and what becomes of members that add nothing."""

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import log_softmax
from synthetic_members import alike, constant, members

from benchmark.ensemblers.log_linear_pooling import NEGLIGIBLE, LogLinearPooling

LABELS = np.zeros(12, np.int64)
MOSTLY_RIGHT = [9, 10, 11]
"""Wrong on these rows, right on 3/4 of the twelve."""
OFTEN_RIGHT = [6, 7, 8, 11]
"""Wrong on these, right on 2/3, of those where the other is right as well as of the others."""


def fitted(log_probs: np.ndarray, labels: np.ndarray = LABELS) -> LogLinearPooling:
    return LogLinearPooling().fit(log_probs, labels)


def test_one_member_is_calibrated() -> None:
    # Right on 3/4 with a confidence of 0.9: odds of 9 become odds of 3.
    pool = fitted(constant(MOSTLY_RIGHT, rows=12)[None])
    assert pool.exponents == pytest.approx([0.5])
    assert pool.weights == pytest.approx([1])
    assert np.exp(pool.predict(constant([], rows=1)[None])) == pytest.approx(np.array([[0.75, 0.25]]), abs=1e-6)


def test_independent_members_multiply_their_odds() -> None:
    # Odds of 3 and 2, and errors that are independent: of twelve rows, 6 have both right, 3 and 2 one of them, 1 none.
    # Both right is 6 to 1, as Bayes has it. The first states its odds as 9, so that its exponent is 1/2.
    calibrated = np.stack(
        [constant(MOSTLY_RIGHT, rows=12, confidence=3 / 4), constant(OFTEN_RIGHT, rows=12, confidence=2 / 3)]
    )
    pool = fitted(calibrated)
    assert pool.exponents == pytest.approx([1, 1], abs=1e-6)
    assert np.exp(pool.predict(calibrated))[[0, 6, 9, 11], 0] == pytest.approx([6 / 7, 3 / 5, 2 / 5, 1 / 7], abs=1e-6)
    overconfident = fitted(np.stack([constant(MOSTLY_RIGHT, rows=12, confidence=0.9), calibrated[1]]))
    assert overconfident.exponents == pytest.approx([0.5, 1], abs=1e-6)
    assert overconfident.weights == pytest.approx([1 / 3, 2 / 3], abs=1e-6)


def test_member_that_is_wrong_more_often_than_not_has_no_vote() -> None:
    # Wrong wherever the other is, besides on four more rows: there is nothing that it knows better.
    pool = fitted(np.stack([constant([*MOSTLY_RIGHT, *range(4)], rows=12), constant(MOSTLY_RIGHT, rows=12)]))
    assert pool.weights == pytest.approx([0, 1])


def test_members_that_are_worse_than_none_leave_a_uniform_prediction() -> None:
    wrong = constant(list(range(8)), rows=12)
    pool = fitted(np.stack([wrong, wrong, wrong]))
    assert pool.exponents is not None
    assert pool.exponents.tolist() == [0, 0, 0]
    assert pool.weights == pytest.approx([1 / 3, 1 / 3, 1 / 3])
    assert np.exp(pool.predict(np.stack([wrong] * 3))) == pytest.approx(0.5)


def test_negligible_exponents_are_dropped_and_the_others_fitted_again() -> None:
    # The second overstates its odds so much that its exponent, log(2) / log(10^6 - 1), is about 1/20. That is less than
    # 1/100 of the first's once that one understates its odds so that its exponent is 1 or 10.
    sure = constant(OFTEN_RIGHT, rows=12, confidence=1 - 1e-6)
    for exponent, expected in ((1, np.log(2) / np.log(1e6 - 1)), (10, 0)):
        odds = 3 ** (1 / exponent)
        pool = fitted(np.stack([constant(MOSTLY_RIGHT, rows=12, confidence=odds / (1 + odds)), sure]))
        assert pool.exponents == pytest.approx([exponent, expected], rel=1e-3)


@pytest.mark.parametrize("seed", range(3))
def test_equals_sequential_least_squares_programming(seed: int) -> None:
    log_probs, labels = members(seed=seed, count=6)

    def loss(exponents: np.ndarray) -> float:
        pooled = log_softmax(np.tensordot(exponents, log_probs.astype(np.float64), axes=1), axis=1)
        return float(-pooled[np.arange(len(labels)), labels].mean())

    expected = minimize(
        loss, np.full(6, 1 / 6), method="SLSQP", bounds=[(0, None)] * 6, options={"ftol": 1e-13, "maxiter": 1000}
    )
    pool = fitted(log_probs, labels)
    assert expected.success
    assert pool.exponents is not None
    assert loss(pool.exponents) <= expected.fun + 1e-9
    assert pool.exponents == pytest.approx(expected.x, abs=1e-3)


def test_members_told_are_members_that_count() -> None:
    log_probs, labels = alike(seed=3, count=40, rows=500)
    pool = fitted(log_probs, labels)
    assert pool.exponents is not None
    counting = pool.exponents > 0
    assert 1 < np.count_nonzero(counting) < 40
    assert pool.exponents[counting].min() > NEGLIGIBLE * pool.exponents.max()
    alone = fitted(log_probs[counting], labels)
    assert alone.exponents == pytest.approx(pool.exponents[counting], rel=1e-4)
