"""How often each two members predict different classes, as a heat map; predicts nothing."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from benchmark.figures.heat_map import draw_cells, write_in_cells
from benchmark.figures.style import new_figure

MOST_WITH_DECIMAL = 12
MOST_NUMBERED = 20
"""Members up to which a cell has room for its number, with a decimal and as a whole number."""


def disagreement_map(names: Sequence[str], disagreement: NDArray[np.float64], *, subject: str) -> Figure:
    """Share of validation rows, in percent, on which two members predict different classes.

    `disagreement` (M, M) holds shares in [0, 1], symmetric with a diagonal of 0, in the order of `names`; `subject` is
    what the title says was studied. Colours end at twice the median, where the largest is beyond: one odd member would
    make all others pale. Cells of more than 20 members carry no numbers. Raises ValueError where the array is none of
    this.
    """
    members = len(names)
    if disagreement.shape != (members, members) or not members:
        raise ValueError(f"{members} members need an array ({members}, {members}), not {disagreement.shape}")
    if not ((disagreement >= 0) & (disagreement <= 1)).all() or not np.allclose(disagreement, disagreement.T):
        raise ValueError("disagreement must be symmetric, with shares in [0, 1]")
    if disagreement.diagonal().any():
        raise ValueError("a member does not disagree with itself: the diagonal must be 0")
    itself = np.eye(members, dtype=bool)
    percents = np.ma.masked_array(100 * disagreement, mask=itself)
    most, is_capped = _most(100 * disagreement[~itself])
    with new_figure("Disagreement of members", subject, height=7.0) as figure:
        axes = figure.subplots()
        cells = draw_cells(axes, percents, names, most=most)
        axes.set(xlabel="Member (model)", ylabel="Member (model)")
        axes.set_title("How often two members predict different classes.")
        bar = figure.colorbar(cells, ax=axes, shrink=0.8, extend="max" if is_capped else "neither")
        more = f"; darkest: {most:.1f} or more" if is_capped else ""
        bar.set_label(f"Disagreement (% of validation rows{more})")
        bar.outline.set_visible(False)
        if members <= MOST_NUMBERED:
            digits = 1 if members <= MOST_WITH_DECIMAL else 0
            # A member that meets itself has no number.
            others = zip(*np.nonzero(~itself), strict=True)
            write_in_cells(axes, cells, {place: f"{percents[place]:.{digits}f}" for place in others})
    return figure


def _most(percents: NDArray[np.float64]) -> tuple[float, bool]:
    """Where the colours of all pairs (P,) end, and whether there are any beyond."""
    largest = float(percents.max(initial=0.0))
    if not largest:
        # All equal, or one member: a scale from 0 to 0 would be none.
        return 1.0, False
    most = 2 * float(np.median(percents)) or largest
    return (most, True) if most < largest else (largest, False)
