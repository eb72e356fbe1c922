"""Validation accuracy against single parameters of each family; says nothing of what they do together."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator

from benchmark.figures.error_scale import ERROR_SCALE, set_error_scale
from benchmark.figures.style import SMALL, Look, looks_of, new_figure, shown
from benchmark.figures.ticks import factor_ticks
from benchmark.records import FamilyImportance, ParameterImportance

MOST_PARAMETERS = 3
"""Of each family, the most important first."""
MOST_TICKS = 4
"""Of a logarithmic axis."""
NOTE_LINE = 0.17
"""Inches of a line below the panels."""


def parameter_slices(families: Sequence[FamilyImportance], *, subject: str, among: Iterable[str] = ()) -> Figure:
    """A point for each complete trial: its accuracy at its value of a parameter, for the most important parameters.

    One row of panels for each family that has importances, its panels with one scale; families that have none are named
    at the bottom with the reason. `subject` is what the title says was studied; `among`: all of its families, so that
    each looks as in other figures. Raises ValueError where no family has importances.
    """
    drawn = [one for one in families if one.parameters]
    if not drawn:
        raise ValueError("there is nothing to draw: no family has importances")
    looks = looks_of([*among, *(one.family for one in families)])
    columns = max(len(one.parameters[:MOST_PARAMETERS]) for one in drawn)
    left_out = [f"Left out: {shown(one.family)}, {one.left_out}." for one in families if one.left_out]
    height = 0.6 + 2.1 * len(drawn) + NOTE_LINE * len(left_out)
    with new_figure("Accuracy at each value", subject, height=height) as figure:
        grid = figure.subplots(len(drawn), columns, sharey="row", squeeze=False)
        for row, one in zip(grid, drawn, strict=True):
            parameters = one.parameters[:MOST_PARAMETERS]
            set_error_scale(row[0], [share for parameter in parameters for share in parameter.accuracies])
            row[0].set_ylabel(shown(one.family, 16))
            for axes, parameter in zip(row, parameters, strict=False):
                _draw_slice(axes, parameter, one.chance, looks[one.family])
            for axes in row[len(parameters) :]:
                axes.remove()
        if left_out:
            figure.supxlabel("\n".join(left_out), x=0.01, ha="left", fontsize=SMALL)
        figure.supylabel(f"Validation accuracy ({ERROR_SCALE})", fontsize=10.0)
    return figure


def _draw_slice(axes: Axes, parameter: ParameterImportance, chance: float, of: Look) -> None:
    accuracies = [100 * accuracy for accuracy in parameter.accuracies]
    axes.plot(
        _places(axes, parameter),
        accuracies,
        color=of.color,
        marker=of.marker,
        linestyle="none",
        markeredgecolor="white",
        markeredgewidth=0.6,
        alpha=0.8,
        clip_on=False,
    )
    axes.set_title(f"explains {100 * parameter.share:.0f} % (chance: {100 * chance:.0f} %)")
    axes.set_xlabel(shown(parameter.name, 28))


def _places(axes: Axes, parameter: ParameterImportance) -> list[float]:
    """Where the parameter's values stand on the axis, which gets ticks for them."""
    if parameter.choices:
        axes.set_xticks(range(len(parameter.choices)), [shown(str(choice), 12) for choice in parameter.choices])
        axes.set_xlim(-0.5, len(parameter.choices) - 0.5)
        return [float(parameter.choices.index(value)) for value in parameter.values]
    numbers = [float(value) for value in parameter.values if value is not None]
    if parameter.is_log:
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(FixedLocator(_log_ticks(min(numbers), max(numbers))))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.3g}"))
    else:
        is_whole = all(isinstance(value, int) for value in parameter.values)
        axes.xaxis.set_major_locator(MaxNLocator(nbins=4, integer=is_whole))
    return numbers


def _log_ticks(low: float, high: float) -> list[float]:
    return [low] if low == high else factor_ticks(low, high, MOST_TICKS)
