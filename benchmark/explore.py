"""What a data set looks like: counts, channel statistics, pictures of samples and duplicates; knows no torch."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from rich.table import Table

from benchmark.errors import BenchError
from benchmark.preflight import Pair, nearness_in_words, parts_of, place_in_words, plural
from benchmark.records import Dataset, Images, ImageShape, Split, SplitRows

CHUNK_ROWS = 2048
LEVELS = 256


@dataclass(frozen=True)
class PartDescription:
    """One part of a data set: images per class (K), and per channel (C) mean and population deviation in [0, 1]."""

    split: Split
    class_counts: tuple[int, ...]
    channel_means: tuple[float, ...]
    channel_stds: tuple[float, ...]

    @property
    def rows(self) -> int:
        """Number of images."""
        return sum(self.class_counts)


@dataclass(frozen=True)
class Description:
    """A data set in numbers; `parts` in the order train, val (where it was divided), test."""

    dataset: str
    fingerprint: str
    classes: tuple[str, ...]
    image_shape: ImageShape
    parts: tuple[PartDescription, ...]


def describe(dataset: Dataset, split_rows: SplitRows | None = None) -> Description:
    """Counts and channel statistics of each part, the training part divided where `split_rows` is given.

    Exact, in one pass of `CHUNK_ROWS` images at a time, so that memory-mapped pixels are never all in memory.
    """
    parts = parts_of(dataset, split_rows)
    return Description(
        dataset.name,
        dataset.fingerprint,
        dataset.classes,
        dataset.image_shape,
        tuple(_described(split, images, rows, len(dataset.classes)) for split, images, rows in parts),
    )


def _described(split: Split, images: Images, rows: NDArray[np.int64], num_classes: int) -> PartDescription:
    channels = images.pixels.shape[-1]
    histograms = np.zeros((channels, LEVELS), np.int64)
    for chunk in _chunks(images.pixels, rows):
        for channel in range(channels):
            histograms[channel] += np.bincount(chunk[..., channel].ravel(), minlength=LEVELS)
    # of bytes the histogram is a complete summary: no rounding adds up, whatever the number of pixels
    levels = np.arange(LEVELS) / (LEVELS - 1)
    shares = histograms / np.maximum(histograms.sum(axis=1, keepdims=True), 1)
    means = shares @ levels
    variances = (shares * (levels - means[:, np.newaxis]) ** 2).sum(axis=1)
    counts = np.bincount(images.labels[rows], minlength=num_classes)
    return PartDescription(split, tuple(counts.tolist()), tuple(means.tolist()), tuple(np.sqrt(variances).tolist()))


def _chunks(pixels: NDArray[np.uint8], rows: NDArray[np.int64]) -> Iterator[NDArray[np.uint8]]:
    for start, end in pairwise([*range(0, len(rows), CHUNK_ROWS), len(rows)]):
        yield pixels[rows[start:end]]


def to_table(description: Description) -> Table:
    """The description for a terminal: one column per part; classes and their counts, then channel statistics."""
    shape = description.image_shape
    table = Table(
        title=f"{description.dataset}: {shape.height} x {shape.width} pixels, {plural(shape.channels, 'channel')}",
        caption=f"fingerprint {description.fingerprint[:16]}",
    )
    table.add_column("class")
    for part in description.parts:
        table.add_column(part.split.value, justify="right")
    for label, name in enumerate(description.classes):
        table.add_row(name, *(f"{part.class_counts[label]:,}" for part in description.parts))
    table.add_section()
    table.add_row("all", *(f"{part.rows:,}" for part in description.parts), style="bold")
    table.add_section()
    for channel, name in enumerate(_channel_names(shape.channels)):
        statistics = [
            f"{part.channel_means[channel]:.4f} ± {part.channel_stds[channel]:.4f}" for part in description.parts
        ]
        table.add_row(f"{name}, mean ± std", *statistics)
    return table


def _channel_names(channels: int) -> tuple[str, ...]:
    known = {1: ("gray",), 3: ("red", "green", "blue")}
    return known.get(channels, tuple(f"channel {number}" for number in range(channels)))


PAPER, INK, FAINT = (252, 252, 250), (32, 33, 36), (112, 115, 120)
TITLE_SIZE, NAME_SIZE, COUNT_SIZE = 22, 17, 12
MARGIN, GAP = 24, 6
LEAST_ROW = 40
TILE = 64
"""Height in pixels: smaller images are enlarged by a whole factor to at least this, larger ones shown as they are."""


def sample_grid(dataset: Dataset, per_class: int = 10, seed: int = 0) -> Image.Image:
    """A picture with `per_class` training images of each class, one class a row, its name and size at the left.

    The images are drawn without replacement by `seed`; a class that has fewer leaves the rest of its row empty. Images
    of other than 3 channels are shown by their first, in gray. Raises BenchError where `per_class` is less than 1.
    """
    if per_class < 1:
        raise BenchError(f"a picture needs at least one image per class, not {per_class}")
    shape, labels = dataset.image_shape, dataset.train.labels
    title = f"{dataset.name}: training images, {shape.height} x {shape.width} pixels"
    counts = [plural(int(count), "image") for count in np.bincount(labels, minlength=len(dataset.classes))]
    tile = _tile(shape)
    row_height = max(tile[1], LEAST_ROW) + GAP
    left = MARGIN + max(_width(dataset.classes, NAME_SIZE), _width(counts, COUNT_SIZE)) + MARGIN
    top = MARGIN + TITLE_SIZE + MARGIN
    width = max(left + per_class * (tile[0] + GAP) - GAP, MARGIN + _width([title], TITLE_SIZE)) + MARGIN
    picture = Image.new("RGB", (width, top + len(counts) * row_height - GAP + MARGIN), PAPER)
    draw = ImageDraw.Draw(picture)
    draw.text((MARGIN, MARGIN), title, INK, ImageFont.load_default(TITLE_SIZE), anchor="lt")
    generator = np.random.default_rng(seed)
    for label, name in enumerate(dataset.classes):
        y = top + label * row_height
        middle = y + tile[1] // 2
        draw.text((MARGIN, middle - 2), name, INK, ImageFont.load_default(NAME_SIZE), anchor="lb")
        draw.text((MARGIN, middle + 5), counts[label], FAINT, ImageFont.load_default(COUNT_SIZE), anchor="lt")
        for column, row in enumerate(generator.permutation(np.flatnonzero(labels == label))[:per_class]):
            enlarged = _as_image(dataset.train.pixels[row]).resize(tile, Image.Resampling.NEAREST)
            picture.paste(enlarged, (left + column * (tile[0] + GAP), y))
    return picture


PAIR_GAP = 2
PAIRS_A_ROW = 4


def pair_grid(dataset: Dataset, pairs: Sequence[Pair]) -> Image.Image:
    """A picture of pairs of images, `PAIRS_A_ROW` a row, with their places, classes and correlation below each.

    What is written below is darker where the labels contradict. Mirrored images are shown as they are. Raises
    BenchError where there is no pair.
    """
    if not pairs:
        raise BenchError("a picture of duplicates needs at least one pair")
    captions = [_caption(pair, dataset.classes) for pair in pairs]
    tile = _tile(dataset.image_shape)
    cell_width = max(2 * tile[0] + PAIR_GAP, *(_width(lines, COUNT_SIZE) for lines in captions)) + MARGIN
    cell_height = tile[1] + 3 * (COUNT_SIZE + GAP) + MARGIN
    title = f"{dataset.name}: identical and nearly identical images"
    columns, top = min(PAIRS_A_ROW, len(pairs)), MARGIN + TITLE_SIZE + MARGIN
    width = max(MARGIN + columns * cell_width, 2 * MARGIN + _width([title], TITLE_SIZE))
    picture = Image.new("RGB", (width, top + -(-len(pairs) // columns) * cell_height), PAPER)
    draw = ImageDraw.Draw(picture)
    draw.text((MARGIN, MARGIN), title, INK, ImageFont.load_default(TITLE_SIZE), anchor="lt")
    for number, (pair, caption) in enumerate(zip(pairs, captions, strict=True)):
        x, y = MARGIN + number % columns * cell_width, top + number // columns * cell_height
        for place, left in ((pair.first, x), (pair.second, x + tile[0] + PAIR_GAP)):
            images = dataset.test if place.split is Split.TEST else dataset.train
            picture.paste(_as_image(images.pixels[place.row]).resize(tile, Image.Resampling.NEAREST), (left, y))
        colour = INK if pair.conflicting else FAINT
        for line, text in enumerate(caption):
            at = (x, y + tile[1] + GAP + line * (COUNT_SIZE + GAP))
            draw.text(at, text, colour, ImageFont.load_default(COUNT_SIZE), anchor="lt")
    return picture


def _caption(pair: Pair, classes: Sequence[str]) -> tuple[str, str, str]:
    first, second = (place_in_words(place, classes) for place in (pair.first, pair.second))
    return first, second, nearness_in_words(pair)


def _tile(shape: ImageShape) -> tuple[int, int]:
    factor = max(1, -(-TILE // shape.height))
    return shape.width * factor, shape.height * factor


def _width(texts: Sequence[str], size: int) -> int:
    font = ImageFont.load_default(size)
    return math.ceil(max(font.getlength(text) for text in texts))


def _as_image(pixels: NDArray[np.uint8]) -> Image.Image:
    shown = pixels if pixels.shape[-1] == 3 else pixels[..., 0]
    return Image.fromarray(np.ascontiguousarray(shown)).convert("RGB")
