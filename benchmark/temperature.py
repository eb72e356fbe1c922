"""Temperature scaling: one positive number that divides logits; knows nothing of models or members.

Guo et al. 2017, arXiv:1706.04599, section 4.2.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

LOWEST, HIGHEST = 0.05, 20.0
"""Bounds of the fit. Rows that are all classified right would otherwise ask for a temperature of 0."""
RELATIVE_STEP = 1e-4
"""The fit ends at a step this small; the loss is then within about 1e-8 nats of its minimum."""
MAX_STEPS = 60


@dataclass(frozen=True)
class FittedTemperature:
    """A temperature and the mean log loss, in nats, that it gives on the rows it was fitted on."""

    temperature: float
    log_loss: float


def fit_temperature(logits: NDArray[np.float32], labels: NDArray[np.int64], start: float = 1.0) -> FittedTemperature:
    """The temperature in [0.05, 20] of least mean log loss; `start` is where the search begins.

    `logits` is classes first, float32 (K, N) and finite, up to a constant per row (log-probabilities will do): sums
    over classes then run over contiguous rows, which is several times faster for the few classes of an image data set.

    The log loss is convex in the inverse temperature b: its derivative is mean(E[z] - z_label), its second derivative
    mean(Var[z]), with expectations under softmax(b z). Hence Newton's method, kept inside a bracket that shrinks.
    """
    shifted = logits - logits.max(axis=0)
    of_label = float(shifted[labels, np.arange(len(labels))].mean(dtype=np.float64))
    low, high = 1 / HIGHEST, 1 / LOWEST
    inverse = min(max(1 / start, low), high)
    for _ in range(MAX_STEPS):
        log_norm, mean, variance = _moments(shifted, inverse)
        slope = mean - of_label
        low, high = (low, inverse) if slope > 0 else (inverse, high)
        proposal = inverse - slope / variance if variance > 0 else low if slope > 0 else high
        if not low <= proposal <= high:
            proposal = (low * high) ** 0.5
        if abs(proposal - inverse) <= RELATIVE_STEP * inverse:
            break
        inverse = proposal
    return FittedTemperature(1 / inverse, log_norm - inverse * of_label)


def _moments(logits: NDArray[np.float32], inverse: float) -> tuple[float, float, float]:
    """Means over rows of log-normaliser, mean and variance of the logits under softmax(inverse * logits)."""
    weighted = np.exp(np.float32(inverse) * logits)
    norm = weighted.sum(axis=0)
    weighted *= logits
    mean = weighted.sum(axis=0) / norm
    weighted *= logits
    variance = weighted.sum(axis=0) / norm - mean * mean
    return (
        float(np.log(norm).mean(dtype=np.float64)),
        float(mean.mean(dtype=np.float64)),
        float(variance.mean(dtype=np.float64)),
    )
