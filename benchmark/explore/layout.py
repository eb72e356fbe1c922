"""Pictures made of images and words: rows with a name at the left, or cells with words below; knows no data set."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from benchmark.records import ImageShape
from benchmark.tiles import (
    COUNT_SIZE,
    FAINT,
    GAP,
    INK,
    MARGIN,
    NAME_SIZE,
    as_image,
    fitted,
    font,
    new_sheet,
    text_width,
)

Pixels = NDArray[np.uint8]
"""One image (H, W, C). Images of other than 3 channels are shown by their first, in gray."""

CELL_GAP = 2
LEAST_ROW = 40
TILE, MOST_TILE = 64, 128
"""Heights in pixels: smaller images are enlarged by a whole factor to at least the first, larger ones shrunk to the
second."""


@dataclass(frozen=True, eq=False)
class Row:
    """A row of a picture: a name at the left with a faint note below it, then images side by side."""

    name: str
    note: str
    images: Sequence[Pixels]


@dataclass(frozen=True, eq=False)
class Cell:
    """Images side by side with lines of text below them, darker where the cell is `stressed`."""

    images: Sequence[Pixels]
    lines: Sequence[str]
    stressed: bool = True


def draw_rows(
    title: str, rows: Sequence[Row], shape: ImageShape, *, columns: int, heads: Sequence[str] = ()
) -> Image.Image:
    """A picture of rows with room for so many images each, of one `shape`; `heads` are words above the columns."""
    tile = _tile(shape)
    row_height = max(tile[1], LEAST_ROW) + GAP
    names, notes = [row.name for row in rows], [row.note for row in rows]
    left = MARGIN + max(text_width(names, NAME_SIZE), text_width(notes, COUNT_SIZE)) + MARGIN
    above = COUNT_SIZE + GAP if heads else 0
    width = left - MARGIN + columns * (tile[0] + GAP) - GAP
    picture, draw, top = new_sheet(title, width, above + len(rows) * row_height - GAP)
    top += above
    for column, head in enumerate(heads):
        at = (left + column * (tile[0] + GAP), top - GAP)
        draw.text(at, fitted(head, COUNT_SIZE, tile[0]), FAINT, font(COUNT_SIZE), anchor="ls")
    for number, row in enumerate(rows):
        y = top + number * row_height
        middle = y + tile[1] // 2
        draw.text((MARGIN, middle - 4), row.name, INK, font(NAME_SIZE), anchor="ls")
        draw.text((MARGIN, middle + 2), row.note, FAINT, font(COUNT_SIZE), anchor="la")
        for column, pixels in enumerate(row.images):
            picture.paste(_scaled(pixels, tile), (left + column * (tile[0] + GAP), y))
    return picture


def draw_cells(title: str, cells: Sequence[Cell], shape: ImageShape, *, columns: int, least: int = TILE) -> Image.Image:
    """A picture of at least one cell, so many side by side, with images of one `shape`, at least so high."""
    tile = _tile(shape, least)
    across = max(1, *(len(cell.images) for cell in cells))
    widest = max(text_width(cell.lines, COUNT_SIZE) for cell in cells)
    cell_width = max(across * (tile[0] + CELL_GAP) - CELL_GAP, widest) + MARGIN
    cell_height = tile[1] + max(len(cell.lines) for cell in cells) * (COUNT_SIZE + GAP) + MARGIN
    columns = min(columns, len(cells))
    rows = -(-len(cells) // columns)
    picture, draw, top = new_sheet(title, columns * cell_width - MARGIN, rows * cell_height - MARGIN)
    for number, cell in enumerate(cells):
        x, y = MARGIN + number % columns * cell_width, top + number // columns * cell_height
        for place, pixels in enumerate(cell.images):
            picture.paste(_scaled(pixels, tile), (x + place * (tile[0] + CELL_GAP), y))
        for line, text in enumerate(cell.lines):
            at = (x, y + tile[1] + GAP + line * (COUNT_SIZE + GAP))
            draw.text(at, text, INK if cell.stressed else FAINT, font(COUNT_SIZE), anchor="la")
    return picture


def _tile(shape: ImageShape, least: int = TILE) -> tuple[int, int]:
    """Width and height at which images are shown."""
    if shape.height > MOST_TILE:
        return max(1, round(shape.width * MOST_TILE / shape.height)), MOST_TILE
    factor = max(1, -(-least // shape.height))
    return shape.width * factor, shape.height * factor


def _scaled(pixels: Pixels, tile: tuple[int, int]) -> Image.Image:
    shrinks = tile[1] < len(pixels)
    return as_image(pixels).resize(tile, Image.Resampling.BOX if shrinks else Image.Resampling.NEAREST)
