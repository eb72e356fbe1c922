"""What each family's search came to, parameter by parameter; fits no importance itself and draws nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.trial import FrozenTrial, TrialState

from benchmark.family_studies import NUMBER
from benchmark.leaderboard import FamilySummary
from benchmark.records import FamilyImportance
from benchmark.report.axes import MOST_OF_PARAMETER, Axis, error_axis, parameter_axis, with_foot
from benchmark.report.chart import Chart, Dot, Frame, Line, Parallel, Point, parallel_height
from benchmark.wording import percent

MOST_SLICES = 6
MOST_AXES = 6
"""Parameters of parallel coordinates, beside the accuracy."""
FEWEST_TRIALS = 2
"""Complete trials of a family, and those that have a parameter, below which there is nothing to compare."""
SLICE_WIDTH, SLICE_HEIGHT = 320.0, 240.0
_AXIS_GAP, _MARGIN = 128.0, 88.0
_GOLDEN = 0.6180339887
"""Multiples of it, less their whole part, are spread evenly however many there are."""
_ACCURACY = "Val. accuracy (%)"


@dataclass(frozen=True)
class FamilyView:
    """One family: what became of its trials, which parameters mattered, and how accuracy depends on each."""

    summary: FamilySummary
    look: int
    importance: FamilyImportance | None
    """None where no trial of it is complete or pruned."""
    parallel: Parallel | None
    slices: tuple[Chart, ...]


def family_views(
    summaries: Sequence[FamilySummary],
    studies: Mapping[str, optuna.Study],
    importances: Mapping[str, FamilyImportance],
    looks: Mapping[str, int],
    most_trials: int,
) -> tuple[FamilyView, ...]:
    """A view of each family in the order of `summaries`, of at most so many complete trials each, the best to stay."""
    return tuple(
        _view(one, looks[one.family], studies.get(one.family), importances.get(one.family), most_trials)
        for one in summaries
    )


def _view(
    summary: FamilySummary, look: int, study: optuna.Study | None, found: FamilyImportance | None, most_trials: int
) -> FamilyView:
    complete = [] if study is None else study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    trials = sorted(complete, key=lambda trial: -_score(trial))[:most_trials]
    if len(trials) < FEWEST_TRIALS:
        return FamilyView(summary, look, found, None, ())
    counts = Counter(name for trial in trials for name in trial.params)
    searched = {
        name: one for trial in trials for name, one in trial.distributions.items() if counts[name] >= FEWEST_TRIALS
    }
    # The most important first; what was not assessed comes after, what most trials have before the rest.
    shares = found.shares if found is not None else {}
    names = sorted(searched, key=lambda name: (-shares.get(name, -1.0), -counts[name], name))
    accuracy = error_axis(_ACCURACY, map(_score, trials), most_ticks=MOST_OF_PARAMETER)
    axes = [parameter_axis(name, searched[name]) for name in names[:MOST_AXES]]
    axes = [axis if counts[axis.title] == len(trials) else with_foot(axis) for axis in axes]
    leading = "The most important parameters" if shares else "Parameters that most trials have"
    return FamilyView(
        summary,
        look,
        found,
        _parallel(trials, axes, accuracy, leading, look),
        tuple(_slice(name, searched[name], trials, accuracy, look) for name in names[:MOST_SLICES]),
    )


def _slice(
    name: str, distribution: BaseDistribution, trials: Sequence[FrozenTrial], accuracy: Axis, look: int
) -> Chart:
    frame = Frame(parameter_axis(name, distribution), accuracy, SLICE_WIDTH, SLICE_HEIGHT)
    spread = 0.6 / len(distribution.choices) if isinstance(distribution, CategoricalDistribution) else 0.0
    dots = []
    for trial in trials:
        if name in trial.params:
            number = trial.user_attrs[NUMBER]
            # Trials of one choice would hide each other.
            aside = spread * (number * _GOLDEN % 1 - 0.5)
            at = (
                frame.across(frame.x.place(trial.params[name]) + aside),
                frame.up(accuracy.place(_score(trial))),
            )
            dots.append(Dot(at, look, f"{_told(trial)}: {name} = {_value(trial.params[name])}", number))
    return Chart(name, "", frame, dots=tuple(dots))


def _parallel(
    trials: Sequence[FrozenTrial], axes: Sequence[Axis], accuracy: Axis, leading: str, look: int
) -> Parallel | None:
    if not axes:
        return None
    placed = [(_MARGIN + index * _AXIS_GAP, axis) for index, axis in enumerate([*axes, accuracy])]
    best = max(trials, key=_score)
    lines = []
    for trial in sorted(trials, key=_score):
        values = trial.params | {_ACCURACY: _score(trial)}
        # At the foot of an axis stands what has no value on it.
        places = [axis.place(values[axis.title]) if axis.title in values else 0.0 for _, axis in placed]
        points: tuple[Point, ...] = tuple(
            (x, parallel_height(place)) for (x, _), place in zip(placed, places, strict=True)
        )
        named = [axis.title for axis in axes if axis.title in trial.params]
        told = ", ".join(f"{name} = {_value(trial.params[name])}" for name in named) or "none of these parameters"
        kind = "bold" if trial is best else ""
        lines.append(Line(points, look, f"{_told(trial)}: {told}", trial.user_attrs[NUMBER], kind))
    absent = "; – is where a trial has none" if any(axis.start for axis in axes) else ""
    return Parallel(
        "Parameters side by side",
        f"Each line is a complete trial, the bold one the best. {leading} come first{absent}.",
        tuple(placed),
        tuple(lines),
        width=2 * _MARGIN + len(axes) * _AXIS_GAP,
    )


def _score(trial: FrozenTrial) -> float:
    assert trial.value is not None
    return trial.value


def _told(trial: FrozenTrial) -> str:
    return f"trial {trial.user_attrs[NUMBER]}, {percent(_score(trial))} %"


def _value(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
