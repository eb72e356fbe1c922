"""How often each two members predict different classes, as a heat map; predicts nothing."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from benchmark.figures.style import SMALL, new_figure, shown

COLOR_MAP = "Blues"
"""One hue from light (little) to dark: lightness alone tells the values apart, to any eye (ColorBrewer, Harrower &
Brewer 2003, doi:10.1179/000870403235002042)."""
MOST_WITH_DECIMAL = 12
MOST_NUMBERED = 20
"""Members up to which a cell has room for its number, with a decimal and as a whole number."""


def disagreement_map(names: Sequence[str], disagreement: NDArray[np.float64], *, subject: str) -> Figure:
    """Share of validation rows, in percent, on which two members predict different classes.

    `disagreement` (M, M) holds shares in [0, 1], symmetric with a diagonal of 0, in the order of `names`; `subject` is
    what the title says was studied. Cells of more than 20 members carry no numbers. Raises ValueError where the array
    is none of this.
    """
    members = len(names)
    if disagreement.shape != (members, members) or not members:
        raise ValueError(f"{members} members need an array ({members}, {members}), not {disagreement.shape}")
    if not ((disagreement >= 0) & (disagreement <= 1)).all() or not np.allclose(disagreement, disagreement.T):
        raise ValueError("disagreement must be symmetric, with shares in [0, 1]")
    if disagreement.diagonal().any():
        raise ValueError("a member does not disagree with itself: the diagonal must be 0")
    percents = 100 * disagreement
    with new_figure("Disagreement of members", subject, height=7.0) as figure:
        axes = figure.subplots()
        # All equal, or one member: a scale from 0 to 0 would be none.
        cells = axes.pcolormesh(
            percents, cmap=COLOR_MAP, vmin=0, vmax=percents.max() or 1.0, edgecolors="white", linewidth=0.8
        )
        axes.set_aspect("equal")
        axes.invert_yaxis()
        axes.grid(False)
        axes.spines[:].set_visible(False)
        axes.tick_params(length=0)
        middles = np.arange(members) + 0.5
        labels = [shown(name, 24) for name in names]
        # Upright labels are harder to read, but stand closer together.
        rotation, va = (45, "top") if members <= MOST_NUMBERED else (90, "center")
        axes.set_xticks(middles, labels, rotation=rotation, ha="right", va=va, rotation_mode="anchor")
        axes.set_yticks(middles, labels)
        axes.set(xlabel="Member (model)", ylabel="Member (model)")
        axes.set_title("How often two members predict different classes.")
        bar = figure.colorbar(cells, ax=axes, label="Disagreement (% of validation rows)", shrink=0.8)
        bar.outline.set_visible(False)
        if members <= MOST_NUMBERED:
            _number(axes, percents, cells.to_rgba(percents))
    return figure


def _number(axes: Axes, percents: NDArray[np.float64], colors: NDArray[np.float64]) -> None:
    """Write each cell's number into it, black on light and white on dark; none where a member meets itself."""
    members = len(percents)
    digits = 1 if members <= MOST_WITH_DECIMAL else 0
    # Luma, ITU-R BT.709.
    lightness = colors[..., :3] @ np.array([0.2126, 0.7152, 0.0722])
    for row, column in zip(*np.nonzero(~np.eye(members, dtype=bool)), strict=True):
        axes.text(
            column + 0.5,
            row + 0.5,
            f"{percents[row, column]:.{digits}f}",
            color="black" if lightness[row, column] > 0.5 else "white",
            fontsize=SMALL,
            ha="center",
            va="center",
        )
