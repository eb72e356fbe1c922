"""Uniform soft voting, and the weighted mean of probabilities that every voting method ends in; fits nothing."""

from __future__ import annotations

from typing import Self

import numpy as np
from numpy.typing import NDArray

from benchmark.ensemblers import ENSEMBLERS, Ensembler
from benchmark.metrics import LOG_FLOOR


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


class SoftVoting:
    """Every member has the same vote."""

    weights: NDArray[np.float64] | None = None

    def fit(self, log_probs: NDArray[np.float32], labels: NDArray[np.int64]) -> Self:  # noqa: ARG002
        """Count the members; nothing is learnt from labels."""
        self.weights = np.full(len(log_probs), 1 / len(log_probs))
        return self

    def predict(self, log_probs: NDArray[np.float32]) -> NDArray[np.float32]:
        """Log of the mean probability, (N, K) of (M, N, K)."""
        if self.weights is None:
            raise ValueError("predict needs fit first")
        return weighted_mean(log_probs, self.weights)


@ENSEMBLERS.register(
    "soft_voting",
    space={},
    reference="Lakshminarayanan et al. 2017, arXiv:1612.01474, section 2.4 (uniform mean of probabilities)",
)
def soft_voting() -> Ensembler:
    """An unfitted uniform soft vote."""
    return SoftVoting()
