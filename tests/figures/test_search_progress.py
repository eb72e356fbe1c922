"""The best so far by trials and by time: its steps by hand, and what is drawn where."""

from functools import cache

import pytest
from drawn import TRICKY, TRICKY_SHOWN, assert_nothing_is_cut_off, heading, legend, points
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from searched import trial

from benchmark.figures import search_progress
from benchmark.records import TrialRecord, TrialState

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


def draw(trials: list[TrialRecord]) -> tuple[Figure, Axes, Axes]:
    figure = search_progress(trials, subject="pets")
    by_trials, by_time = figure.axes
    return figure, by_trials, by_time


@cache
def draw_search() -> tuple[Figure, Axes, Axes]:
    """One drawing for the tests that only read it."""
    return draw(SEARCH)


def percents(*pairs: tuple[float, float]) -> list[tuple[float, object]]:
    return [(x, pytest.approx(y)) for x, y in pairs]


def test_words_and_units() -> None:
    figure, by_trials, by_time = draw_search()
    assert heading(figure) == "Search progress: pets"
    assert by_trials.get_xlabel() == "Trials ended\nAt the foot: pruned (|) and failed (×)"
    assert by_trials.get_ylabel() == "Validation accuracy (%, log scale of errors)"
    assert by_time.get_xlabel() == "Time since the first trial began (s)"
    assert legend(figure) == ["best so far", "cnn", "vgg", "pruned", "failed"]
    assert_nothing_is_cut_off(figure)


def test_only_marks_that_there_are_are_explained() -> None:
    assert draw(SEARCH[:2])[1].get_xlabel() == "Trials ended"
    assert draw(SEARCH[:3])[1].get_xlabel() == "Trials ended\nAt the foot: pruned (|)"


def test_best_so_far_rises_in_steps_and_goes_on_to_the_end() -> None:
    _, by_trials, by_time = draw_search()
    # In the order of ends: 1 after 50 s, 2 after 60, 3 after 80, 0 after 100, 4 after 150, 5 after 160.
    assert points(by_trials.lines[0]) == percents((1, 40), (4, 50), (5, 80), (6, 80), (6, 80))
    assert points(by_time.lines[0]) == percents((50, 40), (100, 50), (150, 80), (160, 80), (160, 80))
    for axes in (by_trials, by_time):
        assert axes.lines[0].get_drawstyle() == "steps-post"


def test_complete_trials_are_points_by_family() -> None:
    _, by_trials, by_time = draw_search()
    for axes, places in ((by_trials, (4, 6, 1, 5)), (by_time, (100, 160, 50, 150))):
        _, cnn, vgg, *_ = axes.lines
        assert points(cnn) == percents((places[0], 50), (places[1], 70))
        assert points(vgg) == percents((places[2], 40), (places[3], 80))
        assert cnn.get_marker() != vgg.get_marker()
        assert cnn.get_color() != vgg.get_color()
        assert cnn.get_linestyle() == vgg.get_linestyle() == "None"


def test_trials_without_a_score_are_faint_ticks_at_the_bottom() -> None:
    _, by_trials, by_time = draw_search()
    for axes, pruned_at, failed_at in ((by_trials, 2, 3), (by_time, 60, 80)):
        pruned, failed = axes.lines[-2:]
        assert [x for x, _ in points(pruned)] == [pruned_at]
        assert [x for x, _ in points(failed)] == [failed_at]
        assert pruned.get_marker() != failed.get_marker()
        for line in (pruned, failed):
            assert line.get_alpha() < 1
            # Heights are shares of the panel: below every score, whatever the scale.
            height = axes.transAxes.inverted().transform(line.get_transform().transform([points(line)[0]]))[0, 1]
            assert 0 <= height <= 0.06


def test_families_look_alike_whatever_became_of_their_trials() -> None:
    _, _, whole = draw_search()
    # Without a complete trial of the first family, the second keeps its look.
    _, _, fewer = draw([trial(0, 0, 1, state=TrialState.PRUNED), trial(1, 0, 2, 0.5, family="vgg")])
    assert fewer.lines[1].get_color() == whole.lines[2].get_color()
    assert fewer.lines[1].get_marker() == whole.lines[2].get_marker()


def test_panels_share_their_scale_and_hold_every_trial() -> None:
    _, by_trials, by_time = draw_search()
    assert by_trials.get_ylim() == by_time.get_ylim()
    low, high = by_trials.get_ylim()
    assert low < 40 < 80 < high
    assert by_trials.get_xlim() == (0, 6)
    assert by_time.get_xlim() == (0, 160)
    assert all(tick == int(tick) for tick in by_trials.get_xticks())


@pytest.mark.parametrize(
    ("seconds", "end", "sign"), [(599, 599, "s"), (600, 10, "min"), (35_999, 35_999 / 60, "min"), (36_000, 10, "h")]
)
def test_time_has_a_unit_of_its_size(seconds: float, end: float, sign: str) -> None:
    _, _, by_time = draw([trial(0, 5, seconds, 0.5)])
    assert by_time.get_xlabel() == f"Time since the first trial began ({sign})"
    assert by_time.get_xlim() == (0, pytest.approx(end))


def test_time_counts_from_the_first_trial_though_it_still_runs() -> None:
    _, by_trials, by_time = draw([trial(0, 0, 0, state=TrialState.RUNNING), trial(1, 30, 20, 0.5)])
    assert points(by_time.lines[1]) == percents((50, 50))
    assert points(by_trials.lines[1]) == percents((1, 50))


def test_a_trial_without_a_time_is_left_out() -> None:
    _, by_trials, _ = draw([trial(0, None, 10, 0.9), trial(1, 0, 10, 0.5)])
    assert points(by_trials.lines[1]) == percents((1, 50))


def test_a_trial_that_took_no_time_is_drawn() -> None:
    figure, _, by_time = draw([trial(0, 0, 0, 1.0)])
    assert points(by_time.lines[1]) == [(0, 100)]
    assert_nothing_is_cut_off(figure)


def test_names_are_never_markup() -> None:
    figure, _, _ = draw([trial(n, n, 10, 0.5 + n / 20, family=name) for n, name in enumerate(TRICKY)])
    assert sorted(legend(figure)[1:]) == sorted(TRICKY_SHOWN)
    assert not any(text.get_parse_math() for text in figure.legends[0].get_texts())
    assert_nothing_is_cut_off(figure)


@pytest.mark.parametrize("trials", [[], [trial(0, 0, 10, state=TrialState.PRUNED)], [trial(0, None, 10, 0.5)]])
def test_nothing_to_draw_is_refused(trials: list[TrialRecord]) -> None:
    with pytest.raises(ValueError, match="no complete trial with a time"):
        draw(trials)
