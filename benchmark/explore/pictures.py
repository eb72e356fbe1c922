"""Pictures of a data set: samples, mean images, duplicates and suspect labels; finds nothing itself."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image

from benchmark.errors import BenchError
from benchmark.explore.layout import MOST_TILE, Cell, Row, draw_cells, draw_rows
from benchmark.explore.numbers import mean_images
from benchmark.preflight import Pair, SuspectLabel, nearness_in_words, place_in_words
from benchmark.records import Dataset, Images, Split
from benchmark.wording import plural

PAIRS_A_ROW = 4
MEANS_A_ROW = 5
SUSPECTS_A_ROW = 8
MOST_SUSPECTS = 40


def sample_grid(dataset: Dataset, per_class: int = 10, seed: int = 0, most_classes: int | None = None) -> Image.Image:
    """A picture with `per_class` training images of each class, one class a row, its name and size at the left.

    Of more than `most_classes` it shows the first so many, and says so.

    The images are drawn without replacement by `seed`; a class that has fewer leaves the rest of its row empty. Images
    of other than 3 channels are shown by their first, in gray. Raises BenchError where `per_class` is less than 1.
    """
    if per_class < 1:
        raise BenchError(f"a picture needs at least one image per class, not {per_class}")
    shape, labels = dataset.image_shape, dataset.train.labels
    generator = np.random.default_rng(seed)
    rows = []
    for label, name in enumerate(dataset.classes[:most_classes]):
        of_class = np.flatnonzero(labels == label)
        shown = generator.permutation(of_class)[:per_class]
        rows.append(Row(name, plural(len(of_class), "image"), [dataset.train.pixels[row] for row in shown]))
    title = f"{dataset.name}: training images, {shape.height} x {shape.width} pixels"
    if len(rows) < len(dataset.classes):
        title += f", of the first {len(rows)} of {len(dataset.classes):,} classes"
    return draw_rows(title, rows, shape, columns=per_class)


def mean_grid(dataset: Dataset) -> Image.Image:
    """A picture with the mean training image of each class, `MEANS_A_ROW` a row; a class without images has none."""
    counts = np.bincount(dataset.train.labels, minlength=len(dataset.classes))
    means = mean_images(dataset.train, len(dataset.classes))
    cells = [
        Cell([np.rint(mean).astype(np.uint8)] if count else [], [name, plural(count, "image")])
        for name, count, mean in zip(dataset.classes, counts.tolist(), means, strict=True)
    ]
    title = f"{dataset.name}: mean training image of each class"
    return draw_cells(title, cells, dataset.image_shape, columns=MEANS_A_ROW)


def pair_grid(dataset: Dataset, pairs: Sequence[Pair]) -> Image.Image:
    """A picture of pairs of images, `PAIRS_A_ROW` a row, with their places, classes and correlation below each.

    What is written below is darker where the labels contradict. Mirrored images are shown as they are. Raises
    BenchError where there is no pair.
    """
    if not pairs:
        raise BenchError("a picture of duplicates needs at least one pair")
    cells = []
    for pair in pairs:
        places = (pair.first, pair.second)
        images = [_part(dataset, place.split).pixels[place.row] for place in places]
        words = [place_in_words(place, dataset.classes) for place in places]
        cells.append(Cell(images, [*words, nearness_in_words(pair)], stressed=pair.conflicting))
    title = f"{dataset.name}: identical and nearly identical images"
    return draw_cells(title, cells, dataset.image_shape, columns=PAIRS_A_ROW)


def suspect_grid(dataset: Dataset, suspects: Sequence[SuspectLabel]) -> Image.Image:
    """A picture of the first `MOST_SUSPECTS` images whose labels models contradict, with what they say below each.

    Probabilities are of the suggested class and of the label. Raises BenchError where there is none.
    """
    if not suspects:
        raise BenchError("a picture of suspect labels needs at least one")
    cells = []
    for suspect in suspects[:MOST_SUSPECTS]:
        label, suggested = (dataset.classes[number] for number in (suspect.place.label, suspect.suggested))
        place = suspect.place
        lines = (
            f"{place.split} {place.row}",
            f"label {label}, {suspect.label_probability:.2f}",
            f"rather {suggested}, {suspect.probability:.2f}",
            f"say {100 * suspect.agreement:.0f} % of the models",
        )
        cells.append(Cell([_part(dataset, place.split).pixels[place.row]], lines))
    title = f"{dataset.name}: labels that models contradict, the most suspicious first"
    return draw_cells(title, cells, dataset.image_shape, columns=SUSPECTS_A_ROW, least=MOST_TILE)


def _part(dataset: Dataset, split: Split) -> Images:
    return dataset.test if split is Split.TEST else dataset.train
