"""An axis of accuracies on which the error counts by factors; draws nothing on it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator

ERROR_SCALE = "%, log scale of errors"
"""What the axis says of itself, behind the name of the measure."""


class _ErrorLocator(LogLocator):
    """Ticks at accuracies, in percent, whose errors are round on a log scale."""

    def tick_values(self, vmin: float, vmax: float) -> Sequence[float]:
        ticks = (100 - error for error in super().tick_values(100 - vmax, 100 - vmin))
        return [tick for tick in ticks if vmin <= tick <= vmax]


def set_error_scale(axes: Axes, shares: Iterable[float], *, above: float = 0.18, below: float = 0.09) -> None:
    """Make the vertical axis one of accuracies in percent that has room for `shares`, in [0, 1].

    Equal steps up divide the error by equal factors: a weak model does not squeeze the good ones together. `above` and
    `below` are left free, as shares of the height that is taken; nothing lies below an accuracy of 0.
    """
    errors = [100 * (1 - share) for share in shares]
    # No error at all has no place on a log scale: it stands at the upper edge.
    least = min((error for error in errors if error > 0), default=1.0)
    most = max(*errors, least)
    span = max(most / least, 1.5)
    floor = least / span**above
    axes.set_yscale(
        "function",
        functions=(lambda percent: -np.log(np.maximum(100 - percent, floor)), lambda place: 100 - np.exp(-place)),
    )
    axes.set_ylim(100 - min(most * span**below, 100.0), 100 - floor)
    axes.yaxis.set_major_locator(_ErrorLocator(subs=(1.0, 1.5, 2.0, 3.0, 5.0, 7.0)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
