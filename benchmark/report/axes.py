"""Axes of a chart: where a value stands on them, and their ticks; draws nothing and knows no study."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from benchmark.figures.style import shown
from benchmark.figures.ticks import even_ticks, factor_ticks

MOST_TICKS = 8
"""Of a log scale."""
MOST_OF_PARAMETER = 4
"""Ticks of an axis in the small charts of parameters."""
LONGEST_CHOICE = 12
FOOT = 0.12
"""Share of an axis below its scale, where it has a place for what has no value."""


@dataclass(frozen=True)
class Tick:
    """A value with its label, at `place` in [0, 1] along the axis."""

    place: float
    label: str


@dataclass(frozen=True)
class Axis:
    """A scale with its title; `place` has the place of a value, in [0, 1] for all that the axis was made for."""

    title: str
    ticks: tuple[Tick, ...]
    place: Callable[[Any], float]
    start: float = 0.0
    """Where the scale begins: above 0 where what has no value stands at 0."""


def linear_axis(title: str, low: float, high: float, *, is_whole: bool = False, most_ticks: int = 5) -> Axis:
    """From `low` to `high`, or around them where they are the same; `is_whole` has ticks at whole numbers only."""
    if low == high:
        low, high = low - 0.5, high + 0.5

    def place(value: float) -> float:
        return (value - low) / (high - low)

    return Axis(title, _ticks(even_ticks(low, high, most_ticks, is_whole=is_whole), place), place)


def log_axis(title: str, low: float, high: float, *, most_ticks: int = MOST_TICKS) -> Axis:
    """From `low`, above 0, to `high`; equal distances are equal factors."""
    if low == high:
        low, high = low / 2, high * 2

    def place(value: float) -> float:
        return math.log(value / low) / math.log(high / low)

    return Axis(title, _ticks(factor_ticks(low, high, most_ticks), place), place)


def error_axis(title: str, shares: Iterable[float], *, most_ticks: int = MOST_TICKS) -> Axis:
    """Accuracies in percent, made for `shares` in [0, 1], on which equal distances divide the error by equal factors.

    A weak model does not squeeze the good ones together. No error at all stands at the upper end.
    """
    errors = [100 * (1 - share) for share in shares]
    least = min((error for error in errors if error > 0), default=1.0)
    most = max(*errors, 1.5 * least)
    # Room for markers at either end.
    room = (most / least) ** 0.06
    low, high = least / room, min(most * room, 100.0)

    def place(share: float) -> float:
        return math.log(high / max(100 * (1 - share), low)) / math.log(high / low)

    ticks = [100 - error for error in factor_ticks(low, high, most_ticks, is_fine=True)]
    return Axis(title, _ticks(sorted(ticks), lambda percent: place(percent / 100)), place)


def parameter_axis(name: str, distribution: BaseDistribution) -> Axis:
    """The range that a parameter was searched in, numbers on the scale on which they were drawn."""
    if isinstance(distribution, CategoricalDistribution):
        return _choice_axis(name, distribution.choices)
    assert isinstance(distribution, IntDistribution | FloatDistribution)
    if distribution.log:
        return log_axis(name, distribution.low, distribution.high, most_ticks=MOST_OF_PARAMETER)
    is_whole = isinstance(distribution, IntDistribution)
    return linear_axis(name, distribution.low, distribution.high, is_whole=is_whole, most_ticks=MOST_OF_PARAMETER)


def with_foot(axis: Axis) -> Axis:
    """The same scale, with a place below it, at 0, for what has no value."""

    def place(value: Any) -> float:
        return FOOT + (1 - FOOT) * axis.place(value)

    raised = (replace(tick, place=FOOT + (1 - FOOT) * tick.place) for tick in axis.ticks)
    return Axis(axis.title, (Tick(0.0, "–"), *raised), place, FOOT)


def _choice_axis(name: str, choices: Sequence[Any]) -> Axis:
    # By type as well: True and 1 are the same key of a mapping.
    places = {(type(choice), choice): (index + 0.5) / len(choices) for index, choice in enumerate(choices)}

    def place(value: Any) -> float:
        return places[type(value), value]

    return Axis(name, tuple(Tick(place(one), shown(str(one), LONGEST_CHOICE)) for one in choices), place)


def _ticks(values: Sequence[float], place: Callable[[float], float]) -> tuple[Tick, ...]:
    return tuple(
        Tick(min(max(place(value), 0.0), 1.0), label) for value, label in zip(values, _labels(values), strict=True)
    )


def _labels(values: Sequence[float]) -> list[str]:
    """Numbers in as few digits as tell them apart, four at least: `0.05`, `12,000`, `1e-05`."""
    for digits in range(4, 16):
        labels = [
            f"{value:,.0f}" if abs(value) >= 1000 and value == round(value) else f"{value:.{digits}g}"
            for value in values
        ]
        if len(set(labels)) == len(labels):
            break
    return [label.replace("-", "−", 1) if label.startswith("-") else label for label in labels]
