"""How differently the members of an ensemble err; pure functions of arrays that know no model and no ensemble method.

Shapes: M members, N rows, K classes. Log-probabilities are natural, (M, N, K); `labels` are int64 (N,) in 0..K-1.
A vote gains from members that err on different rows (Kuncheva & Whitaker 2003, doi:10.1023/A:1022859003006), but no
measure of it foretells the gain: they describe an ensemble, and choose none.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from benchmark.metrics import FloatArray


def disagreement(log_probs: FloatArray) -> NDArray[np.float64]:
    """Share of rows for which two members predict different classes, (M, M); [0, 1], 0 on the diagonal.

    Kuncheva & Whitaker count rows that just one of the two has right. Two different errors disagree here too, since a
    third member can outvote them. Raises ValueError unless the shape is (M, N, K) with N at least 1.
    """
    classes = _predicted(log_probs)
    return np.stack([np.mean(classes != member, axis=1) for member in classes])


def error_correlation(log_probs: FloatArray, labels: NDArray[np.int64]) -> NDArray[np.float64]:
    """Pearson correlation over rows of two members' errors, 1 for wrong and 0 for right, (M, M); [-1, 1].

    The coefficient rho of Kuncheva & Whitaker. 1 on the diagonal; 0 besides where a member never errs or always does,
    which leaves the coefficient undefined. Raises ValueError where the shapes do not fit.
    """
    classes = _predicted(log_probs)
    if labels.shape != classes.shape[1:]:
        raise ValueError(f"{classes.shape[1]} rows of predictions do not fit labels of shape {labels.shape}")
    errors = (classes != labels).astype(np.float64)
    deviations = errors - errors.mean(axis=1, keepdims=True)
    norms = np.sqrt(np.square(deviations).sum(axis=1))
    scale = np.outer(norms, norms)
    correlation = np.divide(deviations @ deviations.T, scale, out=np.zeros_like(scale), where=scale > 0)
    np.fill_diagonal(correlation, 1.0)
    bounded: NDArray[np.float64] = np.clip(correlation, -1.0, 1.0)
    return bounded


def mean_over_pairs(measure: NDArray[np.float64]) -> float:
    """Mean of a symmetric measure (M, M) over pairs of different members: one figure for a whole ensemble.

    Raises ValueError unless the shape is (M, M) with M at least 2.
    """
    if measure.ndim != 2 or measure.shape[0] != measure.shape[1] or len(measure) < 2:
        raise ValueError(f"a mean over pairs needs (M, M) with M at least 2, not {measure.shape}")
    return float(measure[np.triu_indices(len(measure), k=1)].mean())


def _predicted(log_probs: FloatArray) -> NDArray[np.int64]:
    """The most probable class, the first of equals, by member and row (M, N)."""
    if log_probs.ndim != 3 or not log_probs.size:
        raise ValueError(f"members' predictions must be (M, N, K) with N at least 1, not {log_probs.shape}")
    classes: NDArray[np.int64] = np.argmax(log_probs, axis=2)
    return classes
