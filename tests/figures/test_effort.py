"""Trials and time by family: the bars by hand, and what they are called."""

from functools import cache

import pytest
from drawn import TRICKY, TRICKY_SHOWN, assert_nothing_is_cut_off, heading, legend
from matplotlib.axes import Axes
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from searched import trial

from benchmark.figures import search_effort
from benchmark.figures.style import look
from benchmark.records import TrialRecord, TrialState

TRIALS = [
    trial(0, 0, 100, 0.5),
    trial(1, 0, 50, 0.6),
    trial(2, 0, 30, state=TrialState.PRUNED),
    trial(3, 0, 20, state=TrialState.FAILED, family="vgg"),
    trial(4, 0, 40, 0.4, family="vgg"),
]


def draw(trials: list[TrialRecord]) -> tuple[Figure, Axes, Axes]:
    figure = search_effort(trials, subject="pets")
    numbers, times = figure.axes
    return figure, numbers, times


@cache
def drawn() -> tuple[Figure, Axes, Axes]:
    """One drawing for the tests that only read it."""
    return draw(TRIALS)


def bars(axes: Axes) -> list[list[tuple[float, float]]]:
    """Beginning and length of the bars of each state, families from below."""
    return [[(bar.get_x(), bar.get_width()) for bar in container] for container in axes.containers]  # type: ignore[attr-defined]


def test_words_and_units() -> None:
    figure, numbers, times = drawn()
    assert heading(figure) == "Trials and time of each family: pets"
    assert (numbers.get_xlabel(), times.get_xlabel()) == ("Trials", "Time (s)")
    assert [text.get_text() for text in numbers.get_yticklabels()] == ["vgg", "cnn"]
    assert legend(figure) == ["complete", "pruned", "failed"]
    assert_nothing_is_cut_off(figure)


def test_bars_are_as_long_as_the_numbers_say_and_follow_each_other() -> None:
    _, numbers, times = drawn()
    assert bars(numbers) == [[(0, 1), (0, 2)], [(1, 0), (2, 1)], [(1, 1), (3, 0)]]
    assert bars(times) == [[(0, 40), (0, 150)], [(40, 0), (150, 30)], [(40, 20), (180, 0)]]


def test_totals_stand_behind_the_bars() -> None:
    _, numbers, times = drawn()
    assert [(text.get_text(), text.xy[0]) for text in numbers.texts] == [("2", 2), ("3", 3)]
    assert [(text.get_text(), text.xy[0]) for text in times.texts] == [("60.0", 60), ("180", 180)]


def test_states_are_told_apart_without_colour() -> None:
    _, numbers, _ = draw([*TRIALS, trial(5, 0, 0, state=TrialState.RUNNING)])
    looks = [(bars[0].get_hatch(), bars[0].get_facecolor()) for bars in numbers.containers]
    assert len(looks) == 4
    assert len({hatch for hatch, _ in looks}) == len({color for _, color in looks}) == 4


def test_no_state_has_the_colour_of_a_family() -> None:
    _, numbers, _ = drawn()
    assert not {bars[0].get_facecolor() for bars in numbers.containers} & {to_rgba(look(n).color) for n in range(7)}


def test_a_state_looks_alike_whatever_others_there_are() -> None:
    _, numbers, _ = drawn()
    _, fewer, _ = draw(TRIALS[2:4])
    assert fewer.containers[0][0].get_facecolor() == numbers.containers[1][0].get_facecolor()


def test_time_has_a_unit_of_its_size() -> None:
    _, _, times = draw([trial(0, 0, 36_000, 0.5), trial(1, 0, 10, 0.5, family="vgg")])
    assert times.get_xlabel() == "Time (h)"
    assert bars(times) == [[(0, pytest.approx(10 / 3600)), (0, 10)]]


def test_names_are_never_markup() -> None:
    figure, numbers, _ = draw([trial(n, 0, 10, 0.5, family=name) for n, name in enumerate(TRICKY)])
    labels = [text.get_text() for text in numbers.get_yticklabels()]
    assert len(set(labels)) == len(TRICKY)
    assert {"_hidden", "$x^2$ at 5 $", "a<b & c>d", "two lines"} <= set(labels) & set(TRICKY_SHOWN)
    assert not any(text.get_parse_math() for text in numbers.get_yticklabels())
    assert_nothing_is_cut_off(figure)


def test_trials_that_took_no_time_are_drawn() -> None:
    figure, _, times = draw([trial(0, 0, 0, state=TrialState.RUNNING)])
    assert bars(times) == [[(0, 0)]]
    assert_nothing_is_cut_off(figure)


def test_nothing_to_draw_is_refused() -> None:
    with pytest.raises(ValueError, match="no trials"):
        search_effort([], subject="pets")
