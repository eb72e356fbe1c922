"""Uniform soft voting: every member has the same vote; learns nothing."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from benchmark.ensemblers import ENSEMBLERS, Ensembler
from benchmark.ensemblers._voting import Voting


def equal_votes(log_probs: NDArray[np.float32], labels: NDArray[np.int64]) -> NDArray[np.float64]:  # noqa: ARG001
    """(M,) equal votes for log-probabilities (M, N, K), whatever the labels."""
    return np.full(len(log_probs), 1 / len(log_probs))


@ENSEMBLERS.register(
    "soft_voting",
    space={},
    reference="Lakshminarayanan et al. 2017, arXiv:1612.01474, section 2.4 (uniform mean of probabilities)",
)
def soft_voting() -> Ensembler:
    """An unfitted uniform soft vote."""
    return Voting(equal_votes)
