"""A square of coloured cells with names on both sides; knows nothing of what the cells hold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import QuadMesh
from numpy.typing import NDArray

from benchmark.figures.style import SMALL, shown

COLOR_MAP = "Blues"
"""One hue from light (little) to dark: lightness alone tells the values apart, to any eye (ColorBrewer, Harrower &
Brewer 2003, doi:10.1179/000870403235002042)."""
NO_VALUE = "#CFCFCF"
"""Of cells that the colours say nothing about."""
MOST_ASLANT = 20
"""Names that stand side by side at an angle; upright ones are harder to read, but stand closer together."""
MOST_NAMED = 30
"""Names that there is room for; of more, every second or third one is written, and so on."""
MOST_DRAWN = 40
"""Cells a side up to which each is a shape of its own in an SVG; more become one picture in it."""


def draw_cells(axes: Axes, values: NDArray[np.float64], names: Sequence[str], *, most: float) -> QuadMesh:
    """Cells (N, N) coloured from 0 to `most`, first row on top, with `names` beside rows and below columns.

    A masked value has no colour, but grey.
    """
    length = len(names)
    cells = axes.pcolormesh(
        values,
        cmap=matplotlib.colormaps[COLOR_MAP].with_extremes(bad=NO_VALUE),
        vmin=0,
        vmax=most,
        edgecolors="white" if length <= MOST_DRAWN else "none",
        linewidth=0.8,
        rasterized=length > MOST_DRAWN,
    )
    axes.set_aspect("equal")
    axes.invert_yaxis()
    axes.grid(False)
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
    step = -(-length // MOST_NAMED)
    middles = np.arange(0, length, step) + 0.5
    labels = [shown(name, 24) for name in names[::step]]
    rotation, va = (45, "top") if length <= MOST_ASLANT else (90, "center")
    axes.set_xticks(middles, labels, rotation=rotation, ha="right", va=va, rotation_mode="anchor")
    axes.set_yticks(middles, labels)
    return cells


def write_in_cells(axes: Axes, cells: QuadMesh, texts: Mapping[tuple[int, int], str], size: float = SMALL) -> None:
    """Write texts of `size` points into cells, given by row and column: black on light and white on dark."""
    colors = cells.to_rgba(np.ma.asarray(cells.get_array()))
    # Luma, ITU-R BT.709.
    lightness = colors[..., :3] @ np.array([0.2126, 0.7152, 0.0722])
    for (row, column), text in texts.items():
        axes.text(
            column + 0.5,
            row + 0.5,
            text,
            color="black" if lightness[row, column] > 0.5 else "white",
            fontsize=size,
            ha="center",
            va="center",
        )
