"""What the search did, as charts over all of its trials; chooses no trial and draws nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate

from benchmark.figures.search_progress import in_order_of_end
from benchmark.figures.style import unit_of
from benchmark.records import TrialRecord, TrialState
from benchmark.report.axes import error_axis, linear_axis
from benchmark.report.chart import Chart, Dot, Frame, Line, stepped
from benchmark.wording import percent, significant

MOST_TRIALS = 400
"""Trials that charts show: the best of them, where a study has more."""
ACCURACY = "Validation accuracy (%)"
_UNFINISHED = {TrialState.PRUNED: "pruned", TrialState.FAILED: "failed"}


def shown_trials(trials: Sequence[TrialRecord], most: int = MOST_TRIALS) -> tuple[TrialRecord, ...]:
    """At most so many trials, the best by validation first to stay, in order of their numbers."""
    best = sorted(trials, key=lambda trial: (trial.val_accuracy is None, -(trial.val_accuracy or 0.0), trial.number))
    return tuple(sorted(best[:most], key=lambda trial: trial.number))


def looks_by_family(trials: Iterable[TrialRecord]) -> dict[str, int]:
    """The index of each family's look, the one that it has in every figure (figures.style.looks_of)."""
    return {family: index for index, family in enumerate(sorted({trial.family for trial in trials}))}


def progress_charts(trials: Sequence[TrialRecord], looks: Mapping[str, int]) -> tuple[Chart, ...]:
    """The best validation accuracy so far, by trials ended and by time; none without a complete trial of known time."""
    ends, ended = in_order_of_end(trials)
    scores = [trial.val_accuracy for trial in ended if trial.val_accuracy is not None]
    if not scores:
        return ()
    unit, sign = unit_of(ends[-1])
    accuracy = error_axis(ACCURACY, scores)
    count = linear_axis("Trials ended", 0, len(ended), is_whole=True)
    time = linear_axis(f"Time since the first trial began ({sign})", 0, ends[-1] / unit or 1.0)
    return (
        _progress("Best so far, by trials", Frame(count, accuracy), range(1, len(ended) + 1), ended, looks),
        _progress("Best so far, by time", Frame(time, accuracy), [end / unit for end in ends], ended, looks),
    )


def _progress(
    title: str, frame: Frame, places: Sequence[float], ended: Sequence[TrialRecord], looks: Mapping[str, int]
) -> Chart:
    placed = list(zip(places, ended, strict=True))
    scored = [(place, trial.val_accuracy) for place, trial in placed if trial.val_accuracy is not None]
    best = list(accumulate((score for _, score in scored), max))
    line = stepped(frame.at(place, score) for (place, _), score in zip(scored, best, strict=True))
    dots = []
    for place, trial in placed:
        if trial.val_accuracy is not None:
            at, kind = frame.at(place, trial.val_accuracy), ""
        elif trial.state in _UNFINISHED:
            at, kind = (frame.across(frame.x.place(place)), frame.bottom - 5), _UNFINISHED[trial.state]
        else:
            continue
        dots.append(Dot(at, looks[trial.family], told(trial), trial.number, kind))
    return Chart(
        title,
        "The line is the best so far; accuracy is on a log scale of errors. At the foot: pruned (|) and failed (×).",
        frame,
        lines=(Line((*line, (frame.right, line[-1][1])), None, f"best: {percent(best[-1])} %"),),
        dots=tuple(dots),
    )


def curves_chart(trials: Sequence[TrialRecord], looks: Mapping[str, int]) -> Chart | None:
    """Validation accuracy at every report of all trials, over each other; None where no trial has reported."""
    reported = [trial for trial in trials if trial.reports]
    if not reported:
        return None
    steps = linear_axis("Report", 1, max(trial.reports[-1][0] for trial in reported), is_whole=True)
    frame = Frame(steps, error_axis(ACCURACY, (score for trial in reported for _, score in trial.reports)))
    best = max(reported, key=lambda trial: (trial.val_accuracy or 0.0, -trial.number))
    lines, ends = [], []
    # The best is drawn last, over the others.
    for trial in sorted(reported, key=lambda trial: (trial is best, trial.state is TrialState.COMPLETE)):
        kind = "faded" if trial.state is not TrialState.COMPLETE else "bold" if trial is best else ""
        points = tuple(frame.at(step, score) for step, score in trial.reports)
        tip = f"{told(trial)}; reports: {', '.join(percent(score) for _, score in trial.reports)}"
        lines.append(Line(points, looks[trial.family], tip, trial.number, kind))
        ends.append(Dot(points[-1], looks[trial.family], tip, trial.number, kind))
    return Chart(
        "Validation accuracy while training",
        "Reports are evenly spaced over a trial's budget. Faded: pruned, failed or running. Bold: the best by its "
        "final score.",
        frame,
        lines=tuple(lines),
        dots=tuple(ends),
    )


def told(trial: TrialRecord) -> str:
    """A trial in a line: `trial 12, cnn, complete: 84.88 %, 65.0 s`."""
    score = "" if trial.val_accuracy is None else f": {percent(trial.val_accuracy)} %"
    return f"trial {trial.number}, {trial.family}, {trial.state}{score}, {significant(trial.seconds)} s"
