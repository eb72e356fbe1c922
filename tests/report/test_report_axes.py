"""Places and ticks of axes, against what they stand for."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from benchmark.report.axes import Axis, error_axis, linear_axis, log_axis, parameter_axis


def labels(axis: Axis) -> list[str]:
    return [tick.label for tick in axis.ticks]


def test_a_linear_axis_has_round_ticks_at_their_places() -> None:
    axis = linear_axis("seconds", 0, 100)
    assert labels(axis) == ["0", "20", "40", "60", "80", "100"]
    assert [tick.place for tick in axis.ticks] == pytest.approx([0, 0.2, 0.4, 0.6, 0.8, 1])
    assert axis.place(25) == pytest.approx(0.25)


def test_whole_numbers_have_whole_ticks() -> None:
    assert labels(linear_axis("report", 1, 3, is_whole=True)) == ["1", "2", "3"]


def test_a_log_axis_has_equal_factors_at_equal_distances() -> None:
    axis = log_axis("rate", 1e-4, 1e-1)
    assert labels(axis) == ["0.0001", "0.0003", "0.001", "0.003", "0.01", "0.03", "0.1"]
    assert axis.place(1e-3) - axis.place(1e-4) == pytest.approx(axis.place(1e-1) - axis.place(1e-2))
    assert (axis.place(1e-4), axis.place(1e-1)) == (0, 1)


def test_equal_factors_of_error_are_equal_distances() -> None:
    axis = error_axis("accuracy", (0.2, 0.6, 0.9, 0.95))
    assert axis.place(0.95) - axis.place(0.9) == pytest.approx(axis.place(0.6) - axis.place(0.2))
    assert 0 < axis.place(0.2) < axis.place(0.6) < axis.place(0.95) < 1
    assert {"50", "70", "90"} <= set(labels(axis))
    for tick in axis.ticks:
        assert tick.place == pytest.approx(axis.place(float(tick.label) / 100))


def test_no_error_at_all_stands_at_the_upper_end() -> None:
    axis = error_axis("accuracy", (0.5, 1.0))
    assert axis.place(1.0) == 1
    assert axis.place(0.5) < 1


@pytest.mark.parametrize("shares", [(0.86, 0.8605), (1.0,), (0.0,), (0.0, 1.0), (0.9997, 0.9999)])
def test_every_accuracy_has_a_place_and_every_axis_a_scale(shares: tuple[float, ...]) -> None:
    axis = error_axis("accuracy", shares)
    assert all(0 <= axis.place(share) <= 1 for share in shares)
    assert len(axis.ticks) >= 2
    assert len(set(labels(axis))) == len(axis.ticks)


def test_the_larger_the_range_the_fewer_the_ticks_of_a_decade() -> None:
    assert labels(log_axis("rate", 1, 9)) == ["1", "2", "5"]
    assert labels(log_axis("rate", 1, 1e6)) == ["1", "10", "100", "1,000", "10,000", "100,000", "1,000,000"]
    assert labels(error_axis("accuracy", (0.8, 0.89))) == ["80", "82", "84", "86", "88"]
    assert labels(error_axis("accuracy", (0.5, 0.9995))) == ["70", "90", "97", "99", "99.7", "99.9"]


@pytest.mark.parametrize("make", [linear_axis, log_axis])
def test_one_value_has_room_around_it(make: Callable[[str, float, float], Axis]) -> None:
    axis = make("x", 3, 3)
    assert axis.place(3) == pytest.approx(0.5)
    assert axis.ticks


def test_a_parameter_has_the_scale_that_it_was_searched_on() -> None:
    rate = parameter_axis("lr", FloatDistribution(0.01, 1.0, log=True))
    assert rate.place(0.1) == pytest.approx(0.5)
    assert labels(rate) == ["0.01", "0.1", "1"]
    assert labels(parameter_axis("decay", FloatDistribution(1e-6, 1.0, log=True))) == ["1e-06", "0.0001", "0.01", "1"]
    width = parameter_axis("width", IntDistribution(16, 64))
    assert width.place(40) == pytest.approx(0.5)
    assert all(float(label) == int(label) for label in labels(width))


def test_choices_stand_side_by_side_whatever_they_are() -> None:
    axis = parameter_axis("choice", CategoricalDistribution((True, 1, "a name that is long", None)))
    assert [axis.place(one) for one in (True, 1, "a name that is long", None)] == [0.125, 0.375, 0.625, 0.875]
    assert labels(axis) == ["True", "1", "a name… long", "None"]


def test_no_tick_lies_beyond_the_axis() -> None:
    for low, high in ((0.013, 0.97), (1e-6, 3e-6), (7, 12_345)):
        for axis in (linear_axis("x", low, high), log_axis("x", low, high)):
            assert all(0 <= tick.place <= 1 and math.isfinite(tick.place) for tick in axis.ticks)
