"""CIFAR-10, whatever source it comes from: verified by checksum, cached once, memory-mapped; no download code here."""

from __future__ import annotations

import hashlib
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from benchmark.cache import Arrays, arrays_made_once, cache_folder
from benchmark.datasets import DATASETS, Say
from benchmark.datasets._cifar10_forms import FORMS, Parts
from benchmark.datasets._cifar10_sources import DOWNLOADS, Source, SourceError, local_sources
from benchmark.errors import BenchError
from benchmark.records import Dataset, Images

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


@dataclass(frozen=True)
class Published:
    """What the true data hash to.

    `checksums`: SHA-256 (hex) of each array's bytes in official order, pixels uint8 (N, 32, 32, 3), labels uint8.
    `fingerprint`: `fingerprint_of` the same arrays, a constant so that loading need not hash.
    """

    checksums: Mapping[str, str]
    fingerprint: str


PUBLISHED = Published(
    MappingProxyType(
        {
            "train_pixels": "47af8b02cfcfb6cdf3dbbd1969ad7f1b70f4413f6f80f437b020ee4e5bc8304a",
            "train_labels": "2b7cd2f24487317614016b72ffd53071c3062f592f0eb300c18a770d41ae1253",
            "test_pixels": "f9b1e2130bab680db56eb06d886f7f1ad0f1183907ceff4659d1735c890f5b04",
            "test_labels": "cec8a24a1e92aa2ecaa0bbd3dbfa86bf6cd8759fbd209a832824c8cf0afca9d5",
        }
    ),
    fingerprint="dcc4a19296d7d7ec70cdb65713baafe0b86acaa4b4c31221c656a0a138fb06a3",
)


@DATASETS.register(
    "cifar10", space={}, reference="Krizhevsky 2009, Learning Multiple Layers of Features from Tiny Images"
)
def cifar10(folder: Path | None, say: Say) -> Dataset:
    """50,000 training and 10,000 test images (32, 32, 3) in 10 classes; pixels are read-only and memory-mapped.

    Taken from the cache; else from a published form in `folder` or in the cache's own folder, packed or unpacked; else
    by download. Raises BenchError where `folder` holds no published form or no source gives the published bytes.
    """
    return load(folder, say, cache_folder() / "cifar10", DOWNLOADS, PUBLISHED)


def load(folder: Path | None, say: Say, home: Path, downloads: Sequence[Source], published: Published) -> Dataset:
    """The data set that `published` describes, from the cache in `home` or else the first source that has it.

    A folder that the user names is the only source tried. It must hold the data even when the cache does, which is then
    read in its place: by checksum both have the same bytes.
    """
    sources = local_sources(folder or home)
    if folder is None:
        sources += tuple(downloads)
    elif not sources:
        raise BenchError(
            f"no CIFAR-10 in {folder}: expected one of {_known_forms()}; for images of your own name the data set "
            "folder"
        )
    cached = home / published.fingerprint[:16]
    arrays = arrays_made_once(cached, published.fingerprint, partial(_first_true, sources, published, say), say)
    say(f"cifar10: cached in {cached}")
    train = Images(arrays["train_pixels"], arrays["train_labels"])
    test = Images(arrays["test_pixels"], arrays["test_labels"])
    return Dataset("cifar10", CLASSES, train, test, published.fingerprint)


def _first_true(sources: Sequence[Source], published: Published, say: Say, scratch: Path) -> Arrays:
    reasons = []
    for number, source in enumerate(sources):
        say(f"cifar10: trying {source.title}")
        own_scratch = scratch / str(number)
        started = time.perf_counter()
        try:
            own_scratch.mkdir()
            arrays = _verified(source.fetch(own_scratch), published)
        except Exception as error:  # a source is foreign code and foreign bytes: whatever goes wrong, the next is tried
            reason = " ".join(str(error).split()) or type(error).__name__
            say(f"cifar10: gave up on it after {time.perf_counter() - started:.1f} s: {reason}")
            reasons.append(f"{source.title}: {reason}")
            # On a disk that is full, what is left of it would be in the way of the next.
            shutil.rmtree(own_scratch, ignore_errors=True)
        else:
            say(f"cifar10: verified, {time.perf_counter() - started:.1f} s")
            return arrays
    raise BenchError(
        f"CIFAR-10 cannot be had ({'; '.join(reasons) or 'no source'}); "
        f"put one of {_known_forms()} into a folder and name that folder"
    )


def _verified(parts: Parts, published: Published) -> Arrays:
    train, test = parts
    given: Arrays = {
        "train_pixels": train.pixels,
        "train_labels": train.labels,
        "test_pixels": test.pixels,
        "test_labels": test.labels,
    }
    arrays: dict[str, NDArray[np.uint8] | NDArray[np.int64]] = {}
    for name, expected in published.checksums.items():
        hashed = np.ascontiguousarray(given[name], np.uint8)
        found = hashlib.sha256(hashed.data).hexdigest()
        if found != expected:
            what = name.replace("_", " ")
            raise SourceError(f"its {what} are not the published ones (SHA-256 {found[:8]}…, not {expected[:8]}…)")
        # kept is what was hashed: a label of 259 would hash like 3
        arrays[name] = hashed.astype(np.int64) if name.endswith("labels") else hashed
    return arrays


def _known_forms() -> str:
    return ", ".join(f"{form.archive} or {form.folder}/" for form in FORMS)
