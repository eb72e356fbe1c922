"""Temperature scaling: one positive number that divides logits; knows nothing of models or members.

Guo et al. 2017, arXiv:1706.04599, section 4.2.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_softmax

LOWEST, HIGHEST = 0.05, 20.0
"""Bounds of the fit. Rows that are all classified right would otherwise ask for a temperature of 0."""
PRIOR_ROWS = 1.0
"""Rows whose label may be any class, beside those that an applied temperature is fitted on."""
RELATIVE_STEP = 1e-4
"""The fit ends at a step this small; the loss is then within about 1e-8 nats of its minimum."""
TRUSTED_STEP = 0.05
"""Share of the inverse temperature: over twice as much, the curvature of the log loss does not halve."""
MAX_STEPS = 60


@dataclass(frozen=True)
class FittedTemperature:
    """A temperature and the mean log loss, in nats, that it gives on the rows it was fitted on."""

    temperature: float
    log_loss: float


@dataclass(frozen=True)
class Expansion:
    """Mean log loss, in nats, at an inverse temperature, with its first and second derivative there."""

    inverse: float
    log_loss: float
    slope: float
    curvature: float

    @property
    def is_near(self) -> bool:
        """Whether the loss is least so near that the expansion tells where, and how low it can be."""
        return self.curvature > 0 and abs(self.slope) <= TRUSTED_STEP * self.inverse * self.curvature

    @property
    def temperature(self) -> float:
        """The temperature of least log loss to second order, within the bounds of the fit; for one that is near."""
        return 1 / min(max(self.inverse - self.slope / self.curvature, 1 / HIGHEST), 1 / LOWEST)

    @property
    def lower_bound(self) -> float:
        """Nats that no temperature goes below; minus infinity for one that is not near.

        The loss lies above the parabola of half the curvature as far as that parabola's minimum, two Newton steps away,
        as long as the curvature does not halve on the way.
        """
        return self.log_loss - self.slope**2 / self.curvature if self.is_near else -math.inf


def fit_temperature(
    logits: NDArray[np.float32], labels: NDArray[np.int64], start: float = 1.0, prior_rows: float = 0.0
) -> FittedTemperature:
    """The temperature in [0.05, 20] of least mean log loss; `start` is where the search begins.

    With `prior_rows` the labels are smoothed: so many of N rows more have every class alike as their label. It is the
    prior of Platt 1999, "Probabilistic outputs for support vector machines", section 2.2, for any number of classes,
    and does not care what temperature the logits come at.

    `logits` is classes first, float32 (K, N) and finite, up to a constant per row (log-probabilities will do): sums
    over classes then run over contiguous rows, which is several times faster for the few classes of an image data set.

    The log loss is convex in the inverse temperature b: its derivative is mean(E[z] - z_label), its second derivative
    mean(Var[z]), with expectations under softmax(b z). Hence Newton's method, kept inside a bracket that shrinks.
    """
    shifted, of_label = _shifted(logits, labels)
    of_label += (float(shifted.mean(dtype=np.float64)) - of_label) * prior_rows / (len(labels) + prior_rows)
    low, high = 1 / HIGHEST, 1 / LOWEST
    proposal = min(max(1 / start, low), high)
    for _ in range(MAX_STEPS):
        here = _expansion(shifted, of_label, proposal)
        inverse = here.inverse
        low, high = (low, inverse) if here.slope > 0 else (inverse, high)
        proposal = inverse - here.slope / here.curvature if here.curvature > 0 else low if here.slope > 0 else high
        if not low <= proposal <= high:
            proposal = (low * high) ** 0.5
        if abs(proposal - inverse) <= RELATIVE_STEP * inverse:
            break
    return FittedTemperature(1 / here.inverse, here.log_loss)


def expand(logits: NDArray[np.float32], labels: NDArray[np.int64], temperature: float) -> Expansion:
    """The log loss of logits (K, N), as `fit_temperature` takes them, around one temperature; a fraction of a fit."""
    return _expansion(*_shifted(logits, labels), 1 / temperature)


def temperature_of(log_probs: NDArray[np.float32], labels: NDArray[np.int64]) -> float:
    """The temperature to apply to predictions (N, K); 1 leaves them as they are, above 1 makes them less sure.

    It has a prior, without which rows that are all right ask for the sharpest temperature there is.
    """
    return fit_temperature(np.ascontiguousarray(log_probs.T), labels, prior_rows=PRIOR_ROWS).temperature


def apply_temperature(log_probs: NDArray[np.float32], temperature: float) -> NDArray[np.float32]:
    """Log-probabilities (N, K), every row divided by the temperature and normalised again."""
    if temperature == 1:
        return log_probs
    scaled: NDArray[np.float32] = log_softmax(log_probs / np.float32(temperature), axis=1)
    return scaled


def cross_fitted(
    log_probs: NDArray[np.float32], labels: NDArray[np.int64], assignment: NDArray[np.int64]
) -> NDArray[np.float32]:
    """Log-probabilities (N, K) after temperature, the rows of every fold by a temperature fitted on the other folds.

    `assignment` (N,) is the fold, 0..F-1, of every row.
    """
    scaled = np.empty_like(log_probs)
    for fold in range(int(assignment.max()) + 1):
        inside = assignment == fold
        scaled[inside] = apply_temperature(log_probs[inside], temperature_of(log_probs[~inside], labels[~inside]))
    return scaled


def _shifted(logits: NDArray[np.float32], labels: NDArray[np.int64]) -> tuple[NDArray[np.float32], float]:
    """Logits (K, N) with a maximum of 0 in every row, and the mean of the labels' ones."""
    shifted = logits - logits.max(axis=0)
    return shifted, float(shifted[labels, np.arange(len(labels))].mean(dtype=np.float64))


def _expansion(logits: NDArray[np.float32], of_label: float, inverse: float) -> Expansion:
    weighted = np.exp(np.float32(inverse) * logits)
    norm = weighted.sum(axis=0)
    weighted *= logits
    mean = weighted.sum(axis=0) / norm
    weighted *= logits
    variance = weighted.sum(axis=0) / norm - mean * mean
    return Expansion(
        inverse=inverse,
        log_loss=float(np.log(norm).mean(dtype=np.float64)) - inverse * of_label,
        slope=float(mean.mean(dtype=np.float64)) - of_label,
        curvature=float(variance.mean(dtype=np.float64)),
    )
