"""Images of a user's own, a folder for each class: read once, cached, memory-mapped; invents no pixel that is missing.

Layouts: PATH/train/CLASS/... and PATH/test/CLASS/...; or PATH/CLASS/..., from which a test part of 20 % is drawn.
"""

from __future__ import annotations

import hashlib
import os
import re
import shlex
from functools import partial
from pathlib import Path

import numpy as np

from benchmark.cache import Arrays, arrays_made_once, cache_folder
from benchmark.datasets import DATASETS, Inspection, Say
from benchmark.datasets._fingerprint import fingerprint_of
from benchmark.datasets._folder_listing import TEST_SEED, TEST_SHARE, Listing, list_images
from benchmark.datasets._folder_reading import Reading, read_images
from benchmark.errors import BenchError
from benchmark.records import SMALLEST_SIDE, Dataset, Images
from benchmark.wording import plural

READ_AS = "1"
"""Changes with what is made of the same files, so that the cache forgets what was made before."""
NAMED = 5


def inspect(folder: Path | None, say: Say) -> Inspection:
    """What can be read of a folder, and what is wrong with its files; nothing is cached.

    Raises BenchError where there is no data set in the folder, or none of its training images can be read.
    """
    listing = list_images(_named(folder))
    say(f"{_name(listing.root)}: reading {len(listing.train) + len(listing.test):,} files")
    train, test, reading = read_images(listing)
    dataset = Dataset(_name(listing.root), listing.classes, train, test, fingerprint_of(train, test))
    return Inspection(dataset, _in_words(listing, reading), reading.train_files, reading.test_files)


@DATASETS.register(
    "folder",
    space={},
    reference="images of the user's own, one folder per class as in torchvision.datasets.ImageFolder",
    inspect=inspect,
)
def folder(folder: Path | None, say: Say) -> Dataset:
    """The images in a folder: uint8 pixels of the size and channels that are usual there, memory-mapped.

    Named `folder-NAME` after it. Read again where a file was added, removed or changed. Raises BenchError where no
    folder is named, no data set is in it, a class has no training image, a file cannot be read, or the
    images are smaller than 8 pixels a side.
    """
    listing = list_images(_named(folder))
    if untrained := _untrained(listing):
        raise BenchError(
            f"{listing.root / 'train'} has no image of {_some(untrained)}, which {listing.root / 'test'} has: no model "
            "could have them right; add some, or remove them"
        )
    name = _name(listing.root)
    place = hashlib.sha256(os.fsencode(listing.root)).hexdigest()[:16]
    key = f"{READ_AS}-{listing.key}"
    arrays = arrays_made_once(cache_folder() / "folder" / place, key, partial(_whole, listing, say), say)
    train = Images(arrays["train_pixels"], arrays["train_labels"])
    test = Images(arrays["test_pixels"], arrays["test_labels"])
    height, width = train.pixels.shape[1:3]
    if min(height, width) < SMALLEST_SIDE:
        raise BenchError(
            f"images of {height} x {width} pixels are too small to train on: each side needs at least {SMALLEST_SIDE}"
        )
    return Dataset(name, listing.classes, train, test, arrays["fingerprint"].tobytes().hex())


def _named(folder: Path | None) -> Path:
    if folder is None:
        raise BenchError("the data set folder is images of your own; name where they are: --data PATH")
    return folder.resolve()


def _name(root: Path) -> str:
    """Never that of another data set, whatever the folder is called."""
    safe = re.sub(r"[^\w.-]", "_", root.name)
    return f"folder-{safe}"


def _untrained(listing: Listing) -> list[str]:
    """Classes that test alone has."""
    trained = {file.label for file in listing.train}
    return [name for label, name in enumerate(listing.classes) if label not in trained]


def _whole(listing: Listing, say: Say, _scratch: Path) -> Arrays:
    """All images of a folder. Raises BenchError where one cannot be read."""
    name = _name(listing.root)
    say(f"{name}: reading {len(listing.train) + len(listing.test):,} files")
    train, test, reading = read_images(listing)
    if reading.unreadable:
        raise BenchError(
            f"{_unreadable(reading)} in {listing.root}; remove or replace them; all that is wrong: "
            f"bench data show folder --data {shlex.quote(str(listing.root))}"
        )
    for sentence in _in_words(listing, reading):
        say(f"{name}: {sentence}")
    return {
        "train_pixels": train.pixels,
        "train_labels": train.labels,
        "test_pixels": test.pixels,
        "test_labels": test.labels,
        "fingerprint": np.frombuffer(bytes.fromhex(fingerprint_of(train, test)), np.uint8),
    }


def _in_words(listing: Listing, reading: Reading) -> tuple[str, ...]:
    """What the files are, and what is wrong with them."""
    shape, sentences = reading.shape, []
    if reading.unreadable:
        sentences.append(f"{_unreadable(reading)}; they are left out here, and training refuses them.")
    height, width = reading.usual
    if (height, width) != (shape.height, shape.width):
        sentences.append(f"All images are shrunk from {height} x {width} to {shape.height} x {shape.width} pixels.")
    if reading.unusual:
        sizes = [f"{path} ({look.height} x {look.width})" for path, look in reading.unusual]
        what = plural(len(sizes), "image")
        sentences.append(f"Of another size than {height} x {width} pixels, resized: {what}, {_some(sizes)}.")
    if reading.grays:
        sentences.append(f"Gray among coloured ones, read as RGB: {plural(reading.grays, 'image')}.")
    if listing.empty:
        sentences.append(f"Folders without any image, which are no classes: {_some(listing.empty)}.")
    if listing.passed_over:
        sentences.append(f"Passed over, {len(listing.passed_over):,} in all: {_some(listing.passed_over)}.")
    if not listing.is_divided:
        sentences.append(f"No train/ and test/: test is {100 * TEST_SHARE:.0f} % of each class, by seed {TEST_SEED}.")
    size = (reading.files - len(reading.unreadable)) * shape.height * shape.width * shape.channels
    sentences.append(
        f"In memory images of {shape.height} x {shape.width} pixels take {size / 1e6:,.1f} MB: once on a CPU, and in "
        "every worker on a GPU."
    )
    return tuple(sentences)


def _unreadable(reading: Reading) -> str:
    named = [f"{one.path} ({one.reason})" for one in reading.unreadable]
    return f"{len(named):,} of {plural(reading.files, 'file')} cannot be read: {_some(named)}"


def _some(items: tuple[str, ...] | list[str]) -> str:
    more = f" and {len(items) - NAMED:,} more" if len(items) > NAMED else ""
    return ", ".join(items[:NAMED]) + more
