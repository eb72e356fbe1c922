"""A data set in numbers: counts, channel statistics and mean images; draws nothing."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from rich.table import Table
from rich.text import Text

from benchmark.preflight import parts_of
from benchmark.records import Dataset, Images, ImageShape, Split, SplitRows
from benchmark.wording import plural

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

    Exact, in one pass over chunks of images, so that memory-mapped pixels are never all in memory.
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
    for chunk in images.chunks(rows):
        for channel in range(channels):
            histograms[channel] += np.bincount(chunk.pixels[..., channel].ravel(), minlength=LEVELS)
    # of bytes the histogram is a complete summary: no rounding adds up, whatever the number of pixels
    levels = np.arange(LEVELS) / (LEVELS - 1)
    shares = histograms / np.maximum(histograms.sum(axis=1, keepdims=True), 1)
    means = shares @ levels
    variances = (shares * (levels - means[:, np.newaxis]) ** 2).sum(axis=1)
    counts = np.bincount(images.labels[rows], minlength=num_classes)
    return PartDescription(split, tuple(counts.tolist()), tuple(means.tolist()), tuple(np.sqrt(variances).tolist()))


def mean_images(images: Images, num_classes: int) -> NDArray[np.float64]:
    """The mean image of each class, (K, H, W, C) in 0..255; NaN for a class without images.

    Exact but for one rounding, in one pass as `describe`.
    """
    sums = np.zeros((num_classes, *images.pixels.shape[1:]), np.int64)
    for chunk in images.chunks():
        for label in np.unique(chunk.labels):
            sums[label] += chunk.pixels[chunk.labels == label].sum(axis=0, dtype=np.int64)
    counts = np.bincount(images.labels, minlength=num_classes)[:, np.newaxis, np.newaxis, np.newaxis]
    means: NDArray[np.float64] = np.divide(sums, counts, out=np.full(sums.shape, np.nan), where=counts > 0)
    return means


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
        # A class may be called "[small]", which rich would take for markup.
        table.add_row(Text(name), *(f"{part.class_counts[label]:,}" for part in description.parts))
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
