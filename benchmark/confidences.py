"""How sure predictions are and how it came out: calibration in bins, accuracy against coverage; draws nothing.

Shapes: N rows, B bins, T thresholds. Confidence is the probability of the predicted class.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmark.metrics import (
    ECE_BINS,
    Estimate,
    FloatArray,
    confidence,
    confidence_bin,
    correct_rows,
    estimated_share,
)


@dataclass(frozen=True, eq=False)
class Confidences:
    """What one set of predictions claims and how it came out: confidence (N,) in (0, 1], correct bool (N,)."""

    name: str
    """Tells it from others in the legend: "as trained", "temperature 1.61"."""
    confidence: NDArray[np.float64]
    correct: NDArray[np.bool_]

    def __post_init__(self) -> None:
        if self.confidence.ndim != 1 or self.confidence.shape != self.correct.shape or not len(self.correct):
            shapes = f"{self.confidence.shape} and {self.correct.shape}"
            raise ValueError(f"{self.name}: confidence and correct must be (N,) with N at least 1, not {shapes}")
        if self.correct.dtype != np.bool_:
            raise ValueError(f"{self.name}: correct must be bool, not {self.correct.dtype}")
        if not ((self.confidence > 0) & (self.confidence <= 1)).all():
            raise ValueError(f"{self.name}: confidence must lie in (0, 1]")

    @classmethod
    def of(cls, name: str, log_probs: FloatArray, labels: NDArray[np.int64]) -> Confidences:
        """From natural log-probabilities (N, K) and labels (N,)."""
        return cls(name, confidence(log_probs), correct_rows(log_probs, labels))

    @property
    def accuracy(self) -> Estimate:
        """Over all rows, in [0, 1]."""
        return estimated_share(int(np.count_nonzero(self.correct)), len(self.correct))


@dataclass(frozen=True, eq=False)
class CalibrationBins:
    """Rows by confidence, in equal-width bins (lower, upper] over (0, 1], each array (B,)."""

    rows: NDArray[np.int64]
    hits: NDArray[np.int64]
    """Rows predicted right."""
    confidence: NDArray[np.float64]
    """Mean over the rows; NaN in an empty bin."""

    @property
    def ece(self) -> float:
        """Expected calibration error in [0, 1], as `metrics.expected_calibration_error` defines it."""
        filled = self.rows > 0
        gaps = np.abs(self.hits[filled] - self.rows[filled] * self.confidence[filled])
        return float(gaps.sum() / self.rows.sum())


def calibration_bins(confidences: Confidences, bins: int = ECE_BINS) -> CalibrationBins:
    """Sort rows into bins of confidence; one of exactly 1 falls into the last."""
    which = confidence_bin(confidences.confidence, bins)
    rows = np.bincount(which, minlength=bins)
    sums = np.bincount(which, weights=confidences.confidence, minlength=bins)
    return CalibrationBins(
        rows=rows.astype(np.int64),
        hits=np.bincount(which[confidences.correct], minlength=bins).astype(np.int64),
        confidence=np.divide(sums, rows, out=np.full(bins, np.nan), where=rows > 0),
    )


@dataclass(frozen=True, eq=False)
class CoverageCurve:
    """What each threshold of confidence lets through, the highest threshold first; the last one lets every row."""

    threshold: NDArray[np.float64]
    """(T,) the different confidences that there are, falling. Rows of equal confidence are answered together."""
    rows: NDArray[np.int64]
    """(T,) rows whose confidence reaches the threshold."""
    hits: NDArray[np.int64]
    """(T,) of these, rows predicted right."""

    @property
    def coverage(self) -> NDArray[np.float64]:
        """(T,) share of all rows that is answered, in (0, 1]."""
        shares: NDArray[np.float64] = self.rows / self.rows[-1]
        return shares

    @property
    def accuracy(self) -> NDArray[np.float64]:
        """(T,) accuracy on the rows that are answered, in [0, 1]."""
        shares: NDArray[np.float64] = self.hits / self.rows
        return shares

    def at(self, coverage: float) -> int:
        """Index of the highest threshold that covers at least this share of rows, in (0, 1]."""
        return int(np.searchsorted(self.coverage, coverage))


def coverage_curve(confidences: Confidences) -> CoverageCurve:
    """Accuracy on the rows of highest confidence, for every share of rows that a threshold can tell from the rest.

    Of a classifier that may abstain, coverage is the share of rows that it answers, and its risk is 1 minus the
    accuracy on them. El-Yaniv & Wiener 2010, "On the foundations of noise-free selective classification", JMLR 11,
    1605-1641; with the probability of the predicted class as confidence, Geifman & El-Yaniv 2017, arXiv:1705.08500.
    """
    order = np.argsort(-confidences.confidence, kind="stable")
    falling = confidences.confidence[order]
    last_of_equals = np.append(np.flatnonzero(np.diff(falling)), len(falling) - 1)
    return CoverageCurve(
        threshold=falling[last_of_equals],
        rows=(last_of_equals + 1).astype(np.int64),
        hits=np.cumsum(confidences.correct[order])[last_of_equals].astype(np.int64),
    )
