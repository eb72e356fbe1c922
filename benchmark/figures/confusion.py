"""What each class is taken for, as a heat map of mistakes; predicts nothing."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from benchmark.figures.heat_map import draw_cells, write_in_cells
from benchmark.figures.style import DPI, SMALL, SPLIT_NAMES, new_figure
from benchmark.records import Split

MOST_COUNTED = 20
"""Classes up to which the counts stand in the cells."""
SMALLEST = 5.0
"""Points of the smallest count that is still read."""
DIGIT_WIDTH = 0.64
"""Of a digit, as a share of the size of its font."""


def confusion_map(classes: Sequence[str], confusion: NDArray[np.int64], *, split: Split, subject: str) -> Figure:
    """How often each class is taken for each other, coloured by the share of the label's rows.

    `confusion` (K, K) counts rows of `split`: row = label, column = predicted, in the order of `classes`. The diagonal
    has no colour, which would leave none for the mistakes. Counts are left out above 20 classes and where they have no
    room. `subject` is what the title says was studied. Raises ValueError where the array is none of this.
    """
    length = len(classes)
    if confusion.shape != (length, length) or not length:
        raise ValueError(f"{length} classes need an array ({length}, {length}), not {confusion.shape}")
    if (confusion < 0).any():
        raise ValueError("counts must not be negative")
    shares = 100 * confusion / np.maximum(confusion.sum(axis=1, keepdims=True), 1)
    mistakes = np.ma.masked_array(shares, np.eye(length, dtype=bool))
    with new_figure("Confusion of classes", subject, height=7.0) as figure:
        axes = figure.subplots()
        # No mistake, or one class: a scale from 0 to 0 would be none.
        cells = draw_cells(axes, mistakes, classes, most=mistakes.filled(0).max() or 1.0)
        axes.set(xlabel="Predicted", ylabel="Label")
        axes.set_title("Colour shows mistakes; right answers, on the diagonal, are grey.")
        bar = figure.colorbar(
            cells, ax=axes, label=f"Mistakes (% of the label's {SPLIT_NAMES[split]} images)", shrink=0.8
        )
        bar.outline.set_visible(False)
        texts = {place: str(images) for place, images in np.ndenumerate(confusion)}
        # Axes have their size only once the rest of the figure is laid out.
        figure.draw_without_rendering()
        size = _size_of(axes, length, max(map(len, texts.values())))
        if length <= MOST_COUNTED and size >= SMALLEST:
            axes.set_title(f"Numbers are images. {axes.get_title('left')}")
            write_in_cells(axes, cells, texts, size)
    return figure


def _size_of(axes: Axes, length: int, characters: int) -> float:
    """Points of a text of so many digits that fits into one of `length` cells a side."""
    cell = 72 / DPI * axes.bbox.width / length
    return min(SMALL, 0.9 * cell / (DIGIT_WIDTH * characters))
