"""Pictures whose images are where they should be, as large as they should be, with words beside them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageChops

from benchmark.errors import BenchError
from benchmark.explore import mean_grid, pair_grid, pictures, sample_grid, suspect_grid
from benchmark.explore.layout import CELL_GAP, MOST_TILE, TILE
from benchmark.explore.pictures import MOST_SUSPECTS
from benchmark.preflight import Pair, Place, SuspectLabel
from benchmark.records import Dataset, Images, Split
from benchmark.tiles import GAP, PAPER

CLASSES = ("red", "green", "a much longer name")


def _dataset(channels: int = 3, rows: int = 60) -> Dataset:
    generator = np.random.default_rng(0)

    def part(rows: int) -> Images:
        pixels = generator.integers(0, 256, (rows, 4, 5, channels), np.uint8)
        pixels[..., 0] //= 2
        return Images(pixels, np.arange(rows) % 3)

    return Dataset("tiny", CLASSES, part(rows), part(31), "f" * 64)


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
    assert (green - red, last - blue) == (2 * TILE + CELL_GAP, 2 * TILE + CELL_GAP)
    below = picture[y + TILE + GAP :]
    assert (below[:, red:blue] < 60).all(axis=-1).any(), "contradicting labels are in ink"
    assert not (below[:, blue:] < 60).all(axis=-1).any(), "others are faint"


def test_a_picture_of_no_pairs_is_refused() -> None:
    with pytest.raises(BenchError, match="at least one pair"):
        pair_grid(_dataset(), [])


def test_mean_images_stand_over_their_names() -> None:
    dataset = _plain(4)
    dataset.train.pixels[:2, :, :, 0] = 100  # of four red ones
    picture = np.asarray(mean_grid(dataset))
    for colour in ((150, 0, 0), (0, 200, 0), (0, 0, 200)):
        ys, xs = np.nonzero((picture == colour).all(axis=-1))
        assert len(ys) == TILE * 2 * TILE
        below = picture[ys.max() + GAP :, xs.min() : xs.max()]
        assert (below < 60).all(axis=-1).any(), "its name is below"


def test_the_mean_of_gray_images_is_gray_and_a_class_without_images_has_none() -> None:
    gray = _dataset(channels=1)
    of_two = Images(gray.train.pixels[gray.train.labels < 2], gray.train.labels[gray.train.labels < 2])
    picture = np.asarray(mean_grid(Dataset("gray", CLASSES, of_two, gray.test, "f" * 64))).astype(int)
    coloured = np.ptp(picture, axis=-1) > 4
    assert not coloured.any()
    means = [of_two.pixels[of_two.labels == label].mean(axis=0)[..., 0] for label in (0, 1)]
    for mean in means:
        # 4 x 5 pixels, enlarged by 16
        for level in np.rint(mean).ravel():
            assert (picture[..., 0] == level).sum() >= 16 * 16


def test_suspect_labels_are_shown_with_the_image_of_their_part() -> None:
    dataset = _plain(4)
    dataset.test.pixels[5] = (0, 9, 200)
    suspects = [
        SuspectLabel(Place(Split.TEST, 5, 1), 2, 0.9, 0.05, 1.0),
        SuspectLabel(Place(Split.VAL, 3, 0), 1, 0.8, 0.1, 0.9),
    ]
    picture = np.asarray(suspect_grid(dataset, suspects))
    places = []
    for colour in ((0, 9, 200), (200, 0, 0)):
        ys, xs = np.nonzero((picture == colour).all(axis=-1))
        assert len(ys) == MOST_TILE * 2 * MOST_TILE
        places.append((ys.min(), xs.min()))
        below = picture[ys.max() + GAP :, xs.min() : xs.max()]
        assert (below < 60).all(axis=-1).any(), "what is said of it is below"
    assert places[0][0] == places[1][0]
    assert places[0][1] < places[1][1]
    many = np.asarray(suspect_grid(dataset, suspects * 100))
    assert (many == (0, 9, 200)).all(axis=-1).sum() == MOST_SUSPECTS // 2 * MOST_TILE * 2 * MOST_TILE
    with pytest.raises(BenchError, match="at least one"):
        suspect_grid(dataset, [])


def test_large_images_are_shrunk() -> None:
    labels = np.arange(3)
    pixels = np.full((3, 300, 200, 3), (9, 99, 199), np.uint8)
    images = Images(pixels, labels)
    picture = np.asarray(sample_grid(Dataset("large", CLASSES, images, images, "f" * 64), per_class=1))
    ys, xs = np.nonzero((picture == (9, 99, 199)).all(axis=-1))
    assert (np.bincount(ys) > 0).sum() == 3 * MOST_TILE
    assert xs.max() - xs.min() + 1 == round(200 * MOST_TILE / 300)


def test_of_many_classes_the_first_are_shown_and_the_title_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    titles: list[str] = []
    draw = pictures.draw_rows

    def noting(title: str, *rest: Any, **more: Any) -> Image.Image:
        titles.append(title)
        return draw(title, *rest, **more)

    monkeypatch.setattr(pictures, "draw_rows", noting)
    whole, part = (np.asarray(sample_grid(_plain(2), per_class=2, most_classes=most)) for most in (None, 1))
    assert part.shape[0] < whole.shape[0]
    assert (part == (200, 0, 0)).all(axis=-1).any()
    assert not (part == (0, 200, 0)).all(axis=-1).any()
    assert titles == [
        "plain: training images, 16 x 32 pixels",
        "plain: training images, 16 x 32 pixels, of the first 1 of 3 classes",
    ]
