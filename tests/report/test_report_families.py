"""Parameters of a family, from planted trials: the most important first, each on its own scale."""

from __future__ import annotations

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution
from optuna.trial import TrialState, create_trial

from benchmark.leaderboard import FamilySummary
from benchmark.records import FamilyImportance, ParameterImportance
from benchmark.report.axes import FOOT
from benchmark.report.chart import parallel_height
from benchmark.report.families import MOST_AXES, FamilyView, family_views

SPACE: dict[str, BaseDistribution] = {
    "lr": FloatDistribution(0.01, 1.0, log=True),
    "width": CategoricalDistribution((16, 32)),
    "momentum": FloatDistribution(0.0, 1.0),
}
TRIALS = [
    (3, 0.5, {"lr": 0.01, "width": 16}),
    (5, 0.9, {"lr": 0.1, "width": 32, "momentum": 0.5}),
    (8, 0.7, {"lr": 1.0, "width": 16, "momentum": 0.25}),
]


def study() -> optuna.Study:
    made = optuna.create_study(study_name="cnn", direction="maximize")
    for number, value, params in TRIALS:
        distributions = {name: SPACE[name] for name in params}
        made.add_trial(
            create_trial(value=value, params=params, distributions=distributions, user_attrs={"trial": number})
        )
    made.add_trial(create_trial(state=TrialState.PRUNED, value=0.99, user_attrs={"trial": 9}))
    return made


def view(shares: dict[str, float], most_trials: int = 100, made: optuna.Study | None = None) -> FamilyView:
    parameters = tuple(ParameterImportance(name, share, False, (), (), ()) for name, share in shares.items())
    found = FamilyImportance("cnn", 3, parameters)
    summary = FamilySummary("cnn", 4, {}, 0.9, 10.0)
    studies = {"cnn": made or study()}
    (seen,) = family_views([summary], studies, {"cnn": found}, {"cnn": 2}, most_trials)
    return seen


def test_slices_come_by_importance_and_what_was_not_assessed_last() -> None:
    assert [one.title for one in view({"width": 0.6, "lr": 0.3}).slices] == ["width", "lr", "momentum"]
    assert [one.title for one in view({"momentum": 0.6, "lr": 0.3}).slices] == ["momentum", "lr", "width"]


def test_a_slice_has_every_complete_trial_that_has_the_parameter() -> None:
    by_name = {one.title: one for one in view({"lr": 0.3}).slices}
    assert [dot.trial for dot in by_name["lr"].dots] == [5, 8, 3]
    assert [dot.trial for dot in by_name["momentum"].dots] == [5, 8]
    frame = by_name["lr"].frame
    assert {dot.at for dot in by_name["lr"].dots} == {frame.at(0.01, 0.5), frame.at(0.1, 0.9), frame.at(1.0, 0.7)}
    assert all(dot.look == 2 for dot in by_name["lr"].dots)


def test_trials_of_one_choice_stand_beside_each_other_within_it() -> None:
    chart = {one.title: one for one in view({"lr": 0.3}).slices}["width"]
    by_trial = {dot.trial: dot.at[0] for dot in chart.dots}
    middle = chart.frame.across(0.5)
    assert by_trial[3] != by_trial[8]
    assert max(by_trial[3], by_trial[8]) < middle < by_trial[5]


def test_parallel_lines_cross_parameters_and_end_at_the_accuracy() -> None:
    chart = view({"width": 0.6, "lr": 0.3}).parallel
    assert chart is not None
    assert [axis.title for _, axis in chart.axes] == ["width", "lr", "momentum", "Val. accuracy (%)"]
    assert [line.trial for line in chart.lines] == [3, 8, 5]
    assert [line.kind for line in chart.lines] == ["", "", "bold"]
    places = [x for x, _ in chart.axes]
    accuracy = chart.axes[3][1]
    assert chart.lines[2].points == (
        (places[0], parallel_height(0.75)),
        (places[1], parallel_height(0.5)),
        (places[2], parallel_height(FOOT + (1 - FOOT) / 2)),
        (places[3], parallel_height(accuracy.place(0.9))),
    )
    assert chart.lines[2].tip == "trial 5, 90.00 %: width = 32, lr = 0.1, momentum = 0.5"


def test_a_trial_without_a_parameter_is_below_the_scale_of_its_axis() -> None:
    chart = view({"momentum": 0.6, "width": 0.3, "lr": 0.1}).parallel
    assert chart is not None
    assert [axis.title for _, axis in chart.axes[:3]] == ["momentum", "width", "lr"]
    axis = chart.axes[0][1]
    assert [tick.label for tick in axis.ticks if tick.place < axis.start] == ["–"]
    assert [axis.start for _, axis in chart.axes] == [FOOT, 0, 0, 0]
    by_trial = {line.trial: line for line in chart.lines}
    assert by_trial[3].points[0][1] == parallel_height(0)
    scale = parallel_height(axis.place(0.0))
    assert parallel_height(0) > scale == parallel_height(axis.start) > by_trial[8].points[0][1]
    assert by_trial[3].tip == "trial 3, 50.00 %: width = 16, lr = 0.01"
    assert chart.note.endswith("The most important parameters come first; – is where a trial has none.")


def test_a_trial_with_none_of_the_parameters_is_told_as_such() -> None:
    made = study()
    made.add_trial(create_trial(value=0.4, user_attrs={"trial": 10}))
    chart = view({"lr": 0.3}, made=made).parallel
    assert chart is not None
    (bare,) = (line for line in chart.lines if line.trial == 10)
    assert bare.tip == "trial 10, 40.00 %: none of these parameters"
    assert {y for _, y in bare.points[:-1]} == {parallel_height(0)}


def test_without_importances_what_most_trials_have_comes_first() -> None:
    chart = view({}).parallel
    assert chart is not None
    assert [axis.title for _, axis in chart.axes[:3]] == ["lr", "width", "momentum"]
    assert "Parameters that most trials have come first" in chart.note
    assert "important" not in chart.note


def test_of_many_parameters_the_most_important_have_an_axis_whoever_lacks_them() -> None:
    made = optuna.create_study(study_name="cnn", direction="maximize")
    names = [f"p{number}" for number in range(MOST_AXES + 1)]
    for number in range(3):
        # The last parameter is the one that a trial lacks.
        params = dict.fromkeys(names[: len(names) - (number == 0)], 0.5)
        distributions: dict[str, BaseDistribution] = {name: FloatDistribution(0, 1) for name in params}
        made.add_trial(
            create_trial(value=0.5, params=params, distributions=distributions, user_attrs={"trial": number})
        )
    chart = view({names[-1]: 0.9, names[0]: 0.1}, made=made).parallel
    assert chart is not None
    assert [axis.title for _, axis in chart.axes[:-1]] == [names[-1], *names[: MOST_AXES - 1]]
    chart = view({}, made=made).parallel
    assert chart is not None
    assert [axis.title for _, axis in chart.axes[:-1]] == names[:MOST_AXES]
    assert "–" not in chart.note


def test_of_too_many_trials_the_best_stay() -> None:
    chart = view({"lr": 0.3}, most_trials=2).parallel
    assert chart is not None
    assert {line.trial for line in chart.lines} == {5, 8}


def test_a_family_without_complete_trials_is_still_there() -> None:
    summary = FamilySummary("vgg", 1, {}, None, 1.0)
    (made,) = family_views([summary], {}, {}, {"vgg": 0}, 100)
    assert (made.importance, made.parallel, made.slices) == (None, None, ())
