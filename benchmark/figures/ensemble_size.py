"""Accuracy against the size of an ensemble, beside the best single model; builds no ensemble."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from benchmark.figures.style import GREY, add_legend, draw_estimates, look, new_figure, shown
from benchmark.metrics import Estimate

DODGE = 0.012
"""Share of the axis by which series are moved apart, so that their intervals do not cover each other."""
TICK_GAP = 0.06
"""Share of the axis that two numbers at it need between them."""


@dataclass(frozen=True)
class SizeCurve:
    """Accuracy of one ensemble method at rising sizes: models it is given, and an estimate in [0, 1] for each size."""

    method: str
    sizes: tuple[int, ...]
    val: tuple[Estimate, ...]
    """Cross-fitted: what was fitted on validation rows predicted other rows."""
    test: tuple[Estimate, ...]

    def __post_init__(self) -> None:
        if not len(self.sizes) == len(self.val) == len(self.test) > 0:
            raise ValueError(f"{self.method}: every size needs a validation and a test accuracy")
        if any(later <= earlier for earlier, later in zip((0, *self.sizes), self.sizes, strict=False)):
            raise ValueError(f"{self.method}: sizes must rise from at least 1, not {self.sizes}")


@dataclass(frozen=True)
class SingleModel:
    """The best single model by validation, with its accuracies in [0, 1]."""

    name: str
    val: Estimate
    test: Estimate


def accuracy_against_size(curves: Sequence[SizeCurve], single: SingleModel, *, subject: str) -> Figure:
    """Validation and test accuracy over size, one panel each, with intervals.

    `subject` is what the title says was studied. Raises ValueError without curves.
    """
    if not curves:
        raise ValueError("there is nothing to draw: no ensembles")
    with new_figure("Accuracy against ensemble size", subject, height=4.8) as figure:
        val, test = figure.subplots(1, 2, sharex=True, sharey=True)
        val.set_title("Validation, cross-fitted")
        test.set_title("Test")
        _draw_panel(val, curves, [curve.val for curve in curves], single.val)
        lines = _draw_panel(test, curves, [curve.test for curve in curves], single.test)
        val.set_ylabel("Accuracy (%), with 95 % intervals")
        val.set_xticks(_ticks(sorted({size for curve in curves for size in curve.sizes})))
        names = [shown(curve.method) for curve in curves]
        add_legend(figure, lines, [*names, f"best single model: {shown(single.name)}"])
    return figure


def _draw_panel(
    axes: Axes, curves: Sequence[SizeCurve], estimates: Sequence[Sequence[Estimate]], single: Estimate
) -> list[Line2D]:
    """One panel; its lines, that of the single model last."""
    axes.axhspan(100 * single.low, 100 * single.high, color=GREY, alpha=0.1, linewidth=0)
    lines = []
    span = max(curve.sizes[-1] for curve in curves) - min(curve.sizes[0] for curve in curves) + 1
    step = min(DODGE * span, 0.8 / len(curves))
    for index, (curve, of_curve) in enumerate(zip(curves, estimates, strict=True)):
        aside = (index - (len(curves) - 1) / 2) * step
        sizes = [size + aside for size in curve.sizes]
        lines.append(draw_estimates(axes, sizes, of_curve, look(index)))
    axes.set_xlabel("Size: models given, or at most taken of all")
    return [*lines, axes.axhline(100 * single.value, color=GREY, linestyle=(0, (1, 1)))]


def _ticks(sizes: Sequence[int]) -> list[int]:
    """Sizes to be written at the axis, from the first on those that have room."""
    ticks = [sizes[0]]
    for size in sizes[1:]:
        if size - ticks[-1] >= TICK_GAP * (sizes[-1] - sizes[0]):
            ticks.append(size)
    return ticks
