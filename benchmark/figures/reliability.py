"""How often predictions of a confidence are right, as a reliability diagram; fits no temperature.

Guo et al. 2017, arXiv:1706.04599, figure 1; the bins are those of `metrics.expected_calibration_error`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import StrMethodFormatter
from numpy.typing import NDArray

from benchmark.columns import decimals
from benchmark.figures.style import GREY, SPLIT_NAMES, add_legend, draw_estimates, look, new_figure, shown
from benchmark.metrics import ECE_BINS, FloatArray, confidence, confidence_bin, estimated_share, predicted
from benchmark.records import Split


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
        return cls(name, confidence(log_probs), predicted(log_probs) == labels)


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


def reliability_diagram(series: Sequence[Confidences], *, split: Split, subject: str) -> Figure:
    """Accuracy over mean confidence in 15 bins, for predictions before and after a temperature; rows per bin below.

    A bin's bar is its 95 % Wilson interval; the legend has the expected calibration error of each. `subject` is what
    the title says was studied. Raises ValueError without a series.
    """
    if not series:
        raise ValueError("there is nothing to draw: no predictions")
    binned = [calibration_bins(confidences) for confidences in series]
    split_name = SPLIT_NAMES[split].capitalize()
    with new_figure("Accuracy at each confidence", subject, width=6.8, height=7.2) as figure:
        upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3.2, 1))
        upper.set(xlim=(0, 100), ylim=(0, 100), ylabel=f"{split_name} accuracy (%)")
        upper.set_title(f"{ECE_BINS} bins of confidence. Vertical bars: 95 % intervals.")
        (diagonal,) = upper.plot([0, 100], [0, 100], color=GREY, linewidth=1.0, linestyle=(0, (2, 2)))
        lines = [_draw_curve(upper, bins, index) for index, bins in enumerate(binned)]
        names = [f"{shown(one.name)}, ECE {decimals(bins.ece)}" for one, bins in zip(series, binned, strict=True)]
        add_legend(figure, [*lines, diagonal], [*names, "perfect calibration"])
        _draw_counts(lower, binned)
        lower.set(xlabel="Confidence: probability of the predicted class (%)", ylabel=f"{split_name} images")
    return figure


def _draw_curve(axes: Axes, bins: CalibrationBins, index: int) -> Line2D:
    filled = np.flatnonzero(bins.rows)
    estimates = [
        estimated_share(hits, rows)
        for hits, rows in zip(bins.hits[filled].tolist(), bins.rows[filled].tolist(), strict=True)
    ]
    return draw_estimates(axes, (100 * bins.confidence[filled]).tolist(), estimates, look(index))


def _draw_counts(axes: Axes, binned: Sequence[CalibrationBins]) -> None:
    """A group of bars for each bin, one bar for each series."""
    bins = len(binned[0].rows)
    group = 100 / bins
    width = 0.9 * group / len(binned)
    for index, of_series in enumerate(binned):
        left = group * np.arange(bins) + 0.05 * group + index * width
        axes.bar(
            left,
            of_series.rows,
            width,
            align="edge",
            color=look(index).color,
            hatch=look(index).hatch,
            edgecolor="white",
            linewidth=0.4,
        )
    axes.yaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
