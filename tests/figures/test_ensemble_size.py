"""Accuracy against ensemble size: what is drawn where."""

import pytest
from drawn import TRICKY, TRICKY_SHOWN, around, assert_nothing_is_cut_off, heading, intervals, legend, points
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmark.figures import SingleModel, SizeCurve, accuracy_against_size

SINGLE = SingleModel("cnn, trial 88", around(0.80), around(0.78))


def curve(method: str, sizes: tuple[int, ...] = (2, 3, 5), first: float = 0.81) -> SizeCurve:
    val = tuple(around(first + 0.01 * index) for index in range(len(sizes)))
    test = tuple(around(first - 0.02 + 0.01 * index, 0.005) for index in range(len(sizes)))
    return SizeCurve(method, sizes, val, test)


def draw(*curves: SizeCurve, single: SingleModel = SINGLE) -> tuple[Figure, Axes, Axes]:
    figure = accuracy_against_size(curves, single, subject="pets")
    val, test = figure.axes
    return figure, val, test


def test_words_and_units() -> None:
    figure, val, test = draw(curve("soft voting"), curve("stacking"))
    assert heading(figure) == "Accuracy against ensemble size: pets"
    assert (val.get_title("left"), test.get_title("left")) == (
        "Validation, cross-fitted", "Test",
    )  # fmt: skip
    assert val.get_ylabel() == "Accuracy (%), with 95 % intervals"
    assert val.get_xlabel() == test.get_xlabel() == "Size: models given, or at most taken of all"
    assert legend(figure) == ["soft voting", "stacking", "best single model: cnn, trial 88"]


def test_one_method_stands_where_the_numbers_say() -> None:
    _, val, test = draw(curve("soft voting"))
    method, single = val.lines
    assert points(method) == [(2, pytest.approx(81)), (3, pytest.approx(82)), (5, pytest.approx(83))]
    assert [height for _, height in points(single)] == pytest.approx([80, 80])
    (bars,) = intervals(val)
    assert bars[0] == pytest.approx((2, 80, 82))
    assert points(test.lines[0])[0] == (2, pytest.approx(79))
    assert intervals(test)[0][2] == pytest.approx((5, 80.5, 81.5))
    assert [height for _, height in points(test.lines[1])] == pytest.approx([78, 78])


def test_interval_of_the_single_model_is_a_band() -> None:
    _, val, test = draw(curve("soft voting"))
    for axes, low, high in ((val, 79, 81), (test, 77, 79)):
        (band,) = axes.patches
        assert band.get_y() == pytest.approx(low)
        assert band.get_y() + band.get_height() == pytest.approx(high)


def test_panels_share_their_scales() -> None:
    _, val, test = draw(curve("soft voting"), single=SingleModel("x", around(0.5), around(0.9)))
    assert val.get_ylim() == test.get_ylim()
    assert val.get_xlim() == test.get_xlim()
    low, high = val.get_ylim()
    assert low < 49 < 91 < high


def test_methods_stand_aside_of_each_other_around_the_size() -> None:
    _, val, _ = draw(curve("a"), curve("b"), curve("c"))
    first, second, third, _ = (points(line)[0][0] for line in val.lines)
    assert first < second < third
    assert second == pytest.approx(2)
    assert third - first < 0.5
    assert first - 2 == pytest.approx(2 - third)
    assert len({line.get_marker() for line in val.lines[:3]}) == 3
    assert len({str(line.get_linestyle()) for line in val.lines[:3]}) == 3


@pytest.mark.parametrize(
    ("sizes", "ticks"),
    [
        ((1,), [1]),
        ((2, 3, 4, 5), [2, 3, 4, 5]),
        ((1, 2, 3, 5, 8, 12, 16, 20), [1, 3, 5, 8, 12, 16, 20]),
        (tuple(range(1, 41)), list(range(1, 41, 3))),
    ],
)
def test_sizes_are_written_where_they_have_room(sizes: tuple[int, ...], ticks: list[int]) -> None:
    _, val, test = draw(curve("x", sizes, first=0.3))
    assert val.get_xticks().tolist() == test.get_xticks().tolist() == ticks


def test_methods_of_other_sizes_share_the_axis() -> None:
    _, val, _ = draw(curve("a", (2, 4)), curve("b", (3, 8)))
    assert val.get_xticks().tolist() == [2, 3, 4, 8]


def test_names_are_never_markup() -> None:
    figure, _, _ = draw(*map(curve, TRICKY), single=SingleModel(TRICKY[3], around(0.8), around(0.8)))
    assert legend(figure) == [*TRICKY_SHOWN, f"best single model: {TRICKY_SHOWN[3]}"]
    assert not any(text.get_parse_math() for text in figure.legends[0].get_texts())
    assert_nothing_is_cut_off(figure)


@pytest.mark.parametrize("sizes", [(0, 1), (2, 2), (3, 2)])
def test_sizes_that_do_not_rise_are_refused(sizes: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="must rise"):
        curve("x", sizes)


def test_sizes_without_estimates_are_refused() -> None:
    with pytest.raises(ValueError, match="needs a validation and a test accuracy"):
        SizeCurve("x", (1, 2), (around(0.5),), (around(0.5), around(0.5)))
    with pytest.raises(ValueError, match="needs a validation and a test accuracy"):
        SizeCurve("x", (), (), ())


def test_nothing_to_draw_is_refused() -> None:
    with pytest.raises(ValueError, match="no ensembles"):
        draw()
