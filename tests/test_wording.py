"""How numbers read."""

import pytest

from benchmark.metrics import Estimate
from benchmark.wording import (
    count,
    decimals,
    duration,
    p_value,
    percent,
    percent_with_interval,
    plural,
    points_with_interval,
    significant,
    size,
)


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (999, "999"), (1000, "1.00 k"), (11_173_962, "11.2 M"), (999_999, "1.00 M"), (5.55e8, "555 M"),
     (1.8e9, "1.80 G"), (2e12, "2.00 T")],
)  # fmt: skip
def test_counts(value: int, text: str) -> None:
    assert count(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0, "0"), (0.01234, "0.0123"), (1.2, "1.20"), (9.996, "10.0"), (99.96, "100"), (1234.4, "1,234"),
     (float("inf"), "–")],
)  # fmt: skip
def test_three_significant_digits(value: float, text: str) -> None:
    assert significant(value) == text


@pytest.mark.parametrize(
    ("value", "text"), [(1.0, "1.00"), (0.0456, "0.05"), (0.00456, "0.0046"), (0.00001, "< 0.0001"), (0.0, "< 0.0001")]
)
def test_p_values(value: float, text: str) -> None:
    assert p_value(value) == text


def test_differences_carry_their_sign() -> None:
    assert points_with_interval(Estimate(-0.004, -0.0101, 0.002)) == "−0.40 (−1.01 to +0.20)"
    assert points_with_interval(Estimate(0.0, 0.0, 0.0)) == "–"
    assert points_with_interval(Estimate(0.0, -0.001, 0.001)) == "+0.00 (−0.10 to +0.10)"


def test_shares_and_losses() -> None:
    assert percent(0.86096) == "86.10"
    assert percent_with_interval(Estimate(0.861, 0.8541, 0.8676)) == "86.10 (85.41–86.76)"
    assert decimals(0.6366) == "0.637"


@pytest.mark.parametrize(("size_bytes", "text"), [(None, "–"), (512, "512 B"), (1_970_000_000, "1.97 GB")])
def test_a_size_that_is_not_known_is_a_dash(size_bytes: int | None, text: str) -> None:
    assert size(size_bytes) == text


@pytest.mark.parametrize(("number", "text"), [(0, "0 pairs"), (1, "1 pair"), (1200, "1,200 pairs")])
def test_plurals(number: int, text: str) -> None:
    assert plural(number, "pair") == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (42, "42.0 s"),
        (59.7, "1 min 00 s"),
        (125, "2 min 05 s"),
        (3599.8, "1 h 00 min"),
        (11_100, "3 h 05 min"),
    ],
)
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text
