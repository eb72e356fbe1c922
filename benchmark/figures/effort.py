"""Where a search's trials and its time went, by family and by what became of them; judges no family."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from benchmark.figures.style import SMALL, Look, add_legend, grey_look, new_figure, shown, unit_of
from benchmark.records import TrialRecord, TrialState
from benchmark.wording import significant

LOOKS: Mapping[TrialState, Look] = MappingProxyType(
    {
        TrialState.COMPLETE: grey_look(0),
        TrialState.PRUNED: grey_look(1),
        TrialState.FAILED: grey_look(2),
        TrialState.RUNNING: grey_look(3),
    }
)
"""In the order of the bars; no colours, which are those of families."""


def search_effort(trials: Sequence[TrialRecord], *, subject: str) -> Figure:
    """Number of trials, and their wall-clock time added up over workers, by family: two panels of stacked bars.

    `subject` is what the title says was studied. Raises ValueError without trials.
    """
    if not trials:
        raise ValueError("there is nothing to draw: no trials")
    families = sorted({trial.family for trial in trials}, reverse=True)
    most = max(sum(trial.seconds for trial in trials if trial.family == family) for family in families)
    unit, sign = unit_of(most)
    with new_figure("Trials and time of each family", subject, height=1.9 + 0.42 * len(families)) as figure:
        numbers, times = figure.subplots(1, 2, sharey=True)
        numbers.set_title("How many, by what became of them")
        times.set_title("Time of these trials, added up over workers")
        _draw_panel(numbers, families, trials, lambda _: 1, lambda total: f"{total:.0f}")
        looks = _draw_panel(times, families, trials, lambda trial: trial.seconds / unit, significant)
        numbers.xaxis.set_major_locator(MaxNLocator(integer=True, steps=(1, 2, 5, 10)))
        numbers.set_xlabel("Trials")
        times.set_xlabel(f"Time ({sign})")
        numbers.set_yticks(range(len(families)), [shown(family, 24) for family in families])
        add_legend(figure, list(looks.values()), [state.value for state in looks])
    return figure


def _draw_panel(
    axes: Axes,
    families: Sequence[str],
    trials: Sequence[TrialRecord],
    size: Callable[[TrialRecord], float],
    told: Callable[[float], str],
) -> dict[TrialState, Artist]:
    """Bars by state, one for each family; its total is written behind. The look of each state that there is."""
    ends = [0.0] * len(families)
    looks: dict[TrialState, Artist] = {}
    for state, of in LOOKS.items():
        sizes = [
            sum(size(trial) for trial in trials if (trial.family, trial.state) == (name, state)) for name in families
        ]
        if not any(trial.state is state for trial in trials):
            continue
        bars = axes.barh(
            range(len(families)), sizes, 0.7, ends, color=of.color, hatch=of.hatch, edgecolor="white", linewidth=0.4
        )
        looks[state] = bars.patches[0]
        ends = [end + added for end, added in zip(ends, sizes, strict=True)]
    for place, end in enumerate(ends):
        axes.annotate(told(end), (end, place), xytext=(4, 0), textcoords="offset points", va="center", fontsize=SMALL)
    axes.set_xlim(0, 1.15 * max(ends) or 1.0)
    axes.grid(axis="y", visible=False)
    return looks
