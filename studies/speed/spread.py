"""A few repeats as numbers that can be reported: median and range, mean and deviation, ratios; numpy only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Spread:
    """Median, lowest and highest of some repeats."""

    median: float
    low: float
    high: float
    repeats: int


@dataclass(frozen=True)
class MeanAndDeviation:
    """Mean and sample standard deviation (n - 1) of some runs; the deviation of one run is not a number."""

    mean: float
    deviation: float
    runs: int


def spread(values: Sequence[float]) -> Spread:
    """Median and range. Raises ValueError where there is no value."""
    if not values:
        raise ValueError("nothing was measured")
    return Spread(float(np.median(values)), float(min(values)), float(max(values)), len(values))


def mean_and_deviation(values: Sequence[float]) -> MeanAndDeviation:
    """Mean and sample standard deviation. Raises ValueError where there is no value."""
    if not values:
        raise ValueError("nothing was measured")
    deviation = float(np.std(values, ddof=1)) if len(values) > 1 else float("nan")
    return MeanAndDeviation(float(np.mean(values)), deviation, len(values))


def ratios(ours: Sequence[float], theirs: Sequence[float]) -> list[float]:
    """Ours over theirs, repeat by repeat: neighbours in time share the machine's mood, so their ratio does not."""
    return [own / other for own, other in zip(ours, theirs, strict=True)]


def best_of(rates: Mapping[str, Sequence[float]]) -> str:
    """The name with the highest median: a side is represented by the best of what it tried."""
    return max(rates, key=lambda name: float(np.median(rates[name])))
