"""Images, and over them as heat the places that spoke for a class; computes no heat."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colorbar import Colorbar
from matplotlib.colors import ListedColormap, Normalize
from matplotlib.figure import Figure
from numpy.typing import NDArray

from benchmark.figures.style import SMALL, WIDTH, new_figure, shown

HEAT_COLORS = "viridis"
"""Perceptually uniform, and read by people with any common colour blindness (Smith and van der Walt 2015)."""
OPACITY = 0.6
"""Of the heat over the image, which is grey below it: its own colours would be taken for heat."""
LUMA = np.array([0.2126, 0.7152, 0.0722])
"""Share of red, green and blue in a grey as bright, ITU-R BT.709."""
MOST = 50
"""Images that one figure can show: many more would be higher than a PNG may be."""
_PICTURE, _TEXT, _BAR, _FRAME = 1.1, 1.75, 0.12, 1.65
"""Inches of a picture's side with its gap, the width of the text beside it, the height of the bar of colours, and of
all that stands above and below the pictures."""
_CHARACTERS, _HEADING_CHARACTERS = 22, 18
"""Of a line beside a picture, and of one above."""


@dataclass(frozen=True, eq=False)
class Exhibit:
    """One image with its maps: pixels uint8 (H, W, C), heats float32 (P, H, W) in [0, 1], and lines to say of it."""

    lines: tuple[str, ...]
    pixels: NDArray[np.uint8]
    heats: NDArray[np.float32]


def overlay(pixels: NDArray[np.uint8], heat: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Heat (H, W) in [0, 1] as colour over the image uint8 (H, W, C) in grey: uint8 (H, W, 3).

    Images of other than 3 channels are shown by their first. Raises ValueError where the sizes differ.
    """
    if pixels.shape[:2] != heat.shape:
        raise ValueError(f"heat {heat.shape} does not lie over an image {pixels.shape[:2]}")
    grey = in_color(pixels) @ LUMA
    return np.round(_over(grey[..., None], heat)).astype(np.uint8)


def in_color(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """An image uint8 (H, W, C) as red, green and blue (H, W, 3); of other than 3 channels the first, as grey."""
    return pixels if pixels.shape[-1] == 3 else np.repeat(pixels[..., :1], 3, axis=-1)


def evidence_figure(exhibits: Sequence[Exhibit], headings: Sequence[str], *, about: str, subject: str) -> Figure:
    """Each exhibit as its image and, beside it, its maps over it; exhibits of one map stand two in a row.

    `headings` (P,) say whose the maps are, `about` for which class they speak, and `subject` what was studied. Raises
    ValueError where the maps are not as many as the headings, or the exhibits none or too many.
    """
    if not 0 < len(exhibits) <= MOST:
        raise ValueError(f"a figure shows 1 to {MOST} images, not {len(exhibits)}")
    if any(len(exhibit.heats) != len(headings) for exhibit in exhibits):
        raise ValueError(f"every image needs {len(headings)} maps, one for each heading")
    side_by_side = 2 if len(headings) == 1 else 1
    rows = -(-len(exhibits) // side_by_side)
    widths = [_TEXT, *[_PICTURE] * (1 + len(headings))] * side_by_side
    side = _PICTURE * min(1, WIDTH / sum(widths))
    with new_figure("Grad-CAM", subject, height=_FRAME + rows * side) as figure:
        grid = figure.add_gridspec(rows + 1, len(widths), width_ratios=widths, height_ratios=[*[side] * rows, _BAR])
        for number, exhibit in enumerate(exhibits):
            row, block = divmod(number, side_by_side)
            first = block * len(widths) // side_by_side
            places = [grid[row, first + column] for column in range(2 + len(headings))]
            _draw(exhibit, [figure.add_subplot(place) for place in places], headings if row == 0 else ())
        _draw_bar(figure.add_subplot(grid[rows, 1:]), about)
    return figure


def _draw(exhibit: Exhibit, axes: Sequence[Axes], headings: Sequence[str]) -> None:
    text, *pictures = axes
    for one in axes:
        one.set_axis_off()
    lines = [shown(line, _CHARACTERS) for line in exhibit.lines]
    text.text(1, 0.5, "\n".join(lines), ha="right", va="center", fontsize=SMALL, transform=text.transAxes)
    layers = [in_color(exhibit.pixels), *(overlay(exhibit.pixels, heat) for heat in exhibit.heats)]
    for one, picture in zip(pictures, layers, strict=True):
        # As many pixels as there are: what lies between them would be invented.
        one.imshow(picture, interpolation="none")
    for one, heading in zip(pictures[1:], headings, strict=False):
        lines = [shown(line, _HEADING_CHARACTERS) for line in heading.splitlines()]
        one.set_title("\n".join(lines), loc="center")


def _draw_bar(axes: Axes, about: str) -> None:
    # As the colours are over a medium grey.
    colors = ListedColormap(_over(np.float64(127.5), np.linspace(0, 1, 256)) / 255)
    label = f"Evidence for {about}, as a share of the highest in the image"
    bar = Colorbar(axes, ScalarMappable(Normalize(0, 1), colors), orientation="horizontal", label=label)
    bar.outline.set_visible(False)


def _over(grey: NDArray[np.float64] | np.float64, heat: NDArray[np.floating]) -> NDArray[np.float64]:
    colors: NDArray[np.float64] = matplotlib.colormaps[HEAT_COLORS](heat)[..., :3]
    mixed: NDArray[np.float64] = (1 - OPACITY) * grey + OPACITY * 255 * colors
    return mixed
