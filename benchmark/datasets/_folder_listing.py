"""Which image files a user's folder has, of which class and part; opens none of them."""

from __future__ import annotations

import hashlib
import itertools
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmark.errors import BenchError
from benchmark.splits import stratified_split

SUFFIXES = frozenset({".bmp", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"})
"""Of image files; whatever else lies in a folder is passed over."""
TEST_SHARE, TEST_SEED = 0.2, 0
"""The test part of a folder that has none; changing either makes a different data set of it."""
_NAMES_OF_PARTS = frozenset({"test", "testing", "train", "training", "val", "valid", "validation"})


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
                facts = _facts(f"{self.root}/{file.path}")
                digest.update(f"\n{file.label}\t{file.path}\t{facts.st_size}\t{facts.st_mtime_ns}".encode())
            digest.update(b"\n")
        return digest.hexdigest()


def _facts(path: str) -> os.stat_result:
    """Of what a link leads to, or else of the link itself. Raises BenchError where neither may be looked at."""
    try:
        return os.stat(path)  # noqa: PTH116 - of 100,000 files
    except OSError:
        pass
    try:
        return os.lstat(path)
    except OSError as error:
        raise BenchError(f"cannot read {path}: {error.strerror}") from error


def list_images(root: Path) -> Listing:
    """What is at ROOT/train/CLASS and ROOT/test/CLASS at any depth; or at ROOT/CLASS, with a test part drawn from it.

    A test part that is drawn has `TEST_SHARE` of every class by `stratified_split`, whichever have the smallest SHA-256
    of `TEST_SEED` and their path: where a file comes or goes, one other of each class at most changes parts. Classes
    are in the order of their names; what is hidden (.NAME) is ignored. Raises BenchError where there are no two classes
    with images, too few of one to draw from, or parts by other names.
    """
    _refuse_no_text(root.parent, root.name)
    if not root.is_dir():
        raise BenchError(f"{root} is not a folder; --data names one that has a folder of images for each class")
    parts = [root / "train", root / "test"]
    is_divided = all(part.is_dir() for part in parts)
    if not is_divided:
        _refuse_parts(root)
    by_part, others = zip(*(_by_class(root, part) for part in (parts if is_divided else [root])), strict=True)
    if is_divided:
        others += ([f"{folder.name}/" for folder in _folders(root) if folder not in parts], _strays(root, root))
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
        passed_over=tuple(itertools.chain(*others)),
    )


def _refuse_parts(root: Path) -> None:
    """Raises BenchError where folders of an undivided root have the names of parts, and folders inside."""
    named = [folder.name for folder in _folders(root) if folder.name.casefold() in _NAMES_OF_PARTS and _folders(folder)]
    if others := [f"{name}/" for name in named if name not in ("train", "test")]:
        raise BenchError(
            f"{root} has {' and '.join(others)} with folders inside, as if they were parts; the two parts of a data "
            "set are called train/ and test/"
        )
    if named:
        raise BenchError(
            f"{root} has only one of train/ and test/; add the other, or put the folders of classes into {root} itself"
        )


def _drawn(root: Path, classes: tuple[str, ...], files: list[ImageFile]) -> tuple[list[ImageFile], list[ImageFile]]:
    labels = np.array([file.label for file in files])
    try:
        rows = stratified_split(labels, TEST_SHARE, TEST_SEED, keys=np.array([_key_of(file) for file in files]))
    except BenchError:
        counts = np.bincount(labels)
        fewest = int(counts.argmin())
        raise BenchError(
            f"{root} has too few images of {classes[fewest]!r} ({counts[fewest]}) to draw a test part of "
            f"{100 * TEST_SHARE:.0f} %; add some, or divide the images into train/ and test/ yourself"
        ) from None
    return [files[row] for row in rows.train], [files[row] for row in rows.val]


def _key_of(file: ImageFile) -> np.uint64:
    """A file's place in the draw, by its path alone: one that comes or goes leaves the others where they were."""
    return np.uint64(int.from_bytes(hashlib.sha256(f"{TEST_SEED}/{file.path}".encode()).digest()[:8], "big"))


def _by_class(root: Path, part: Path) -> tuple[dict[str, list[str]], list[str]]:
    """Images by the name of their class, none for an empty folder, and what is passed over: paths from the root."""
    by_class: dict[str, list[str]] = {}
    others = _strays(root, part)
    for folder in _folders(part):
        files = _files(root, folder)
        by_class[folder.name] = [path for path in files if _is_image(path)]
        others += [path for path in files if not _is_image(path)]
    return by_class, others


def _strays(root: Path, place: Path) -> list[str]:
    """Images where folders should be."""
    return [path.relative_to(root).as_posix() for path in _visible(place) if _is_image(path.name) and path.is_file()]


def _is_image(path: str) -> bool:
    return os.path.splitext(path)[1].lower() in SUFFIXES  # noqa: PTH122 - of 100,000 paths


def _folders(place: Path) -> list[Path]:
    return [path for path in _visible(place) if path.is_dir()]


def _visible(place: Path) -> list[Path]:
    try:
        found = sorted(path for path in place.iterdir() if not path.name.startswith(".")) if place.is_dir() else []
    except OSError as error:
        _refuse(error)
        raise
    for path in found:
        _refuse_no_text(place, path.name)
    return found


def _files(root: Path, folder: Path) -> list[str]:
    """Paths from the root of all files at any depth that are not hidden, in order.

    A link to nowhere is one of them, and so is a link to a folder, which is not followed. Raises BenchError where a
    folder cannot be read.
    """
    found = []
    for place, folders, files in os.walk(folder, onerror=_refuse):
        folders[:] = [name for name in folders if not name.startswith(".")]
        inside = Path(place).relative_to(root).as_posix()
        links = [f"{name}/" for name in folders if os.path.islink(f"{place}/{name}")]  # noqa: PTH114 - of 100,000 paths
        found += [f"{inside}/{name}" for name in (*files, *links) if not name.startswith(".")]
    for path in found:
        _refuse_no_text(root, path)
    return sorted(found)


def _refuse(error: OSError) -> None:
    raise BenchError(f"cannot read the folder {error.filename}: {error.strerror}")


def _refuse_no_text(place: Path, path: str) -> None:
    """Raises BenchError for what cannot be written: names of another encoding have halves of characters in them."""
    try:
        path.encode()
    except UnicodeEncodeError:
        raise BenchError(
            f"{str(place)!a} has a file or folder whose name is no valid text: {path!a}; rename it"
        ) from None
