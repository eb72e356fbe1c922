"""Ticks by hand."""

from __future__ import annotations

import pytest

from benchmark.figures.ticks import even_ticks, factor_ticks


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [
        (1e-6, 1e-1, [1e-6, 1e-4, 1e-2]),
        (0.05, 0.28, [0.05, 0.1, 0.2]),
        (11.3, 27.0, [15, 20, 25]),
        (1.0, 5.5, [1, 2, 5]),
        (0.02, 0.9, [0.03, 0.1, 0.3]),
        (2.1, 2.2, [2.1, 2.15, 2.2]),
    ],
)
def test_four_ticks_of_a_logarithmic_axis(low: float, high: float, ticks: list[float]) -> None:
    assert factor_ticks(low, high, 4) == pytest.approx(ticks)


def test_a_fine_scale_has_up_to_six_of_a_decade() -> None:
    assert factor_ticks(1, 8, 8, is_fine=True) == pytest.approx([1, 1.5, 2, 3, 5, 7])
    assert factor_ticks(1, 8, 8) == pytest.approx([1, 2, 5])
    assert factor_ticks(1, 80, 8, is_fine=True) == pytest.approx([1, 2, 5, 10, 20, 50])


def test_even_ticks_are_round() -> None:
    assert even_ticks(0, 100, 5) == pytest.approx([0, 20, 40, 60, 80, 100])
    assert even_ticks(1, 3, 5, is_whole=True) == [1, 2, 3]
