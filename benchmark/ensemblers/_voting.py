"""What every voting method ends in: a weighted mean of probabilities; how votes are given is the methods' matter."""

from __future__ import annotations

from collections.abc import Callable
from typing import Self

import numpy as np
from numpy.typing import NDArray

from benchmark.metrics import LOG_FLOOR

Votes = Callable[[NDArray[np.float32], NDArray[np.int64]], NDArray[np.float64]]
"""Votes (M,) that sum to 1, from validation log-probabilities (M, N, K) and labels (N,)."""


class Voting:
    """An ensemble method that is known by how it gives votes."""

    weights: NDArray[np.float64] | None = None

    def __init__(self, votes: Votes) -> None:
        self._votes = votes

    def fit(self, log_probs: NDArray[np.float32], labels: NDArray[np.int64]) -> Self:
        """Give every member its vote."""
        self.weights = self._votes(log_probs, labels)
        return self

    def predict(self, log_probs: NDArray[np.float32]) -> NDArray[np.float32]:
        """Log of the weighted mean probability, (N, K) of (M, N, K); no temperature is applied."""
        if self.weights is None:
            raise ValueError("predict needs fit first")
        return weighted_mean(log_probs, self.weights)


def weighted_mean(log_probs: NDArray[np.float32], weights: NDArray[np.float64]) -> NDArray[np.float32]:
    """Log of the weighted arithmetic mean of probabilities (M, N, K) under weights (M,): float32 (N, K).

    Rows sum to 1. What every voter calls impossible gets log-probability LOG_FLOOR instead of minus infinity.
    """
    mean = np.zeros(log_probs.shape[1:])
    for member in np.flatnonzero(weights):
        mean += weights[member] * np.exp(log_probs[member].astype(np.float64))
    floored = np.maximum(mean, np.exp(LOG_FLOOR))
    pooled: NDArray[np.float32] = np.log(floored / floored.sum(axis=1, keepdims=True)).astype(np.float32)
    return pooled
