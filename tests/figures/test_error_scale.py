"""The scale of errors: equal steps, round ticks, and room for what is drawn."""

import pytest
from matplotlib.axes import Axes

from benchmark.figures.error_scale import set_error_scale
from benchmark.figures.style import new_figure


def scaled(*shares: float) -> Axes:
    with new_figure("x", "y", height=4.0) as figure:
        axes = figure.subplots()
        set_error_scale(axes, shares)
    return axes


def test_equal_steps_halve_the_error() -> None:
    heights = scaled(0.2, 0.9).transData.transform([(0.0, 20.0), (0.0, 60.0), (0.0, 80.0), (0.0, 90.0)])[:, 1]
    assert heights[1] - heights[0] == pytest.approx(heights[2] - heights[1])
    assert heights[3] - heights[2] == pytest.approx(heights[2] - heights[1])
    assert heights[1] > heights[0]


@pytest.mark.parametrize("shares", [(0.5,), (0.1, 0.9), (0.0, 1.0), (1.0,), (0.999, 0.9995)])
def test_every_share_has_a_place(shares: tuple[float, ...]) -> None:
    axes = scaled(*shares)
    low, high = axes.get_ylim()
    assert 0 <= low < high <= 100
    places = axes.transAxes.inverted().transform(axes.transData.transform([(0.0, 100 * share) for share in shares]))
    assert all(0 <= place <= 1 for place in places[:, 1])


def test_room_is_a_share_of_what_is_taken() -> None:
    with new_figure("x", "y", height=4.0) as figure:
        axes = figure.subplots()
        # Errors of 40 and 10 %: from 40 a quarter of two halvings down, from 10 half of them up.
        set_error_scale(axes, [0.6, 0.9], above=0.5, below=0.25)
    assert axes.get_ylim() == pytest.approx((100 - 40 * 2**0.5, 95))


def test_ticks_are_round_and_inside() -> None:
    axes = scaled(0.2, 0.9)
    low, high = axes.get_ylim()
    texts = [label.get_text() for label in axes.get_yticklabels()]
    assert {"30", "50", "70", "80", "90"} <= set(texts)
    assert all(low <= float(text) <= high for text in texts)
