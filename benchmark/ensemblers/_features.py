"""Members' predictions as what a fit works on; knows no method."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

FEATURE_FLOOR = float(np.log(1e-6))
"""Log-probabilities enter no lower than this: an image that a member all but rules out must not rule the fit."""


def floored(log_probs: NDArray[np.float32]) -> NDArray[np.float64]:
    """Log-probabilities of any shape, none below FEATURE_FLOOR."""
    return np.maximum(log_probs.astype(np.float64), FEATURE_FLOOR)


def probs(log_probs: NDArray[np.float32]) -> NDArray[np.float64]:
    """Probabilities of log-probabilities of any shape."""
    return np.exp(log_probs.astype(np.float64))


def side_by_side(members: NDArray[np.float64]) -> NDArray[np.float64]:
    """(N, M * K) of (M, N, K): a row's predictions by the first member, then by the second, and so on."""
    return np.hstack(list(members))
