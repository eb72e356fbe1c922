"""Votes of least log loss by hand, against another solver, and by the condition that only the minimum meets."""

import numpy as np
import pytest
from scipy.optimize import minimize
from synthetic_members import constant, members

from benchmark.ensemblers import ENSEMBLERS
from benchmark.ensemblers.weighted_voting import NEGLIGIBLE, votes_of_least_loss


def of_label(log_probs: np.ndarray, labels: np.ndarray) -> np.ndarray:
    return np.exp(log_probs[:, np.arange(len(labels)), labels].astype(np.float64))


def zeros(rows: int) -> np.ndarray:
    return np.zeros(rows, np.int64)


def test_members_that_are_certain_get_votes_by_the_rows_they_alone_get_right() -> None:
    # Mean of 3/4 log w + 1/4 log(1 - w): least at w = 3/4.
    log_probs = np.stack([constant([3], rows=4, confidence=1), constant([0, 1, 2], rows=4, confidence=1)])
    votes = ENSEMBLERS["weighted_voting"].build().fit(log_probs, zeros(4)).weights
    assert votes == pytest.approx([0.75, 0.25])


def test_members_that_doubt_by_hand() -> None:
    # One says 0.8 where right and 0.2 where wrong, right on three rows of five; the other says 0.4 and 0.6, opposite.
    # Equal votes say 0.6 on the three and 0.4 on the two: the confidence that equals the share.
    log_probs = np.stack([constant([3, 4], rows=5, confidence=0.8), constant([0, 1, 2], rows=5, confidence=0.6)])
    assert votes_of_least_loss(log_probs, zeros(5)) == pytest.approx([0.5, 0.5])


def test_member_that_is_better_on_every_row_gets_every_vote() -> None:
    log_probs = np.stack([constant([0], confidence=0.7), constant([0], confidence=0.6), constant([0, 1])])
    log_probs[0, 0] = np.log([0.41, 0.59])
    assert votes_of_least_loss(log_probs, zeros(6)).tolist() == [1, 0, 0]


def test_negligible_votes_are_dropped() -> None:
    # The least log loss is at votes of 1999/2000 and 1/2000, and of 1996/2000 and 4/2000.
    for alone, expected in ((1, [1, 0]), (4, [0.998, 0.002])):
        wrong = list(range(alone))
        right = list(range(alone, 2000))
        log_probs = np.stack([constant(wrong, rows=2000, confidence=1), constant(right, rows=2000, confidence=1)])
        assert votes_of_least_loss(log_probs, zeros(2000)) == pytest.approx(expected, abs=1e-7)


@pytest.mark.parametrize("seed", range(3))
def test_equals_sequential_least_squares_programming(seed: int) -> None:
    log_probs, labels = members(seed=seed, count=6)
    likelihoods = of_label(log_probs, labels)
    expected = minimize(
        lambda votes: -np.log(votes @ likelihoods).mean(),
        np.full(6, 1 / 6),
        jac=lambda votes: -(likelihoods / (votes @ likelihoods)).mean(axis=1),
        method="SLSQP",
        bounds=[(0, 1)] * 6,
        constraints={"type": "eq", "fun": lambda votes: votes.sum() - 1, "jac": np.ones_like},
        options={"ftol": 1e-12, "maxiter": 1000},
    )
    assert expected.success
    assert votes_of_least_loss(log_probs, labels) == pytest.approx(expected.x, abs=1e-4)


def test_no_member_would_improve_the_optimum() -> None:
    # Lindsay 1983: the log loss is within max(mean(p_m / mixture)) - 1 of its least; members with a vote have mean 1.
    log_probs, labels = members(seed=3, count=40, rows=500)
    log_probs = np.concatenate([log_probs, 0.97 * log_probs + 0.03 * log_probs[::-1]])
    log_probs -= np.log(np.exp(log_probs).sum(axis=2, keepdims=True))
    votes = votes_of_least_loss(log_probs, labels)
    likelihoods = of_label(log_probs, labels)
    gains = (likelihoods / (votes @ likelihoods)).mean(axis=1)
    assert gains.max() == pytest.approx(1, abs=1e-3)
    assert gains[votes > 0] == pytest.approx(1, abs=1e-3)
    assert votes[votes > 0].min() >= NEGLIGIBLE
    assert 1 < np.count_nonzero(votes) < 60
