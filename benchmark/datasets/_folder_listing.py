"""Which image files a user's folder has, of which class and part; opens none of them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmark.errors import BenchError
from benchmark.splits import stratified_split

SUFFIXES = frozenset({".bmp", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"})
"""Of image files; whatever else lies in a folder is passed over."""
TEST_SHARE, TEST_SEED = 0.2, 0
"""The test part of a folder that has none; changing either makes a different data set of it."""


@dataclass(frozen=True)
class ImageFile:
    """A file, by its path from the root with forward slashes, and the number of its class."""

    path: str
    label: int


@dataclass(frozen=True)
class Listing:
    """The files of each part, class by class in the order of their paths, and what does not belong to them.

    `empty`: folders in the place of a class that have no image, and are none. `passed_over`: files and folders that are
    not taken for part of the data set.
    """

    root: Path
    classes: tuple[str, ...]
    train: tuple[ImageFile, ...]
    test: tuple[ImageFile, ...]
    is_divided: bool
    """Whether the folder itself has the parts; else test was drawn."""
    empty: tuple[str, ...]
    passed_over: tuple[str, ...]

    @property
    def key(self) -> str:
        """SHA-256 (hex) of classes, parts and paths with sizes and times of change: the same while nothing changes."""
        digest = hashlib.sha256("\n".join(self.classes).encode())
        for files in (self.train, self.test):
            for file in files:
                path = self.root / file.path
                facts = path.stat() if path.exists() else path.lstat()
                digest.update(f"\n{file.label}\t{file.path}\t{facts.st_size}\t{facts.st_mtime_ns}".encode())
            digest.update(b"\n")
        return digest.hexdigest()


def list_images(root: Path) -> Listing:
    """What is at ROOT/train/CLASS and ROOT/test/CLASS at any depth; or at ROOT/CLASS, with a test part drawn from it.

    A test part that is drawn has `TEST_SHARE` of every class by `stratified_split`. Classes are in the order of their
    names; what is hidden (.NAME) is ignored. Raises BenchError where there are no two classes with images, or too few
    of one to draw from.
    """
    if not root.is_dir():
        raise BenchError(f"{root} is not a folder; --data names one that has a folder of images for each class")
    parts = [root / "train", root / "test"]
    is_divided = all(part.is_dir() for part in parts)
    if not is_divided and any(_folders(part) for part in parts):
        raise BenchError(
            f"{root} has only one of train/ and test/; add the other, or put the folders of classes beside"
        )
    by_part = [_by_class(root, part) for part in (parts if is_divided else [root])]
    names = sorted({name for by_class in by_part for name in by_class})
    classes = tuple(name for name in names if any(by_class.get(name) for by_class in by_part))
    if len(classes) < 2:
        found = f"only {classes[0]!r}" if classes else "none"
        raise BenchError(f"{root} needs folders with images of at least two classes, and has {found}")
    files = [
        [ImageFile(path, label) for label, name in enumerate(classes) for path in by_class.get(name, ())]
        for by_class in by_part
    ]
    train, test = files if is_divided else _drawn(root, classes, files[0])
    if not train or not test:
        raise BenchError(f"{root / ('test' if train else 'train')} has no image in any folder of a class")
    return Listing(
        root=root,
        classes=classes,
        train=tuple(train),
        test=tuple(test),
        is_divided=is_divided,
        empty=tuple(name for name in names if name not in classes),
        passed_over=tuple(_passed_over(root, parts if is_divided else [root])),
    )


def _drawn(root: Path, classes: tuple[str, ...], files: list[ImageFile]) -> tuple[list[ImageFile], list[ImageFile]]:
    labels = np.array([file.label for file in files])
    try:
        rows = stratified_split(labels, TEST_SHARE, TEST_SEED)
    except BenchError:
        counts = np.bincount(labels)
        fewest = int(counts.argmin())
        raise BenchError(
            f"{root} has too few images of {classes[fewest]!r} ({counts[fewest]}) to draw a test part of "
            f"{100 * TEST_SHARE:.0f} %; add some, or divide the images into train/ and test/ yourself"
        ) from None
    return [files[row] for row in rows.train], [files[row] for row in rows.val]


def _by_class(root: Path, part: Path) -> dict[str, list[str]]:
    """Paths of images from the root in order, by the name of their class; none for an empty folder."""
    return {
        folder.name: [path.relative_to(root).as_posix() for path in _files(folder) if _is_image(path)]
        for folder in _folders(part)
    }


def _passed_over(root: Path, parts: list[Path]) -> Iterator[str]:
    """Other files in the folders of classes, images outside of them, and folders beside those of the parts."""
    for part in parts:
        yield from (path.relative_to(root).as_posix() for path in _visible(part) if _is_image(path))
        for folder in _folders(part):
            yield from (path.relative_to(root).as_posix() for path in _files(folder) if not _is_image(path))
    if parts != [root]:
        yield from (f"{folder.name}/" for folder in _folders(root) if folder not in parts)
        yield from (path.name for path in _visible(root) if _is_image(path))


def _is_image(path: Path) -> bool:
    return path.suffix.lower() in SUFFIXES and not path.is_dir()


def _folders(place: Path) -> list[Path]:
    return [path for path in _visible(place) if path.is_dir()]


def _visible(place: Path) -> list[Path]:
    return sorted(path for path in place.iterdir() if not path.name.startswith(".")) if place.is_dir() else []


def _files(folder: Path) -> list[Path]:
    """All files at any depth that are not hidden, in the order of their paths; a link that leads nowhere is one."""
    found = (path for path in folder.rglob("*") if not path.is_dir())
    return sorted(path for path in found if not any(name[0] == "." for name in path.relative_to(folder).parts))
