"""Round numbers that an axis marks; draws nothing."""

from __future__ import annotations

import math
from collections.abc import Iterable

from matplotlib.ticker import MaxNLocator

_ROUND = (1, 2, 5, 10)
_FACTORS = ((1.0, 1.5, 2.0, 3.0, 5.0, 7.0), (1.0, 2.0, 5.0), (1.0, 3.0), (1.0,))
"""Round numbers of a decade, the more the smaller the range."""
FEWEST_TICKS = 3
"""Of a log scale. With fewer it has ticks at even distances: two give no scale to read by."""


def even_ticks(low: float, high: float, most: int, *, is_whole: bool = False) -> list[float]:
    """Round numbers from `low` to `high` at even distances, at most one more than `most`; only whole ones if asked."""
    return _within(MaxNLocator(nbins=most, integer=is_whole, steps=_ROUND).tick_values(low, high), low, high)


def factor_ticks(low: float, high: float, most: int, *, is_fine: bool = False) -> list[float]:
    """At most so many round numbers from `low` to `high`, both above 0, for a scale on which factors are equal.

    `is_fine`: up to six of a decade, else up to three. A range too small for that is divided evenly.
    """
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for factors in _FACTORS if is_fine else _FACTORS[1:]:
        values = _within((factor * 10.0**decade for decade in decades for factor in factors), low, high)
        if len(values) <= most:
            break
    if len(values) < FEWEST_TICKS:
        return [one for one in even_ticks(low, high, most - 1) if one > 0]
    return values[:: -(-len(values) // most)]


def _within(values: Iterable[float], low: float, high: float) -> list[float]:
    slack = 1e-9 * (high - low)
    return [float(value) for value in values if low - slack <= value <= high + slack]
