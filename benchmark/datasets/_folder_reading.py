"""Image files as arrays of one size and one number of channels, and what is wrong with them; raises for no file."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image

from benchmark.datasets._folder_listing import ImageFile, Listing
from benchmark.datasets._memory import room_for
from benchmark.errors import BenchError
from benchmark.picture_files import as_seen, squeezed, why_unreadable
from benchmark.records import Images, ImageShape

FORMATS = ("BMP", "JPEG", "PNG", "PPM", "TIFF", "WEBP")
LONGEST_SIDE = 256
"""Pixels; larger images are shrunk. All are in memory, where those of 1,024 x 1,024 pixels would take 3 MB each."""
_GRAY = frozenset({"1", "L", "LA", "La", "I", "I;16", "I;16L", "I;16B"})
_TURNED = frozenset({5, 6, 7, 8})
"""Values of EXIF's orientation under which an image lies on its side."""


@dataclass(frozen=True)
class Look:
    """An image as its file has it, upright: height and width in pixels, and whether it is gray."""

    height: int
    width: int
    is_gray: bool


@dataclass(frozen=True)
class Unreadable:
    """A file that cannot be read, by its path from the root, and why."""

    path: str
    reason: str


@dataclass(frozen=True)
class Reading:
    """What the files of a folder were found to be, beside their pixels.

    `train_files`, `test_files`: the path of each image that was read, row by row. `usual`: the most common height and
    width of training images, to which `shape` is equal unless it was too large. `unusual`: paths of images of another
    size, with that size. `grays`: gray images that were read as coloured ones.
    """

    files: int
    train_files: tuple[str, ...]
    test_files: tuple[str, ...]
    usual: tuple[int, int]
    shape: ImageShape
    unreadable: tuple[Unreadable, ...]
    unusual: tuple[tuple[str, Look], ...]
    grays: int


def read_images(listing: Listing) -> tuple[Images, Images, Reading]:
    """The training and the test images that can be read, in the order of the listing, and what is wrong with the files.

    Size and channels are those of the training part: the most common size, and one channel where all are gray, else
    three. Where the longer side is more than `LONGEST_SIDE` pixels the size is reduced to it. Images of another size
    are resized to it, whatever their proportions, bilinearly with antialiasing. EXIF's orientation is honoured,
    transparent pixels are put on white, and 16 bits of gray become 8. Raises BenchError where no training image can be
    read, or memory for them is refused.
    """
    nothing = BenchError(f"none of the {len(listing.train):,} training images in {listing.root} can be read")
    with _quiet(), ThreadPoolExecutor() as pool:
        looks = [look for look in pool.map(lambda file: _look(listing.root / file.path), listing.train) if look]
        if not looks:
            raise nothing
        usual = _most_common([(look.height, look.width) for look in looks])
        channels = 1 if all(look.is_gray for look in looks) else 3
        shape = ImageShape(channels, *usual).within(LONGEST_SIDE)
        (train, of_train), (test, of_test) = (
            _read(listing.root, files, shape, pool) for files in (listing.train, listing.test)
        )
    if not len(train):
        raise nothing
    seen_in_train, seen_in_test = _seen(listing.train, of_train), _seen(listing.test, of_test)
    seen = [*seen_in_train, *seen_in_test]
    found = zip((*listing.train, *listing.test), (*of_train, *of_test), strict=True)
    reading = Reading(
        files=len(listing.train) + len(listing.test),
        train_files=tuple(path for path, _ in seen_in_train),
        test_files=tuple(path for path, _ in seen_in_test),
        usual=usual,
        shape=shape,
        unreadable=tuple(Unreadable(file.path, what) for file, what in found if isinstance(what, str)),
        unusual=tuple((path, look) for path, look in seen if (look.height, look.width) != usual),
        grays=sum(look.is_gray for _, look in seen) if shape.channels == 3 else 0,
    )
    return train, test, reading


def _seen(files: Sequence[ImageFile], outcomes: Sequence[Look | str]) -> list[tuple[str, Look]]:
    """The files that could be read, each with its look."""
    return [(file.path, what) for file, what in zip(files, outcomes, strict=True) if isinstance(what, Look)]


def _read(
    root: Path, files: Sequence[ImageFile], shape: ImageShape, pool: ThreadPoolExecutor
) -> tuple[Images, list[Look | str]]:
    """The images of those files that can be read, and of every file its look or the reason why it cannot."""
    pixels = room_for(len(files), shape, f"make the files in {root} smaller or fewer")

    def read(row: int) -> Look | str:
        try:
            pixels[row], look = _decoded(root / files[row].path, shape)
        except Exception as error:  # files are foreign bytes: whatever goes wrong with one, the others are read
            return why_unreadable(error)
        return look

    outcomes = list(pool.map(read, range(len(files))))
    labels = np.array([file.label for file in files], np.int64)
    is_read = np.array([isinstance(outcome, Look) for outcome in outcomes], bool)
    return Images(pixels, labels) if is_read.all() else Images(pixels[is_read], labels[is_read]), outcomes


def _decoded(path: Path, shape: ImageShape) -> tuple[NDArray[np.uint8], Look]:
    with Image.open(path, formats=FORMATS) as image:
        look = _look_of(image)
        # Of a photograph many times too large, JPEG decodes a smaller one in a fraction of the time.
        image.draft(None, (2 * max(shape.height, shape.width),) * 2)
        converted = as_seen(image, shape.channels)
    return np.asarray(squeezed(converted, shape)).reshape(shape.height, shape.width, shape.channels), look


def _look(path: Path) -> Look | None:
    """What the head of a file says; None where it cannot be read, of which reading it tells why."""
    try:
        with Image.open(path, formats=FORMATS) as image:
            return _look_of(image)
    except Exception:  # as for reading
        return None


def _look_of(image: Image.Image) -> Look:
    width, height = image.size
    # Of a TIFF, Pillow tells the size of the upright image.
    if image.format != "TIFF" and image.getexif().get(ExifTags.Base.Orientation) in _TURNED:
        width, height = height, width
    return Look(height, width, image.mode in _GRAY)


def _most_common(sizes: Sequence[tuple[int, int]]) -> tuple[int, int]:
    """Of several that are equally common the one of middle area: neither a thumbnail nor the one scan."""
    counts = Counter(sizes)
    most = max(counts.values())
    tied = sorted((size for size in counts if counts[size] == most), key=lambda size: (size[0] * size[1], size))
    return tied[len(tied) // 2]


@contextmanager
def _quiet() -> Iterator[None]:
    """Without Pillow's warnings on odd metadata; the one of an image that would fill the memory is an error."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        yield
