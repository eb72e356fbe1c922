"""How each trial trained, report by report, on axes that all of them share; chooses no trial and draws nothing."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from benchmark.records import ParameterValue, ProgressRecord, TrialRecord
from benchmark.report.axes import Axis, error_axis, linear_axis
from benchmark.report.chart import Chart, Dot, Frame, Key, Line
from benchmark.wording import percent, significant

_TRAINING, _VALIDATION, _RATE = 0, 1, 2
"""Indices of looks, those that the figure of one trial has."""


@dataclass(frozen=True)
class Drawn:
    """What one trial adds to a chart."""

    lines: tuple[Line, ...] = ()
    dots: tuple[Dot, ...] = ()


@dataclass(frozen=True)
class Run:
    """One trial: what it adds to each chart, in their order, and what it was trained with."""

    trial: TrialRecord
    drawn: tuple[Drawn, ...]
    highest_rate: str
    """Learning rate, at a report; a schedule may peak between two."""
    parameters: tuple[tuple[str, ParameterValue], ...]


@dataclass(frozen=True)
class Training:
    """Charts without lines, and the trials that can be drawn on them."""

    charts: tuple[Chart, ...]
    runs: tuple[Run, ...]
    first: int
    """Number of the trial to begin with: the best by validation."""

    def drawn_on(self, chart: int) -> list[tuple[int, Drawn]]:
        """By number of the trial, what each adds to the chart at this index."""
        return [(run.trial.number, run.drawn[chart]) for run in self.runs]


def training_of(
    trials: Sequence[TrialRecord], curves: Sequence[tuple[ProgressRecord, ...]], classes: int
) -> Training | None:
    """Losses, accuracies and learning rate of each of `trials`; None where none has reported.

    `curves` has the reports in full of all trials by number, empty where they were not stored: such a trial has its
    accuracies alone. `classes` is how many there are.
    """
    records = [record for trial in trials for record in curves[trial.number]]
    scores = [score for trial in trials for _, score in trial.reports]
    if not scores:
        return None
    trained = [record.train_accuracy for record in records if record.train_accuracy is not None]
    measured = "Validation at each report, in one view" + ("; training as a mean over batches." if trained else ".")
    legend = (Key(_TRAINING, "training"), Key(_VALIDATION, "validation"))
    best = max(trials, key=lambda trial: (trial.val_accuracy or 0.0, bool(trial.reports), -trial.number))
    steps = linear_axis("Report", 1, max(step for trial in trials for step, _ in trial.reports), is_whole=True)
    charts = (
        Chart(
            "Loss",
            "Training loss is a mean over batches, with augmentation and label smoothing.",
            Frame(steps, _loss_axis(records, classes)),
            legend=legend,
        ),
        Chart(
            "Accuracy" if trained else "Validation accuracy",
            f"{measured} On a log scale of errors.",
            Frame(steps, error_axis("Accuracy (%)", [*scores, *trained])),
            legend=legend if trained else (),
        ),
        Chart(
            "Learning rate",
            "At each report, in percent of the highest that the trial had at one.",
            Frame(steps, linear_axis("Learning rate (% of its highest)", 0, 100)),
        ),
    )
    return Training(charts, tuple(_run(trial, curves[trial.number], charts) for trial in trials), best.number)


def _run(trial: TrialRecord, curve: Sequence[ProgressRecord], charts: Sequence[Chart]) -> Run:
    losses, accuracy, rate = (chart.frame for chart in charts)
    highest = max((record.learning_rate for record in curve), default=0.0)
    trained = [(record.step, record.train_loss, f"{significant(record.train_loss)} nats") for record in curve]
    validated = [(record.step, record.val_loss, f"{significant(record.val_loss)} nats") for record in curve]
    learned = [
        (record.step, record.train_accuracy, f"{percent(record.train_accuracy)} %")
        for record in curve
        if record.train_accuracy is not None
    ]
    scored = [(step, score, f"{percent(score)} %") for step, score in trial.reports]
    rates = [
        (record.step, 100 * record.learning_rate / (highest or 1.0), significant(record.learning_rate))
        for record in curve
    ]
    return Run(
        trial,
        (
            _joined(
                _drawn(losses, "training loss", trained, _TRAINING),
                _drawn(losses, "validation loss", validated, _VALIDATION),
            ),
            _joined(
                _drawn(accuracy, "training accuracy", learned, _TRAINING),
                _drawn(accuracy, "validation accuracy", scored, _VALIDATION),
            ),
            _drawn(rate, "learning rate", rates, _RATE),
        ),
        significant(highest) if curve else "–",
        tuple(sorted(trial.parameters.items())),
    )


def _drawn(frame: Frame, name: str, values: Sequence[tuple[int, float, str]], look: int) -> Drawn:
    """Values with their texts by step; those of a trial that diverged may not be finite, and have no place."""
    finite = [(step, value, text) for step, value, text in values if math.isfinite(value)]
    if not finite:
        return Drawn()
    points = tuple(frame.at(step, value) for step, value, _ in finite)
    dots = (
        Dot(point, look, f"{name}, report {step}: {text}")
        for point, (step, _, text) in zip(points, finite, strict=True)
    )
    return Drawn((Line(points, look, name),), tuple(dots))


def _joined(*parts: Drawn) -> Drawn:
    return Drawn(
        tuple(line for part in parts for line in part.lines), tuple(dot for part in parts for dot in part.dots)
    )


def _loss_axis(records: Sequence[ProgressRecord], classes: int) -> Axis:
    """Up to twice the loss of guessing at most: what diverged stands at the upper edge and flattens no other."""
    losses = [loss for record in records for loss in (record.train_loss, record.val_loss) if math.isfinite(loss)]
    return linear_axis("Loss (nats)", 0, min(max(losses, default=1.0), 2 * math.log(max(classes, 2))))
