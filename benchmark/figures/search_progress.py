"""How the best validation accuracy of a search rose, by trials and by time; picks no trial."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from benchmark.figures.error_scale import ERROR_SCALE, set_error_scale
from benchmark.figures.style import GREY, Look, add_legend, looks_of, new_figure, shown, unit_of
from benchmark.records import TrialRecord, TrialState

BEST = "best so far"


class _Foot(NamedTuple):
    """How trials of one state without a score are shown at the foot of a panel."""

    marker: str
    sign: str
    """The marker in words."""
    height: float
    """A share of the panel's."""


_FEET = {TrialState.PRUNED: _Foot("|", "|", 0.02), TrialState.FAILED: _Foot("x", "×", 0.05)}


def search_progress(trials: Sequence[TrialRecord], *, subject: str) -> Figure:
    """Best validation accuracy so far over trials that ended, and over time since the first began, a panel each.

    Trials come in the order in which they ended; those that still run are left out. Time is that of the wall clock,
    all workers together, pauses of the search included. `subject` is what the title says was studied. Raises ValueError
    where no complete trial is known by its time.
    """
    ends, ended = in_order_of_end(trials)
    scores = [trial.val_accuracy for trial in ended if trial.val_accuracy is not None]
    if not scores:
        raise ValueError("there is nothing to draw: no complete trial with a time")
    looks = looks_of(trial.family for trial in trials)
    unit, sign = unit_of(ends[-1])
    with new_figure("Search progress", subject, height=4.8) as figure:
        by_trials, by_time = figure.subplots(1, 2, sharey=True)
        by_trials.set_title("By trials, in the order in which they ended")
        by_time.set_title("By time: all workers, pauses included")
        set_error_scale(by_trials, scores, above=0.05, below=0.12)
        _draw_panel(by_trials, range(1, len(ended) + 1), ended, looks)
        lines = _draw_panel(by_time, [end / unit for end in ends], ended, looks)
        by_trials.xaxis.set_major_locator(MaxNLocator(integer=True, steps=(1, 2, 5, 10)))
        by_trials.set(xlabel=f"Trials ended{_foot(ended)}", ylabel=f"Validation accuracy ({ERROR_SCALE})")
        by_time.set_xlabel(f"Time since the first trial began ({sign})")
        add_legend(figure, list(lines.values()), [shown(name) for name in lines])
    return figure


def in_order_of_end(trials: Sequence[TrialRecord]) -> tuple[list[float], list[TrialRecord]]:
    """Seconds from the start of the first trial to the end of each that ended, and these trials; in this order."""
    timed = [(trial.started, trial) for trial in trials if trial.started is not None]
    first = min((started for started, _ in timed), default=None)
    ended = sorted(
        ((started - first).total_seconds() + trial.seconds, trial.number, trial)
        for started, trial in timed
        if first is not None and trial.state is not TrialState.RUNNING
    )
    return [end for end, _, _ in ended], [trial for _, _, trial in ended]


def _foot(trials: Sequence[TrialRecord]) -> str:
    """A line on the trials without a score; empty where there are none."""
    found = [f"{state} ({of.sign})" for state, of in _FEET.items() if any(trial.state is state for trial in trials)]
    return f"\nAt the foot: {' and '.join(found)}" if found else ""


def _draw_panel(
    axes: Axes, places: Sequence[float], trials: Sequence[TrialRecord], looks: Mapping[str, Look]
) -> dict[str, Line2D]:
    """One panel, with trials at `places`; its lines by what they show."""
    axes.set_xlim(0, places[-1] or 1.0)
    lines = {BEST: _draw_best(axes, places, trials)}
    placed = list(zip(places, trials, strict=True))
    for family, of_family in looks.items():
        points = [
            (place, 100 * trial.val_accuracy)
            for place, trial in placed
            if trial.family == family and trial.val_accuracy is not None
        ]
        if points:
            (lines[family],) = axes.plot(
                *zip(*points, strict=True),
                color=of_family.color,
                marker=of_family.marker,
                linestyle="none",
                markeredgecolor="white",
                markeredgewidth=0.7,
                clip_on=False,
                zorder=3,
            )
    for state, of_state in _FEET.items():
        ticks = [place for place, trial in placed if trial.state is state]
        if ticks:
            (lines[state.value],) = axes.plot(
                ticks,
                [of_state.height] * len(ticks),
                transform=axes.get_xaxis_transform(),
                color=GREY,
                marker=of_state.marker,
                linestyle="none",
                markersize=5.0,
                markeredgewidth=0.8,
                alpha=0.6,
                clip_on=False,
            )
    return lines


def _draw_best(axes: Axes, places: Sequence[float], trials: Sequence[TrialRecord]) -> Line2D:
    """The best so far, from the first score on to the last trial."""
    scored = [
        (place, trial.val_accuracy)
        for place, trial in zip(places, trials, strict=True)
        if trial.val_accuracy is not None
    ]
    best = [100 * score for score in accumulate((score for _, score in scored), max)]
    (line,) = axes.plot(
        [*(place for place, _ in scored), places[-1]],
        [*best, best[-1]],
        color=GREY,
        linewidth=1.4,
        drawstyle="steps-post",
        zorder=2,
    )
    return line
