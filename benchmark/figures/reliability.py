"""How often predictions of a confidence are right, as a reliability diagram; fits no temperature.

Guo et al. 2017, arXiv:1706.04599, figure 1; the bins are those of `metrics.expected_calibration_error`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import StrMethodFormatter

from benchmark.confidences import CalibrationBins, Confidences, calibration_bins
from benchmark.figures.style import GREY, SPLIT_NAMES, add_legend, draw_estimates, look, new_figure, shown
from benchmark.metrics import ECE_BINS, estimated_share
from benchmark.records import Split
from benchmark.wording import decimals


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
