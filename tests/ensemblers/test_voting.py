"""Votes and pools that can be worked out by hand, and scikit-learn's arithmetic."""

import numpy as np
import pytest
from scipy.stats import gmean
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.ensemble import VotingClassifier
from synthetic_members import members

from benchmark.ensemblers import ENSEMBLERS
from benchmark.ensemblers._voting import Voting, logarithmic_pool, weighted_mean


class Stored(ClassifierMixin, BaseEstimator):
    """A classifier whose predictions are known; a row is its number."""

    def __init__(self, probs: np.ndarray | None = None) -> None:
        self.probs = probs

    def fit(self, rows: np.ndarray, labels: np.ndarray) -> "Stored":
        self.classes_ = np.unique(labels)
        return self

    def predict_proba(self, rows: np.ndarray) -> np.ndarray:
        assert self.probs is not None
        return self.probs[rows[:, 0]]


@pytest.mark.parametrize("weights", [[0.25, 0.25, 0.25, 0.25], [0.1, 0.0, 0.7, 0.2]])
def test_weighted_mean_is_what_scikit_learn_votes(weights: list[float]) -> None:
    log_probs, labels = members()
    stored = [(str(number), Stored(np.exp(member))) for number, member in enumerate(log_probs)]
    rows = np.arange(len(labels))[:, None]
    expected = VotingClassifier(stored, voting="soft", weights=weights).fit(rows, labels).predict_proba(rows)
    assert np.exp(weighted_mean(log_probs, np.array(weights))) == pytest.approx(expected, abs=1e-6)


def test_soft_voting_is_the_mean_of_probabilities() -> None:
    probs = np.array([[[0.9, 0.1], [0.2, 0.8]], [[0.5, 0.5], [0.6, 0.4]]], np.float32)
    combined = ENSEMBLERS["soft_voting"].build().fit(np.log(probs), np.array([0, 1])).predict(np.log(probs))
    assert np.exp(combined) == pytest.approx(np.array([[0.7, 0.3], [0.4, 0.6]]), abs=1e-6)


def test_geometric_mean_by_hand() -> None:
    # Odds of 9 and 1 have the geometric mean 3; odds of 1/4 and 9 have 3/2.
    probs = np.array([[[0.9, 0.1], [0.2, 0.8]], [[0.5, 0.5], [0.9, 0.1]]], np.float32)
    combined = ENSEMBLERS["geometric_mean"].build().fit(np.log(probs), np.array([0, 1])).predict(np.log(probs))
    assert np.exp(combined) == pytest.approx(np.array([[0.75, 0.25], [0.6, 0.4]]), abs=1e-6)


def test_geometric_mean_equals_scipy() -> None:
    log_probs, labels = members(classes=5)
    expected = gmean(np.exp(log_probs.astype(np.float64)), axis=0)
    combined = ENSEMBLERS["geometric_mean"].build().fit(log_probs, labels).predict(log_probs)
    assert np.exp(combined) == pytest.approx(expected / expected.sum(axis=1, keepdims=True), abs=1e-6)


def test_impossible_class_does_not_rule_the_logarithmic_pool() -> None:
    # 0 counts as 1e-6: odds of 1e6 and 1 have the geometric mean 1000.
    log_probs = np.array([[[0.0, -np.inf]], [[np.log(0.5), np.log(0.5)]]], np.float32)
    assert np.exp(logarithmic_pool(log_probs, np.full(2, 0.5)))[0] == pytest.approx([1000 / 1001, 1 / 1001])


def test_single_best_ties_go_to_log_loss_then_to_the_earlier() -> None:
    unsure, sure = [[0.6, 0.4], [0.6, 0.4]], [[0.9, 0.1], [0.9, 0.1]]
    log_probs = np.log(np.array([unsure, sure, sure], np.float32))
    weights = ENSEMBLERS["single_best"].build().fit(log_probs, np.array([0, 0])).weights
    assert weights is not None
    assert weights.tolist() == [0, 1, 0]


def test_voting_by_given_votes_is_fitted() -> None:
    log_probs, labels = members()
    votes = np.array([0.5, 0.5, 0, 0])
    voting = Voting.by(votes)
    assert np.array_equal(voting.predict(log_probs), weighted_mean(log_probs, votes))
    assert np.array_equal(voting.fit(log_probs, labels).weights, votes)
