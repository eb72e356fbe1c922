"""Training curves of single trials on axes that all share: points by hand, and what is left out."""

from __future__ import annotations

import math
from dataclasses import replace

from searched import trial

from benchmark.records import ProgressRecord, TrialState
from benchmark.report.training import training_of


def report(step: int, train: float, val: float, accuracy: float, rate: float) -> ProgressRecord:
    return ProgressRecord(step, 100 * step, train, val, accuracy, rate, float(step), 0.1, 1000.0)


TRIALS = [
    trial(0, 0, 10, 0.6, reports=(0.4, 0.6)),
    trial(1, 0, 10, 0.9, reports=(0.5, 0.9)),
    trial(2, 0, 10, state=TrialState.FAILED, reports=(0.1,)),
    trial(3, 0, 1, state=TrialState.FAILED),
]
CURVES = [
    (report(1, 2.0, 2.2, 0.4, 0.5), report(2, 1.0, 1.5, 0.6, 0.25)),
    (),
    (report(1, math.nan, 50.0, 0.1, 0.1),),
    (),
]


def test_every_trial_is_drawn_on_the_same_axes() -> None:
    training = training_of(TRIALS, CURVES, 10)
    assert training is not None
    losses, accuracy, rate = (chart.frame for chart in training.charts)
    assert [number for number, _ in training.drawn_on(0)] == [0, 1, 2, 3]
    first = dict(training.drawn_on(0))[0]
    assert [line.points for line in first.lines] == [
        (losses.at(1, 2.0), losses.at(2, 1.0)),
        (losses.at(1, 2.2), losses.at(2, 1.5)),
    ]
    assert dict(training.drawn_on(1))[0].lines[0].points == (accuracy.at(1, 0.4), accuracy.at(2, 0.6))
    assert dict(training.drawn_on(2))[0].lines[0].points == (rate.at(1, 100), rate.at(2, 50))
    assert training.runs[0].highest_rate == "0.500"


def test_a_dot_says_what_was_measured() -> None:
    training = training_of(TRIALS, CURVES, 10)
    assert training is not None
    tips = [dot.tip for _, drawn in (training.drawn_on(chart)[0] for chart in range(3)) for dot in drawn.dots]
    assert "training loss, report 2: 1.00 nats" in tips
    assert "validation accuracy, report 2: 60.00 %" in tips
    assert "learning rate, report 2: 0.250" in tips


def test_it_begins_with_the_best_trial() -> None:
    training = training_of(TRIALS, CURVES, 10)
    assert training is not None
    assert training.first == 1


def test_a_trial_whose_curve_was_not_stored_has_its_accuracies() -> None:
    training = training_of(TRIALS, CURVES, 10)
    assert training is not None
    assert len(dict(training.drawn_on(1))[1].dots) == 2
    assert dict(training.drawn_on(0))[1].lines == ()


def test_training_accuracy_is_drawn_where_it_was_stored() -> None:
    plain = training_of(TRIALS, CURVES, 10)
    assert plain is not None
    assert (plain.charts[1].title, plain.charts[1].legend) == ("Validation accuracy", ())
    curve = tuple(replace(one, train_accuracy=accuracy) for one, accuracy in zip(CURVES[0], (0.3, 0.7), strict=True))
    training = training_of(TRIALS, [curve, *CURVES[1:]], 10)
    assert training is not None
    chart = training.charts[1]
    assert chart.title == "Accuracy"
    assert [key.name for key in chart.legend] == ["training", "validation"]
    trained, validated = dict(training.drawn_on(1))[0].lines
    assert trained.points == (chart.frame.at(1, 0.3), chart.frame.at(2, 0.7))
    assert validated.points == (chart.frame.at(1, 0.4), chart.frame.at(2, 0.6))
    assert "training accuracy, report 2: 70.00 %" in [dot.tip for dot in dict(training.drawn_on(1))[0].dots]


def test_a_loss_that_is_not_finite_has_no_place_and_one_that_exploded_flattens_no_other() -> None:
    training = training_of(TRIALS, CURVES, 10)
    assert training is not None
    diverged = dict(training.drawn_on(0))[2]
    (line,) = diverged.lines
    frame = training.charts[0].frame
    assert line.points == ((frame.left, frame.top),)
    assert frame.y.place(2 * math.log(10)) == 1


def test_a_trial_that_never_reported_draws_nothing() -> None:
    training = training_of(TRIALS, CURVES, 10)
    assert training is not None
    assert all(dict(training.drawn_on(chart))[3].dots == () for chart in range(3))
    assert training_of(TRIALS[3:], CURVES, 10) is None
