"""How much of a family's accuracy each parameter explains, as bars beside chance; computes no importance."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmark.figures.style import GREY, SMALL, Look, looks_of, new_figure, shown
from benchmark.records import FamilyImportance

MOST_BARS = 8
"""Parameters of a family that are drawn; the rest explains less than each of these."""
COLUMNS = 2


def parameter_importances(families: Sequence[FamilyImportance], *, subject: str, among: Iterable[str] = ()) -> Figure:
    """Share of the variance of validation accuracy by parameter, one panel for each family that has shares.

    A line stands at the largest share that chance gave; bars that do not pass it are faded. Families that were left out
    are named at the bottom with the reason. `subject` is what the title says was studied; `among`: all of its families,
    so that each looks as in other figures. Raises ValueError where no family has shares.
    """
    drawn = [one for one in families if one.parameters]
    if not drawn:
        raise ValueError("there is nothing to draw: no family has importances")
    looks = looks_of([*among, *(one.family for one in families)])
    columns = min(COLUMNS, len(drawn))
    rows = -(-len(drawn) // columns)
    bars = max(len(one.parameters[:MOST_BARS]) for one in drawn)
    with new_figure("What accuracy depends on", subject, height=1.6 + rows * (0.8 + 0.24 * bars)) as figure:
        grid = figure.subplots(rows, columns, sharex=True, squeeze=False)
        for axes, one in zip(grid.flat, drawn, strict=False):
            _draw_family(axes, one, bars, looks[one.family])
        for axes in grid.flat[len(drawn) :]:
            axes.remove()
        most = max(max(one.parameters[0].share, one.chance) for one in drawn)
        grid[0, 0].set_xlim(0, max(112 * most, 10))
        _tell_meaning(figure, families)
    return figure


def _draw_family(axes: Axes, one: FamilyImportance, bars: int, of: Look) -> None:
    for place, parameter in enumerate(one.parameters[:MOST_BARS]):
        share = 100 * parameter.share
        axes.barh(
            place,
            share,
            0.7,
            color=of.color,
            hatch=of.hatch,
            edgecolor="white",
            linewidth=0.4,
            alpha=1.0 if parameter.share > one.chance else 0.4,
        )
        axes.annotate(
            f"{share:.0f}", (share, place), xytext=(3, 0), textcoords="offset points", va="center", fontsize=SMALL
        )
    names = [shown(parameter.name, 22) for parameter in one.parameters[:MOST_BARS]]
    axes.set_yticks(range(len(names)), names)
    # As many places in each panel: bars of all families are equally thick.
    axes.set_ylim(bars - 0.5, -0.5)
    axes.tick_params(labelbottom=True)
    axes.grid(axis="y", visible=False)
    axes.set_title(f"{shown(one.family, 18)}: {one.trials} complete trials")
    axes.axvline(100 * one.chance, color=GREY, linestyle=(0, (4, 2)), linewidth=1.2)


def _tell_meaning(figure: Figure, families: Sequence[FamilyImportance]) -> None:
    """Below the panels; what each axis shows comes first."""
    lines = [
        "Share of the variance of validation accuracy that a parameter explains by itself (%, fANOVA)",
        "Dashed: the largest share where accuracies are shuffled among the trials. Faded: no more than that.",
    ]
    if any(one.unassessed for one in families):
        lines.append("Not assessed: what too few trials have, as the learning rate of a rare optimizer.")
    lines += [f"Left out: {shown(one.family)}, {one.left_out}." for one in families if one.left_out]
    figure.supxlabel("\n".join(lines), x=0.01, ha="left", fontsize=SMALL)
