"""Accuracy against coverage: where lines and bands stand, and what they are called."""

from __future__ import annotations

import numpy as np
import pytest
from drawn import TRICKY, TRICKY_SHOWN, assert_nothing_is_cut_off, heading, legend, points
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmark.confidences import Confidences
from benchmark.figures import accuracy_against_coverage
from benchmark.figures.coverage import LEAST_ROWS, MOST_POINTS
from benchmark.metrics import wilson_interval
from benchmark.records import Split


def of(correct: list[bool], name: str = "model") -> Confidences:
    """As many rows, each less confident than the one before."""
    return Confidences(name, np.linspace(1.0, 0.5, len(correct)), np.array(correct))


def draw(*series: Confidences) -> tuple[Figure, Axes]:
    figure = accuracy_against_coverage(series, split=Split.TEST, subject="pets")
    (axes,) = figure.axes
    return figure, axes


# Forty rows of which the 30th and the last are wrong.
FORTY = of([index not in (29, 39) for index in range(40)])


def test_points_stand_where_the_numbers_say() -> None:
    _, axes = draw(FORTY)
    curve, _ = axes.lines
    found = dict(points(curve))
    assert min(found) == 100 * LEAST_ROWS / 40 == 50
    assert found[50] == 100
    assert found[72.5] == 100
    assert found[75] == pytest.approx(100 * 29 / 30)
    assert found[100] == 95
    assert len(found) == 21


def test_the_band_is_the_interval_at_each_coverage() -> None:
    _, axes = draw(FORTY)
    (band,) = axes.collections
    ends = [(float(x), float(y)) for x, y in band.get_paths()[0].vertices if x == 100]
    low, high = wilson_interval(38, 40)
    assert {round(y, 9) for _, y in ends} == {round(100 * low, 9), round(100 * high, 9)}


def test_the_best_order_has_every_right_answer_first() -> None:
    _, axes = draw(FORTY)
    _, best = axes.lines
    found = points(best)
    assert found[0] == (0, 100)
    assert found[1] == (95, 100)
    assert found[-1] == (100, 95)
    # With 39 of 40 answered there is one mistake among them.
    assert np.interp(97.5, *zip(*found, strict=True)) == pytest.approx(100 * 38 / 39, abs=0.01)


def test_no_curve_lies_above_its_best_order() -> None:
    rng = np.random.default_rng(0)
    _, axes = draw(of((rng.random(500) < np.linspace(1, 0.5, 500)).tolist()))
    curve, best = axes.lines
    for x, y in points(curve):
        assert y <= np.interp(x, *zip(*points(best), strict=True)) + 0.05


def test_long_curves_have_fewer_points_and_keep_both_ends() -> None:
    _, axes = draw(of([index % 7 > 0 for index in range(5000)]))
    found = points(axes.lines[0])
    assert len(found) == MOST_POINTS
    assert found[0][0] == 100 * LEAST_ROWS / 5000
    assert found[-1][0] == 100


def test_words_units_and_limits() -> None:
    figure, axes = draw(FORTY, of([True] * 40, "other"))
    assert heading(figure) == "Accuracy on the most confident images: pets"
    assert axes.get_xlabel() == "Coverage: test images answered, the most confident first (%)"
    assert axes.get_ylabel() == "Test accuracy on these (%, log scale of errors)"
    assert legend(figure) == ["model", "other", "best order possible for model"]
    assert axes.get_xlim() == (0, 100)
    low, high = axes.get_ylim()
    # Every accuracy is within, and the best that is not 100 % is below the edge at which 100 % stands.
    assert low < 95
    assert 100 * 38 / 39 < high < 100
    first, second, _ = axes.lines
    assert first.get_marker() != second.get_marker()
    assert first.get_linestyle() != second.get_linestyle()
    assert_nothing_is_cut_off(figure)


def test_the_axis_says_by_what_images_are_ordered() -> None:
    figure = accuracy_against_coverage(
        [FORTY], split=Split.VAL, subject="pets", order="the most confident after temperature first"
    )
    said = "Coverage: validation images answered, the most confident after temperature first (%)"
    assert figure.axes[0].get_xlabel() == said
    assert_nothing_is_cut_off(figure)


def test_names_are_never_markup() -> None:
    figure, _ = draw(*(of([True, False] * 20, name) for name in TRICKY))
    assert legend(figure)[:-1] == list(TRICKY_SHOWN)
    assert not any(text.get_parse_math() for text in figure.legends[0].get_texts())
    assert_nothing_is_cut_off(figure)


@pytest.mark.parametrize("correct", [[True], [False], [True] * 30, [False] * 30])
def test_all_right_all_wrong_and_a_single_row(correct: list[bool]) -> None:
    figure, axes = draw(of(correct))
    assert points(axes.lines[0])[-1] == (100, 100 * correct[0])
    assert points(axes.lines[1])[-1] == (100, 100 * correct[0])
    assert_nothing_is_cut_off(figure)


def test_confidence_that_is_always_the_same_is_one_point() -> None:
    _, axes = draw(Confidences("flat", np.full(50, 0.5), np.arange(50) < 40))
    assert points(axes.lines[0]) == [(100, 80)]


def test_nothing_to_draw_is_refused() -> None:
    with pytest.raises(ValueError, match="no predictions"):
        draw()
