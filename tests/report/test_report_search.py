"""Charts of a search, read back from their points: who was best when, and what became of every trial."""

from __future__ import annotations

import pytest
from searched import trial

from benchmark.records import TrialRecord, TrialState
from benchmark.report.search import curves_chart, looks_by_family, progress_charts, shown_trials

# Two workers: 1 ends before 0, and the best trial, 4, is not the last.
SEARCH = [
    trial(0, 0, 100, 0.50),
    trial(1, 10, 40, 0.40, family="vgg"),
    trial(2, 50, 10, state=TrialState.PRUNED),
    trial(3, 60, 20, state=TrialState.FAILED, family="vgg"),
    trial(4, 100, 50, 0.80, family="vgg"),
    trial(5, 100, 60, 0.70),
    trial(6, 160, 0, state=TrialState.RUNNING),
]
LOOKS = {"cnn": 0, "vgg": 1}


def test_families_have_the_looks_that_figures_give_them() -> None:
    assert looks_by_family(reversed(SEARCH)) == LOOKS


def test_the_best_so_far_rises_in_steps_when_a_better_trial_ends() -> None:
    for chart, places in zip(progress_charts(SEARCH, LOOKS), ((1, 4, 5, 6), (50, 100, 150, 160)), strict=True):
        (line,) = chart.lines
        at = chart.frame.at
        first, second, third, last = places
        assert line.points == (
            at(first, 0.4),
            at(second, 0.4),
            at(second, 0.5),
            at(third, 0.5),
            at(third, 0.8),
            at(last, 0.8),
            (chart.frame.right, at(last, 0.8)[1]),
        )


def test_every_trial_that_ended_has_its_dot() -> None:
    by_trials, by_time = progress_charts(SEARCH, LOOKS)
    for chart in (by_trials, by_time):
        assert {dot.trial: (dot.look, dot.kind) for dot in chart.dots} == {
            0: (0, ""),
            1: (1, ""),
            2: (0, "pruned"),
            3: (1, "failed"),
            4: (1, ""),
            5: (0, ""),
        }
    assert [dot.trial for dot in by_trials.dots] == [1, 2, 3, 0, 4, 5]
    assert "trial 4, vgg, complete: 80.00 %, 50.0 s" in {dot.tip for dot in by_time.dots}


def test_hours_are_told_in_minutes_or_hours() -> None:
    slow = [trial(0, 0, 3600 * 20, 0.5)]
    assert "(h)" in progress_charts(slow, LOOKS)[1].frame.x.title
    assert "(s)" in progress_charts(SEARCH, LOOKS)[1].frame.x.title


@pytest.mark.parametrize("trials", [[], [trial(0, 0, 9, state=TrialState.FAILED)], [trial(0, None, 9, 0.5)]])
def test_without_a_complete_trial_of_known_time_there_is_no_progress(trials: list[TrialRecord]) -> None:
    assert progress_charts(trials, LOOKS) == ()


def test_curves_are_faded_plain_or_bold() -> None:
    trials = [
        trial(0, 0, 1, 0.5, reports=(0.3, 0.5)),
        trial(1, 0, 1, 0.7, reports=(0.4, 0.7), family="vgg"),
        trial(2, 0, 1, reports=(0.2,), state=TrialState.PRUNED),
        trial(3, 0, 1),
    ]
    chart = curves_chart(trials, LOOKS)
    assert chart is not None
    assert {line.trial: line.kind for line in chart.lines} == {2: "faded", 0: "", 1: "bold"}
    # The best is over all others.
    assert chart.lines[-1].trial == 1
    by_trial = {line.trial: line for line in chart.lines}
    assert by_trial[0].points == (chart.frame.at(1, 0.3), chart.frame.at(2, 0.5))
    assert by_trial[1].tip.endswith("reports: 40.00, 70.00")
    assert by_trial[1].look == 1


def test_without_reports_there_are_no_curves() -> None:
    assert curves_chart([trial(0, 0, 1, 0.5)], LOOKS) is None


def test_of_too_many_trials_the_best_stay_in_their_order() -> None:
    assert [one.number for one in shown_trials(SEARCH, 3)] == [0, 4, 5]
    assert shown_trials(SEARCH, 100) == tuple(SEARCH)
