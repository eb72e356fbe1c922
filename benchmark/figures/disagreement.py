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
        cells = draw_cells(axes, percents, names, most=percents.max() or 1.0)
        axes.set(xlabel="Member (model)", ylabel="Member (model)")
        axes.set_title("How often two members predict different classes.")
        bar = figure.colorbar(cells, ax=axes, label="Disagreement (% of validation rows)", shrink=0.8)
        bar.outline.set_visible(False)
        if members <= MOST_NUMBERED:
            digits = 1 if members <= MOST_WITH_DECIMAL else 0
            # A member that meets itself has no number.
            others = zip(*np.nonzero(~np.eye(members, dtype=bool)), strict=True)
            write_in_cells(axes, cells, {place: f"{percents[place]:.{digits}f}" for place in others})
    return figure
