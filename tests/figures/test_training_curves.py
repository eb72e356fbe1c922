"""Curves of trials while they trained: which line says what, and which one is bold."""

from functools import cache

import pytest
from drawn import TRICKY, TRICKY_SHOWN, assert_nothing_is_cut_off, heading, legend, points
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from searched import trial

from benchmark.figures import training_curves
from benchmark.records import TrialRecord, TrialState

PRUNED = trial(2, 0, 1, state=TrialState.PRUNED, reports=(0.1, 0.2))
# The last report of trial 0 is the highest, the final score of trial 1.
TRIALS = [
    trial(0, 0, 1, 0.70, reports=(0.3, 0.6, 0.75)),
    trial(1, 0, 1, 0.80, family="vgg", reports=(0.2, 0.5, 0.72)),
    PRUNED,
    trial(3, 0, 1, state=TrialState.FAILED, family="vgg", reports=(0.15,)),
    trial(4, 0, 1, state=TrialState.FAILED),
]


def draw(trials: list[TrialRecord]) -> tuple[Figure, Axes]:
    figure = training_curves(trials, subject="pets")
    (axes,) = figure.axes
    return figure, axes


@cache
def draw_trials() -> tuple[Figure, Axes]:
    """One drawing for the tests that only read it."""
    return draw(TRIALS)


def test_words_and_units() -> None:
    figure, axes = draw_trials()
    assert heading(figure) == "Validation accuracy while training: pets"
    assert axes.get_xlabel() == "Report (evenly spaced over a trial's budget)"
    assert axes.get_ylabel() == "Validation accuracy (%, log scale of errors)"
    assert "Faded: pruned" in axes.get_title("left")
    assert legend(figure) == ["cnn", "vgg"]
    assert_nothing_is_cut_off(figure)


def test_every_report_is_where_the_numbers_say() -> None:
    _, axes = draw_trials()
    assert [points(line) for line in axes.lines] == [
        [(1, pytest.approx(30)), (2, pytest.approx(60)), (3, pytest.approx(75))],
        [(1, pytest.approx(20)), (2, pytest.approx(50)), (3, pytest.approx(72))],
        # It ends where it was pruned.
        [(1, pytest.approx(10)), (2, pytest.approx(20))],
        [(1, pytest.approx(15))],
    ]
    assert all(tick == int(tick) for tick in axes.get_xticks())


def test_what_did_not_complete_is_faded() -> None:
    _, axes = draw_trials()
    other, best, pruned, failed = axes.lines
    assert best.get_alpha() == 1
    assert pruned.get_alpha() == failed.get_alpha() < other.get_alpha()


def test_best_by_its_final_score_is_bold_and_labelled() -> None:
    _, axes = draw_trials()
    other, best, *_ = axes.lines
    assert best.get_linewidth() > 2 * other.get_linewidth()
    assert best.get_zorder() > other.get_zorder()
    (label,) = axes.texts
    assert label.get_text() == "trial 1,\nvgg"
    assert label.xy == (3, pytest.approx(72))


def test_of_equals_the_earlier_is_bold() -> None:
    _, axes = draw([trial(n, 0, 1, 0.5, reports=(0.4, 0.5)) for n in (3, 1, 2)])
    assert axes.texts[0].get_text() == "trial 1,\ncnn"


def test_without_a_complete_trial_none_is_bold() -> None:
    _, axes = draw([PRUNED])
    assert len(axes.lines) == 1
    assert not axes.texts


def test_families_are_told_apart_by_colour_line_and_marker() -> None:
    _, axes = draw_trials()
    cnn, vgg, pruned_cnn, failed_vgg = axes.lines
    for first, second in ((cnn, pruned_cnn), (vgg, failed_vgg)):
        assert first.get_color() == second.get_color()
        assert first.get_linestyle() == second.get_linestyle()
    assert cnn.get_color() != vgg.get_color()
    assert cnn.get_linestyle() != vgg.get_linestyle()
    assert cnn.get_marker() != vgg.get_marker()
    # A marker at the end alone, so that a single report is seen too.
    assert {str(line.get_markevery()) for line in axes.lines} == {"[-1]"}


def test_label_of_a_trial_that_stopped_early_stands_at_its_end() -> None:
    figure, axes = draw([trial(0, 0, 1, 0.9, reports=(0.5, 0.8)), trial(1, 0, 1, 0.8, reports=(0.1, 0.2, 0.3, 0.4))])
    assert axes.texts[0].xy == (2, pytest.approx(80))
    assert_nothing_is_cut_off(figure)


def test_names_are_never_markup() -> None:
    figure, axes = draw([trial(n, 0, 1, 0.5, family=name, reports=(0.4, 0.5)) for n, name in enumerate(TRICKY)])
    assert sorted(legend(figure)) == sorted(TRICKY_SHOWN)
    assert not any(text.get_parse_math() for text in [*figure.legends[0].get_texts(), *axes.texts])
    assert_nothing_is_cut_off(figure)


@pytest.mark.parametrize("trials", [[], [trial(0, 0, 1, 0.5)]])
def test_nothing_to_draw_is_refused(trials: list[TrialRecord]) -> None:
    with pytest.raises(ValueError, match="no trial has reported"):
        draw(trials)
