"""Accuracy under corruption: what is drawn where."""

from __future__ import annotations

import pytest
from drawn import TRICKY, TRICKY_SHOWN, around, assert_nothing_is_cut_off, heading, intervals, legend, points
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmark.figures import CorruptedAccuracy, accuracy_under_corruption

NAMES, GROUPS = ("shot noise", "fog", "snow"), ("noise", "weather", "weather")


def entrant(name: str, clean: float = 0.9) -> CorruptedAccuracy:
    return CorruptedAccuracy(
        name,
        around(clean, 0.02),
        tuple(around(clean - 0.1 * severity) for severity in range(1, 6)),
        tuple(around(clean - 0.05 * number, 0.03) for number in range(1, 4)),
    )


def draw(*entrants: CorruptedAccuracy) -> tuple[Figure, Axes, Axes]:
    figure = accuracy_under_corruption(entrants, NAMES, GROUPS, rows=2000, test_rows=10_000, subject="pets")
    left, right = figure.axes
    return figure, left, right


def test_words_and_units() -> None:
    figure, left, right = draw(entrant("stacking"), entrant("cnn"))
    assert heading(figure) == "Accuracy under corruption: pets"
    assert left.get_title("left") == "Mean over corruptions"
    assert right.get_title("left") == "Mean over severities. Both panels: 2,000 of 10,000 test images."
    assert left.get_xlabel() == "Severity, 0 is clean"
    assert left.get_ylabel() == "Test accuracy (%), with 95 % intervals"
    assert [label.get_text() for label in right.get_xticklabels()] == list(NAMES)
    assert legend(figure) == ["stacking", "cnn"]


def test_one_entrant_stands_where_the_numbers_say() -> None:
    _, left, right = draw(entrant("cnn"))
    assert points(left.lines[0]) == [(x, pytest.approx(90 - 10 * x)) for x in range(6)]
    assert intervals(left)[0][0] == pytest.approx((0, 88, 92))
    assert intervals(left)[0][5] == pytest.approx((5, 39, 41))
    by_corruption = right.lines[0]
    assert points(by_corruption) == [(x, pytest.approx(85 - 5 * x)) for x in range(3)]
    assert by_corruption.get_linestyle() == "None"
    assert intervals(right)[0][1] == pytest.approx((1, 77, 83))


def test_entrants_stand_side_by_side_and_look_the_same_in_both_panels() -> None:
    _, left, right = draw(entrant("a"), entrant("b", 0.8), entrant("c", 0.7))
    places = [points(line)[0][0] for line in right.lines[:3]]
    assert places == pytest.approx([-0.2, 0, 0.2])
    for one, other in zip(left.lines, right.lines, strict=False):
        assert (one.get_color(), one.get_marker()) == (other.get_color(), other.get_marker())
    assert len({line.get_color() for line in left.lines}) == 3


def test_groups_are_parted_and_named_above_what_is_drawn() -> None:
    figure, _, right = draw(entrant("cnn"))
    parting = right.lines[-1]
    assert list(parting.get_xdata()) == [0.5, 0.5]
    assert {text.get_text(): text.get_position()[0] for text in right.texts} == {"noise": 0, "weather": 1.5}
    lowest = min(text.get_window_extent().y0 for text in right.texts)
    highest = right.transData.transform((0, 92))[1]
    assert lowest > highest
    assert_nothing_is_cut_off(figure)


def test_names_are_never_markup_and_many_entrants_fit() -> None:
    figure, _, _ = draw(*(entrant(name) for name in TRICKY))
    assert legend(figure) == list(TRICKY_SHOWN)
    assert_nothing_is_cut_off(figure)


def test_what_is_missing_is_refused() -> None:
    with pytest.raises(ValueError, match="no entrants"):
        draw()
    with pytest.raises(ValueError, match="2 corruptions need"):
        accuracy_under_corruption([entrant("cnn")], NAMES[:2], GROUPS[:2], rows=20, test_rows=20, subject="pets")
