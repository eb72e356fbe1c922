"""Pictures made of images and words: rows with a name at the left, or cells with words below; knows no data set."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from benchmark.records import ImageShape

Pixels = NDArray[np.uint8]
"""One image (H, W, C). Images of other than 3 channels are shown by their first, in gray."""

PAPER, INK, FAINT = (252, 252, 250), (32, 33, 36), (112, 115, 120)
TITLE_SIZE, NAME_SIZE, COUNT_SIZE = 22, 17, 12
MARGIN, GAP, CELL_GAP = 24, 6, 2
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
    left = MARGIN + max(_width(names, NAME_SIZE), _width(notes, COUNT_SIZE)) + MARGIN
    top = MARGIN + TITLE_SIZE + MARGIN + (COUNT_SIZE + GAP if heads else 0)
    width = left + columns * (tile[0] + GAP) - GAP + MARGIN
    picture = _sheet(title, width, top + len(rows) * row_height - GAP + MARGIN)
    draw = ImageDraw.Draw(picture)
    for column, head in enumerate(heads):
        at = (left + column * (tile[0] + GAP), top - GAP)
        draw.text(at, _shortened(head, tile[0], COUNT_SIZE), FAINT, _font(COUNT_SIZE), anchor="lb")
    for number, row in enumerate(rows):
        y = top + number * row_height
        middle = y + tile[1] // 2
        draw.text((MARGIN, middle - 2), row.name, INK, _font(NAME_SIZE), anchor="lb")
        draw.text((MARGIN, middle + 5), row.note, FAINT, _font(COUNT_SIZE), anchor="lt")
        for column, pixels in enumerate(row.images):
            picture.paste(_scaled(pixels, tile), (left + column * (tile[0] + GAP), y))
    return picture


def draw_cells(title: str, cells: Sequence[Cell], shape: ImageShape, *, columns: int, least: int = TILE) -> Image.Image:
    """A picture of at least one cell, so many side by side, with images of one `shape`, at least so high."""
    tile = _tile(shape, least)
    across = max(1, *(len(cell.images) for cell in cells))
    widest = max(_width(cell.lines, COUNT_SIZE) for cell in cells)
    cell_width = max(across * (tile[0] + CELL_GAP) - CELL_GAP, widest) + MARGIN
    cell_height = tile[1] + max(len(cell.lines) for cell in cells) * (COUNT_SIZE + GAP) + MARGIN
    columns, top = min(columns, len(cells)), MARGIN + TITLE_SIZE + MARGIN
    picture = _sheet(title, MARGIN + columns * cell_width, top + -(-len(cells) // columns) * cell_height)
    draw = ImageDraw.Draw(picture)
    for number, cell in enumerate(cells):
        x, y = MARGIN + number % columns * cell_width, top + number // columns * cell_height
        for place, pixels in enumerate(cell.images):
            picture.paste(_scaled(pixels, tile), (x + place * (tile[0] + CELL_GAP), y))
        for line, text in enumerate(cell.lines):
            at = (x, y + tile[1] + GAP + line * (COUNT_SIZE + GAP))
            draw.text(at, text, INK if cell.stressed else FAINT, _font(COUNT_SIZE), anchor="lt")
    return picture


def _sheet(title: str, width: int, height: int) -> Image.Image:
    picture = Image.new("RGB", (max(width, 2 * MARGIN + _width([title], TITLE_SIZE)), height), PAPER)
    ImageDraw.Draw(picture).text((MARGIN, MARGIN), title, INK, _font(TITLE_SIZE), anchor="lt")
    return picture


def _tile(shape: ImageShape, least: int = TILE) -> tuple[int, int]:
    """Width and height at which images are shown."""
    if shape.height > MOST_TILE:
        return max(1, round(shape.width * MOST_TILE / shape.height)), MOST_TILE
    factor = max(1, -(-least // shape.height))
    return shape.width * factor, shape.height * factor


def _scaled(pixels: Pixels, tile: tuple[int, int]) -> Image.Image:
    shown = pixels if pixels.shape[-1] == 3 else pixels[..., 0]
    shrinks = tile[1] < len(pixels)
    image = Image.fromarray(np.ascontiguousarray(shown)).convert("RGB")
    return image.resize(tile, Image.Resampling.BOX if shrinks else Image.Resampling.NEAREST)


def _shortened(text: str, width: int, size: int) -> str:
    """The text, or as much of its beginning as is not wider than so many pixels."""
    for end in range(len(text), 0, -1):
        if _width([text[:end]], size) <= width:
            return text[:end]
    return ""


def _width(texts: Sequence[str], size: int) -> int:
    return math.ceil(max((_font(size).getlength(text) for text in texts), default=0))


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)
