"""Images that are predicted wrong, as pictures with words, and the figures beside them; judges no prediction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from benchmark.files import file_name_of, replace_files
from benchmark.mistakes.finding import ConfusedPair, Mistake
from benchmark.mistakes.summary import EntrantMistakes
from benchmark.records import Split
from benchmark.study_data import StudyImages
from benchmark.tiles import (
    COUNT_SIZE,
    FAINT,
    GAP,
    INK,
    MARGIN,
    NAME_SIZE,
    TITLE_SIZE,
    fitted,
    font,
    new_sheet,
    text_width,
    thumbnail,
    to_png,
)
from benchmark.wording import percent, plural

SIDE = 128
"""Pixels within which an image is shown."""
CELL = 150
"""Pixels from an image to the next one beside it."""
COLUMNS = 6
"""Images side by side, in each of a picture's two halves half as many."""
LINE = COUNT_SIZE + GAP
BELOW = "Below an image: its label, → the class it was taken for with its confidence after temperature, and its row."
BELOW_A_PAIR = "Label → the class it was taken for. Below an image: its confidence after temperature, and its row."


@dataclass(frozen=True, eq=False)
class _Tile:
    """An image and the lines below it, the last of them faint."""

    image: Image.Image
    lines: tuple[str, ...]


def mistakes_picture(found: EntrantMistakes, data: StudyImages) -> Image.Image | None:
    """The most confident mistakes, each with its label and what it was taken for; None without a mistake."""
    if not found.mistakes:
        return None
    tiles = _tiles(found, data, found.mistakes)
    height = _height(tiles, COLUMNS)
    sheet, pen, top = _new_sheet(found, "Most confident mistakes", found.name, BELOW, (COLUMNS * CELL, height))
    _place(sheet, pen, (MARGIN, top), tiles, COLUMNS)
    return sheet


def pairs_picture(found: EntrantMistakes, data: StudyImages) -> Image.Image | None:
    """A row for each of the most confused pairs, its most confident examples first; None without a mistake."""
    if not found.pairs:
        return None
    heads = [(found.classes[pair.label], f"→ {found.classes[pair.predicted]}") for pair in found.pairs]
    counts = [f"{plural(pair.count, 'image')}, {percent(pair.share)} % of the label's" for pair in found.pairs]
    left = min(max(text_width(list(chain(*heads)), NAME_SIZE), text_width(counts, COUNT_SIZE)), 2 * CELL)
    rows = [_examples(found, data, pair) for pair in found.pairs]
    height = max(_height(rows[0], COLUMNS), 2 * (NAME_SIZE + GAP) + LINE + 2 * GAP)
    size = left + MARGIN + max(map(len, rows)) * CELL, len(rows) * height
    sheet, pen, top = _new_sheet(found, "Most confused pairs", found.name, BELOW_A_PAIR, size)
    for number, (head, count, tiles) in enumerate(zip(heads, counts, rows, strict=True)):
        y = top + number * height
        for line, name in enumerate(head):
            at = (MARGIN, y + line * (NAME_SIZE + GAP))
            pen.text(at, fitted(name, NAME_SIZE, left), INK, font(NAME_SIZE), anchor="la")
        pen.text((MARGIN, y + len(head) * (NAME_SIZE + GAP)), count, FAINT, font(COUNT_SIZE), anchor="la")
        _place(sheet, pen, (MARGIN + left + MARGIN, y), tiles, COLUMNS)
    return sheet


def repairs_picture(found: EntrantMistakes, data: StudyImages) -> Image.Image | None:
    """What the entrant repairs beside the other, at the left, and what it breaks; None where there is neither."""
    beside = found.beside
    if beside is None or not beside.repaired + beside.broken:
        return None
    columns, half = COLUMNS // 2, COLUMNS // 2 * CELL
    halves = [
        ("Repaired", len(beside.repairs.repaired), f"mistakes of {beside.answers.name} alone", beside.repaired),
        ("Broken", len(beside.repairs.broken), f"mistakes of {found.name} alone", beside.broken),
    ]
    filled = [_tiles(found, data, mistakes) for *_, mistakes in halves]
    head = NAME_SIZE + GAP + LINE + GAP
    height = head + max(_height(tiles, columns) for tiles in filled if tiles)
    sheet, pen, top = _new_sheet(found, "Repaired and broken", found.name, BELOW, (2 * half + MARGIN, height))
    for number, ((word, count, whose, _), tiles) in enumerate(zip(halves, filled, strict=True)):
        x = MARGIN + number * (half + MARGIN)
        pen.text((x, top), f"{word}: {plural(count, 'image')}", INK, font(NAME_SIZE), anchor="la")
        below = (x, top + NAME_SIZE + GAP)
        pen.text(below, fitted(whose, COUNT_SIZE, half - GAP), FAINT, font(COUNT_SIZE), anchor="la")
        _place(sheet, pen, (x, top + head), tiles, columns)
    return sheet


def draw(found: EntrantMistakes, data: StudyImages, folder: Path) -> list[Path]:
    """Write the figures and pictures into `folder`/STUDY; their paths. Raises BenchError where that cannot be.

    A picture of an earlier call that has nothing to show any more is removed.
    """
    from benchmark.figures import accuracy_against_coverage, confusion_map, save

    inside, subject = folder / found.study, f"{found.name}, {found.study}"
    # A file's name says of which part it is where that is not test.
    part = "" if found.split is Split.TEST else f"{found.split}-"
    alone = file_name_of(found.name)
    both = alone if found.beside is None else f"{alone}-beside-{file_name_of(found.beside.answers.name)}"
    series = [found.answers, *([] if found.beside is None else [found.beside.answers])]
    confusion = confusion_map(found.classes, found.confusion, split=found.split, subject=subject)
    coverage = accuracy_against_coverage(
        series, split=found.split, subject=found.study, order="the most confident after temperature first"
    )
    paths = [*save(confusion, inside, f"{part}confusion-{alone}"), *save(coverage, inside, f"{part}coverage-{both}")]
    pictures = {
        inside / f"{part}mistakes-{alone}.png": mistakes_picture(found, data),
        inside / f"{part}confused-pairs-{alone}.png": pairs_picture(found, data),
        inside / f"{part}repairs-{both}.png": repairs_picture(found, data),
    }
    for path in (path for path, picture in pictures.items() if picture is None):
        path.unlink(missing_ok=True)
    shown = {path: to_png(picture) for path, picture in pictures.items() if picture is not None}
    return [*paths, *(replace_files(shown, "the pictures") if shown else [])]


def _new_sheet(
    found: EntrantMistakes, title: str, subject: str, note: str, size: tuple[int, int]
) -> tuple[Image.Image, ImageDraw.ImageDraw, int]:
    """A sheet of this size whose subject is shortened where its title would be wider than the note or the pictures."""
    start, end = f"{title}: ", f" ({found.study}, {found.split})"
    room = max(size[0], text_width([note], COUNT_SIZE)) - text_width([start + end], TITLE_SIZE)
    return new_sheet(start + fitted(subject, TITLE_SIZE, room) + end, *size, note=note)


def _tiles(found: EntrantMistakes, data: StudyImages, mistakes: Sequence[Mistake]) -> list[_Tile]:
    return [
        _tile(
            found,
            data,
            mistake.row,
            fitted(found.classes[mistake.label], COUNT_SIZE, CELL - GAP),
            _with_share(f"→ {found.classes[mistake.predicted]}", mistake.confidence),
        )
        for mistake in mistakes
    ]


def _examples(found: EntrantMistakes, data: StudyImages, pair: ConfusedPair) -> list[_Tile]:
    return [_tile(found, data, row, f"{percent(found.answers.confidence[row])} %") for row in pair.rows[:COLUMNS]]


def _tile(found: EntrantMistakes, data: StudyImages, row: int, *lines: str) -> _Tile:
    number = int(found.numbers[row])
    pixels: NDArray[np.uint8] = data.published(found.split).pixels[number]
    return _Tile(thumbnail(pixels, SIDE), (*lines, f"{found.split} {number}"))


def _with_share(name: str, share: float) -> str:
    """A name and a percentage within a cell: the name gives way."""
    end = f"  {percent(share)} %"
    return fitted(name, COUNT_SIZE, CELL - GAP - text_width([end], COUNT_SIZE)) + end


def _height(tiles: Sequence[_Tile], columns: int) -> int:
    """Pixels that tiles take, `columns` a row, with the gap below them."""
    return -(-len(tiles) // columns) * (tiles[0].image.height + GAP + len(tiles[0].lines) * LINE + 2 * GAP)


def _place(
    sheet: Image.Image, pen: ImageDraw.ImageDraw, at: tuple[int, int], tiles: Sequence[_Tile], columns: int
) -> None:
    for number, tile in enumerate(tiles):
        x, y = at[0] + number % columns * CELL, at[1] + number // columns * _height(tiles[:1], 1)
        sheet.paste(tile.image, (x, y))
        for line, text in enumerate(tile.lines):
            below = (x, y + tile.image.height + GAP + line * LINE)
            pen.text(below, text, INK if line < len(tile.lines) - 1 else FAINT, font(COUNT_SIZE), anchor="la")
