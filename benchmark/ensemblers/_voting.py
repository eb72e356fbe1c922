"""What every voting method ends in: votes and a way to pool by them; how votes are given is the methods' matter."""

from __future__ import annotations

from collections.abc import Callable
from typing import Self

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_softmax

from benchmark.ensemblers._features import floored, probs
from benchmark.metrics import LOG_FLOOR

Votes = Callable[[NDArray[np.float32], NDArray[np.int64]], NDArray[np.float64]]
"""Votes (M,) that sum to 1, from validation log-probabilities (M, N, K) and labels (N,)."""
Pool = Callable[[NDArray[np.float32], NDArray[np.float64]], NDArray[np.float32]]
"""Log-probabilities (N, K) of log-probabilities (M, N, K) under votes (M,)."""


def weighted_mean(log_probs: NDArray[np.float32], weights: NDArray[np.float64]) -> NDArray[np.float32]:
    """Log of the weighted arithmetic mean of probabilities (M, N, K) under weights (M,): float32 (N, K).

    Rows sum to 1. What every voter calls impossible gets log-probability LOG_FLOOR instead of minus infinity.
    """
    mean = np.zeros(log_probs.shape[1:])
    for member in np.flatnonzero(weights):
        mean += weights[member] * probs(log_probs[member])
    floor = np.maximum(mean, np.exp(LOG_FLOOR))
    pooled: NDArray[np.float32] = np.log(floor / floor.sum(axis=1, keepdims=True)).astype(np.float32)
    return pooled


def logarithmic_pool(log_probs: NDArray[np.float32], exponents: NDArray[np.float64]) -> NDArray[np.float32]:
    """Softmax of the sum of log-probabilities (M, N, K) times exponents (M,), in logs: float32 (N, K).

    Rows sum to 1. No member may call anything less probable than 1e-6: a single one would rule the class out for all.
    """
    logits = np.zeros(log_probs.shape[1:])
    for member in np.flatnonzero(exponents):
        logits += exponents[member] * floored(log_probs[member])
    pooled: NDArray[np.float32] = np.maximum(log_softmax(logits, axis=1), LOG_FLOOR).astype(np.float32)
    return pooled


def equal_votes(log_probs: NDArray[np.float32], labels: NDArray[np.int64]) -> NDArray[np.float64]:  # noqa: ARG001
    """(M,) equal votes for log-probabilities (M, N, K), whatever the labels."""
    return np.full(len(log_probs), 1 / len(log_probs))


class Voting:
    """An ensemble method that is known by how it gives votes, and how it pools by them."""

    weights: NDArray[np.float64] | None = None

    def __init__(self, votes: Votes, pool: Pool = weighted_mean) -> None:
        self._votes = votes
        self._pool = pool

    @classmethod
    def by(cls, weights: NDArray[np.float64]) -> Self:
        """A fitted one: the weighted mean under votes (M,) that are given."""
        voting = cls(lambda log_probs, labels: weights)  # noqa: ARG005
        voting.weights = weights
        return voting

    def fit(self, log_probs: NDArray[np.float32], labels: NDArray[np.int64]) -> Self:
        """Give every member its vote."""
        self.weights = self._votes(log_probs, labels)
        return self

    def predict(self, log_probs: NDArray[np.float32]) -> NDArray[np.float32]:
        """Members' predictions pooled by their votes, (N, K) of (M, N, K); no temperature is applied."""
        if self.weights is None:
            raise ValueError("predict needs fit first")
        return self._pool(log_probs, self.weights)
