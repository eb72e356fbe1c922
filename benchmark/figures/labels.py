"""Where labels go so that they cover neither each other nor the data; knows boxes, and neither axes nor fonts.

A box is left, bottom, right, top, in any one unit; boxes are float64 (B, 4).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

SIDES = (
    (-1.0, 1.0), (-0.5, 1.0), (0.0, 1.0), (0.5, 1.0), (1.0, 1.0), (-1.0, 0.0), (1.0, 0.0),
    (1.0, -1.0), (0.5, -1.0), (0.0, -1.0), (-0.5, -1.0), (-1.0, -1.0),
)  # fmt: skip
"""Where a label may stand, from its anchor, the better first: above and to the left, a Pareto front has no point."""


def place(anchors: Array, sizes: Array, obstacles: Array, frame: Array, gaps: Sequence[float]) -> list[Array | None]:
    """A box for the label of each anchor, the first anchors choosing first; None where none is left.

    `anchors` (L, 2) are x and y, `sizes` (L, 2) width and height of the labels. Boxes lie inside `frame` (4,) and do
    not overlap; of those places the one that covers least of `obstacles` (B, 4) is taken, then the one of the smallest
    gap, then the first of SIDES. `gaps` are the distances tried between an anchor and its label.
    """
    placed: list[Array | None] = []
    for anchor, size in zip(anchors, sizes, strict=True):
        taken = np.array([box for box in placed if box is not None]).reshape(-1, 4)
        free = [
            box
            for box in _around(anchor, size, gaps)
            if (box[:2] >= frame[:2]).all() and (box[2:] <= frame[2:]).all() and not covered(box, taken)
        ]
        placed.append(min(free, key=lambda box: covered(box, obstacles), default=None))
    return placed


def covered(box: Array, boxes: Array) -> float:
    """Area of `boxes` (B, 4) under `box` (4,), added up."""
    sides = np.minimum(box[2:], boxes[:, 2:]) - np.maximum(box[:2], boxes[:, :2])
    return float(np.maximum(sides, 0).prod(axis=1).sum())


def _around(anchor: Array, size: Array, gaps: Sequence[float]) -> Iterator[Array]:
    for gap in gaps:
        for aside, up in SIDES:
            # A label above or below moves far up or down, and sideways only out of the marker's way.
            reach = np.array([gaps[0] if up else gap, gap])
            centre = anchor + np.array([aside, up]) * (size / 2 + reach)
            yield np.concatenate([centre - size / 2, centre + size / 2])
