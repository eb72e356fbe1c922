"""Accuracy on the images of highest confidence, against how many these are; sets no threshold.

The risk-coverage curve of Geifman & El-Yaniv 2017, arXiv:1705.08500, with accuracy, 1 minus the risk, upwards.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from benchmark.confidences import Confidences, CoverageCurve, coverage_curve
from benchmark.figures.error_scale import ERROR_SCALE, set_error_scale
from benchmark.figures.style import GREY, SPLIT_NAMES, Look, add_legend, look, new_figure, shown
from benchmark.metrics import wilson_interval
from benchmark.records import Split

LEAST_ROWS = 20
"""Images from which on a curve is drawn: on fewer, one mistake moves it by more than a twentieth."""
MOST_POINTS = 200
"""Of a curve: 0.5 % of the images from one to the next."""
MARKERS = 10


def accuracy_against_coverage(
    series: Sequence[Confidences], *, split: Split, subject: str, order: str = "the most confident first"
) -> Figure:
    """Accuracy on `split` over the share of its images that are the most confident ones, with intervals.

    The error counts by factors, as in other figures. For the first of the series, the best possible order is drawn too:
    all its right answers before the wrong ones. `subject` is what the title says was studied, `order` which images are
    answered first. Raises ValueError without a series.
    """
    if not series:
        raise ValueError("there is nothing to draw: no predictions")
    split_name = SPLIT_NAMES[split]
    curves = [_thinned(coverage_curve(one)) for one in series]
    with new_figure("Accuracy on the most confident images", subject, height=5.0) as figure:
        axes = figure.subplots()
        axes.set_title(
            f"From {LEAST_ROWS} images on. Bands: 95 % intervals at each coverage by itself. At the upper edge: 100 %."
        )
        axes.set_xlabel(f"Coverage: {split_name} images answered, {order} (%)")
        axes.set_ylabel(f"{split_name.capitalize()} accuracy on these ({ERROR_SCALE})")
        axes.set_xlim(0, 100)
        set_error_scale(axes, np.concatenate([curve.accuracy for curve in curves]).tolist(), above=0.1)
        lines = [_draw_curve(axes, curve, look(index)) for index, curve in enumerate(curves)]
        best = _draw_best_order(axes, series[0])
        names = [shown(one.name) for one in series]
        add_legend(figure, [*lines, best], [*names, f"best order possible for {names[0]}"])
    return figure


def _thinned(curve: CoverageCurve) -> CoverageCurve:
    """The points that are drawn, both ends among them."""
    drawn = np.flatnonzero(curve.rows >= min(LEAST_ROWS, curve.rows[-1]))
    chosen = drawn[np.unique(np.linspace(0, len(drawn) - 1, MOST_POINTS).round().astype(np.int64))]
    return CoverageCurve(curve.threshold[chosen], curve.rows[chosen], curve.hits[chosen])


def _draw_curve(axes: Axes, curve: CoverageCurve, of: Look) -> Line2D:
    coverage = 100 * curve.coverage
    counts = zip(curve.hits.tolist(), curve.rows.tolist(), strict=True)
    lows, highs = zip(*(wilson_interval(hits, rows) for hits, rows in counts), strict=True)
    axes.fill_between(coverage, 100 * np.array(lows), 100 * np.array(highs), color=of.color, alpha=0.12, linewidth=0)
    (line,) = axes.plot(
        coverage,
        100 * curve.accuracy,
        color=of.color,
        linestyle=of.line,
        marker=of.marker,
        markevery=max(1, len(coverage) // MARKERS),
        markersize=5.0,
        markeredgecolor="white",
        markeredgewidth=0.6,
        clip_on=False,
        zorder=3,
    )
    return line


def _draw_best_order(axes: Axes, of: Confidences) -> Line2D:
    accuracy = of.accuracy.value
    # Nothing but right answers as long as there are any; then each further image is a mistake.
    coverage = np.linspace(max(accuracy, 1 / len(of.correct)), 1.0, MOST_POINTS // 4)
    (line,) = axes.plot(
        [0.0, *(100 * coverage)],
        [100 * min(1.0, len(of.correct) * accuracy), *(100 * accuracy / coverage)],
        color=GREY,
        linewidth=1.0,
        linestyle=(0, (2, 2)),
    )
    return line
