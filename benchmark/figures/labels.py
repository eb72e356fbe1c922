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
    not overlap, and no line from an anchor to the middle of its label runs through another's; of those places the one
    that covers least of `obstacles` (B, 4) is taken, then the one of the smallest gap, then the first of SIDES. `gaps`
    are the distances tried between an anchor and its label.
    """
    placed: list[Array | None] = []
    for anchor, size in zip(anchors, sizes, strict=True):
        others = [(start, box) for start, box in zip(anchors, placed, strict=False) if box is not None]
        free = [box for box in _around(anchor, size, gaps) if _is_free(box, anchor, others, frame)]
        placed.append(min(free, key=lambda box: covered(box, obstacles), default=None))
    return placed


def _is_free(box: Array, anchor: Array, others: Sequence[tuple[Array, Array]], frame: Array) -> bool:
    """Whether an anchor's label may stand in `box` beside others, each an anchor and a box."""
    if (box[:2] < frame[:2]).any() or (box[2:] > frame[2:]).any():
        return False
    return not any(
        covered(box, other[None])
        or runs_through(anchor, _middle(box), other)
        or runs_through(start, _middle(other), box)
        for start, other in others
    )


def runs_through(start: Array, end: Array, box: Array) -> bool:
    """Whether the straight line from `start` (2,) to `end` (2,) has a part inside `box` (4,); by slabs."""
    with np.errstate(divide="ignore", invalid="ignore"):
        shares = (np.stack([box[:2], box[2:]]) - start) / (end - start)
    inside = (box[:2] < start) & (start < box[2:])
    along = end == start
    enter = np.where(along, np.where(inside, 0.0, np.inf), shares.min(axis=0)).max()
    leave = np.where(along, np.where(inside, 1.0, -np.inf), shares.max(axis=0)).min()
    return bool(max(enter, 0.0) < min(leave, 1.0))


def _middle(box: Array) -> Array:
    return (box[:2] + box[2:]) / 2


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
