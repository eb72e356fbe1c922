"""Accuracy of entrants on corrupted images, by severity and by corruption; corrupts nothing, scores nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmark.figures.style import GREY, SMALL, add_legend, draw_estimates, looks_of, new_figure, shown
from benchmark.metrics import Estimate

SPREAD = 0.6
"""Share of the room of one corruption that its entrants stand in, side by side."""

HEADROOM = 0.06
"""Share of the scale that is kept free for the names of groups."""


@dataclass(frozen=True)
class CorruptedAccuracy:
    """One entrant's accuracies in [0, 1]: on clean images, by severity, and by corruption, each with its interval."""

    name: str
    clean: Estimate
    by_severity: tuple[Estimate, ...]
    """Mean over corruptions, the mildest first."""
    by_corruption: tuple[Estimate, ...]
    """Mean over severities."""


def accuracy_under_corruption(
    entrants: Sequence[CorruptedAccuracy],
    corruptions: Sequence[str],
    groups: Sequence[str],
    *,
    rows: int,
    test_rows: int,
    subject: str,
) -> Figure:
    """Accuracy against severity at the left, by corruption at the right, on one scale.

    `groups` names the group of every corruption; those of one group stand together. `rows` of `test_rows` test images
    were corrupted; `subject` is what the title says was studied. Raises ValueError without entrants, or where numbers
    are missing.
    """
    if not entrants:
        raise ValueError("there is nothing to draw: no entrants")
    if any(len(one.by_corruption) != len(corruptions) for one in entrants) or len(groups) != len(corruptions):
        raise ValueError(f"{len(corruptions)} corruptions need as many groups, and accuracies of every entrant")
    looks = looks_of(one.name for one in entrants)
    with new_figure("Accuracy under corruption", subject, height=5.2) as figure:
        left, right = figure.subplots(1, 2, sharey=True, width_ratios=(2, 5))
        step = SPREAD / len(entrants)
        lines = []
        for number, one in enumerate(entrants):
            aside = (number - (len(entrants) - 1) / 2) * step
            by_severity = (one.clean, *one.by_severity)
            # A severity's room is half as wide as a corruption's name is long.
            lines.append(
                draw_estimates(left, [x + aside / 2 for x in range(len(by_severity))], by_severity, looks[one.name])
            )
            places = [x + aside for x in range(len(corruptions))]
            draw_estimates(right, places, one.by_corruption, looks[one.name], joined=False)
        left.set_title("Mean over corruptions")
        left.set_xlabel("Severity, 0 is clean")
        left.set_ylabel("Test accuracy (%), with 95 % intervals")
        left.set_xticks(range(len(entrants[0].by_severity) + 1))
        right.set_title(f"Mean over severities. Both panels: {rows:,} of {test_rows:,} test images.")
        right.set_xticks(range(len(corruptions)), corruptions, rotation=45, ha="right", rotation_mode="anchor")
        right.set_xlim(-0.5, len(corruptions) - 0.5)
        _name_groups(right, groups)
        add_legend(figure, lines, [shown(one.name) for one in entrants])
    return figure


def _name_groups(axes: Axes, groups: Sequence[str]) -> None:
    """Lines between the groups, and their names above all that is drawn."""
    axes.grid(False, axis="x")
    low, high = axes.get_ylim()
    axes.set_ylim(low, high + HEADROOM * (high - low))
    first = 0
    for name, of_group in groupby(groups):
        last = first + len(list(of_group))
        if first:
            axes.axvline(first - 0.5, color=GREY, linewidth=0.8)
        middle = (first + last - 1) / 2
        axes.text(
            middle, 0.99, name, color=GREY, fontsize=SMALL, ha="center", va="top",
            transform=axes.get_xaxis_transform(),
        )  # fmt: skip
        first = last
