"""Descriptions against plain NumPy, and a sample picture whose tiles are where they should be."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageChops
from rich.console import Console

from benchmark.errors import BenchError
from benchmark.explore import CHUNK_ROWS, GAP, PAIR_GAP, PAPER, TILE, describe, pair_grid, sample_grid, to_table
from benchmark.preflight import Pair, Place
from benchmark.records import Dataset, Images, Split
from benchmark.splits import stratified_split

CLASSES = ("red", "green", "a much longer name")


def _dataset(channels: int = 3, rows: int = 60) -> Dataset:
    generator = np.random.default_rng(0)

    def part(rows: int) -> Images:
        pixels = generator.integers(0, 256, (rows, 4, 5, channels), np.uint8)
        pixels[..., 0] //= 2
        return Images(pixels, np.arange(rows) % 3)

    return Dataset("tiny", CLASSES, part(rows), part(31), "f" * 64)


def test_statistics_agree_with_numpy_over_several_chunks() -> None:
    dataset = _dataset(rows=2 * CHUNK_ROWS + 7)
    train, test = describe(dataset).parts
    for part, images in ((train, dataset.train), (test, dataset.test)):
        scaled = images.pixels / 255
        np.testing.assert_allclose(part.channel_means, scaled.mean(axis=(0, 1, 2)), rtol=1e-12)
        np.testing.assert_allclose(part.channel_stds, scaled.std(axis=(0, 1, 2)), rtol=1e-12)
        assert part.class_counts == tuple(np.bincount(images.labels))
        assert part.rows == len(images)


def test_a_divided_training_part_is_described_in_two() -> None:
    dataset = _dataset()
    rows = stratified_split(dataset.train.labels, 12, seed=0)
    train, val, test = describe(dataset, rows).parts
    assert [part.split for part in (train, val, test)] == [Split.TRAIN, Split.VAL, Split.TEST]
    assert (train.class_counts, val.class_counts, test.class_counts) == ((16, 16, 16), (4, 4, 4), (11, 10, 10))
    np.testing.assert_allclose(val.channel_means, (dataset.train.pixels[rows.val] / 255).mean(axis=(0, 1, 2)))


@pytest.mark.parametrize(("channels", "names"), [(1, ["gray"]), (2, ["channel 0", "channel 1"]), (3, ["red", "blue"])])
def test_the_table_shows_classes_counts_and_statistics(channels: int, names: list[str]) -> None:
    description = describe(_dataset(channels))
    console = Console(width=100)
    with console.capture() as capture:
        console.print(to_table(description))
    text = capture.get()
    train = description.parts[0]
    expected = [*CLASSES, "60", "31", f"{train.channel_means[0]:.4f} ± {train.channel_stds[0]:.4f}"]
    for words in (*expected, *(f"{name}, mean" for name in names), "4 x 5 pixels"):
        assert words in text


def _plain(rows_per_class: int) -> Dataset:
    """Images in one colour each, by class; 16 x 32 pixels."""
    labels = np.repeat(np.arange(3), rows_per_class)
    colours = np.array([(200, 0, 0), (0, 200, 0), (0, 0, 200)], np.uint8)
    pixels = np.broadcast_to(colours[labels][:, None, None], (len(labels), 16, 32, 3)).copy()
    images = Images(pixels, labels)
    return Dataset("plain", CLASSES, images, images, "f" * 64)


def test_each_class_has_its_row_of_enlarged_images() -> None:
    picture = np.asarray(sample_grid(_plain(5), per_class=4))
    for label in range(3):
        colour = [200 * (channel == label) for channel in range(3)]
        ys, xs = np.nonzero((picture == colour).all(axis=-1))
        assert len(ys) == 4 * TILE * 2 * TILE
        assert ys.max() - ys.min() + 1 == TILE
        assert xs.max() - xs.min() + 1 == 4 * 2 * TILE + 3 * GAP
        names = picture[ys.min() : ys.max(), : xs.min()]
        assert (names.min(axis=(0, 2)) < 100).any(), "its name is at the left"
        assert (names[:, -1] == PAPER).all(), "and does not run into the images"


def test_a_class_with_fewer_images_leaves_the_rest_empty() -> None:
    picture = np.asarray(sample_grid(_plain(2), per_class=4))
    assert (picture == (200, 0, 0)).all(axis=-1).sum() == 2 * TILE * 2 * TILE


def test_a_seed_chooses_the_images() -> None:
    dataset = _dataset()

    def differ(one: Image.Image, other: Image.Image) -> bool:
        return ImageChops.difference(one, other).getbbox() is not None

    assert not differ(sample_grid(dataset, 3, seed=1), sample_grid(dataset, 3, seed=1))
    assert differ(sample_grid(dataset, 3, seed=1), sample_grid(dataset, 3, seed=2))


@pytest.mark.parametrize("channels", [1, 2, 4])
def test_other_channels_are_shown_in_gray(channels: int) -> None:
    picture = np.asarray(sample_grid(_dataset(channels), per_class=2)).astype(int)
    tiles = picture[-TILE:, -2 * TILE :]
    assert np.ptp(tiles) > 100
    assert (np.ptp(tiles, axis=-1) <= 2).all()


def test_no_images_per_class_is_refused() -> None:
    with pytest.raises(BenchError, match="at least one"):
        sample_grid(_dataset(), per_class=0)


def test_the_images_of_a_pair_stand_side_by_side() -> None:
    dataset = _plain(2)
    dataset.test.pixels[5] = (0, 9, 200)
    pairs = [
        Pair(Place(Split.TRAIN, 0, 0), Place(Split.TEST, 2, 1), 0.97),
        Pair(Place(Split.VAL, 4, 2), Place(Split.TEST, 5, 2), 1.0, identical=True),
    ]
    picture = np.asarray(pair_grid(dataset, pairs))
    places = []
    for colour in ((200, 0, 0), (0, 200, 0), (0, 0, 200), (0, 9, 200)):
        ys, xs = np.nonzero((picture == colour).all(axis=-1))
        assert len(ys) == TILE * 2 * TILE
        places.append((xs.min(), ys.min()))
    (red, y), (green, _), (blue, _), (last, _) = places
    assert {place[1] for place in places} == {y}
    assert (green - red, last - blue) == (2 * TILE + PAIR_GAP, 2 * TILE + PAIR_GAP)
    below = picture[y + TILE + GAP :]
    assert (below[:, red:blue] < 60).all(axis=-1).any(), "contradicting labels are in ink"
    assert not (below[:, blue:] < 60).all(axis=-1).any(), "others are faint"


def test_a_picture_of_no_pairs_is_refused() -> None:
    with pytest.raises(BenchError, match="at least one pair"):
        pair_grid(_dataset(), [])
