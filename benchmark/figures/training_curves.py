"""How validation accuracy rose while each trial trained, all of them over each other; picks no trial to train on."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from benchmark.figures.error_scale import ERROR_SCALE, set_error_scale
from benchmark.figures.style import SMALL, Look, add_legend, looks_of, new_figure, shown
from benchmark.records import TrialRecord, TrialState

BOLD = 3.2
"""Width of the best trial's line, in points."""


def training_curves(trials: Sequence[TrialRecord], *, subject: str) -> Figure:
    """Validation accuracy at each report of every trial, told apart by family.

    Lines of trials that did not complete are faded, and end where the trial was pruned or failed. The best complete
    trial by its final score, the earlier of equals, is bold and labelled. `subject` is what the title says was studied.
    Raises ValueError where no trial reported.
    """
    reported = [trial for trial in trials if trial.reports]
    if not reported:
        raise ValueError("there is nothing to draw: no trial has reported")
    best = _best(reported)
    looks = looks_of(trial.family for trial in trials)
    with new_figure("Validation accuracy while training", subject, height=5.4) as figure:
        axes = figure.subplots()
        axes.set_title("Faded: pruned, failed or still running. Bold: the best by its final score.")
        axes.set_xlabel("Report (evenly spaced over a trial's budget)")
        axes.set_ylabel(f"Validation accuracy ({ERROR_SCALE})")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, steps=(1, 2, 5, 10)))
        set_error_scale(axes, (accuracy for trial in reported for _, accuracy in trial.reports), above=0.05, below=0.05)
        for trial in reported:
            _draw_curve(axes, trial, looks[trial.family], bold=trial is best)
        if best is not None:
            _label(axes, best)
        drawn = {trial.family for trial in reported}
        # Lines of the axes may all be faded ones.
        samples = {family: _sample(of_family) for family, of_family in looks.items() if family in drawn}
        add_legend(figure, list(samples.values()), [shown(family) for family in samples])
    return figure


def _best(trials: Sequence[TrialRecord]) -> TrialRecord | None:
    scored = [(trial.val_accuracy, -trial.number, trial) for trial in trials if trial.val_accuracy is not None]
    return max(scored)[2] if scored else None


def _draw_curve(axes: Axes, trial: TrialRecord, of: Look, *, bold: bool) -> None:
    faded = trial.state is not TrialState.COMPLETE
    steps, accuracies = zip(*trial.reports, strict=True)
    axes.plot(
        steps,
        [100 * accuracy for accuracy in accuracies],
        color=of.color,
        linestyle=of.line,
        linewidth=BOLD if bold else 1.2,
        alpha=0.25 if faded else 1.0 if bold else 0.7,
        # The last report alone: it shows where a line ends, and a line of one report at all.
        marker=of.marker,
        markevery=[-1],
        markersize=8.0 if bold else 5.0,
        markeredgecolor="white",
        markeredgewidth=0.6,
        clip_on=False,
        zorder=2 if faded else 4 if bold else 3,
    )


def _label(axes: Axes, best: TrialRecord) -> None:
    step, accuracy = best.reports[-1]
    axes.annotate(
        f"trial {best.number},\n{shown(best.family, 16)}",
        (step, 100 * accuracy),
        xytext=(8, 0),
        textcoords="offset points",
        va="center",
        fontsize=SMALL,
        fontweight="bold",
        # A trial that stopped early ends among the lines of others.
        bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 1.0},
        zorder=5,
    )


def _sample(of: Look) -> Line2D:
    """A line for the legend."""
    return Line2D([], [], color=of.color, linestyle=of.line, linewidth=1.4, marker=of.marker, markersize=5.0)
