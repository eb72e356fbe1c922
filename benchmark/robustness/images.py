"""Where corrupted test images come from: made here, or the published arrays of CIFAR-10-C; asks no network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from benchmark.corruptions import SEVERITIES, corrupted, corruption_names
from benchmark.errors import BenchError
from benchmark.records import Images

DOWNLOAD = "https://zenodo.org/record/2535967"


class CorruptedImages(Protocol):
    """Some test images under every corruption and severity."""

    @property
    def source(self) -> str:
        """Whose images they are, for people."""

    @property
    def rows(self) -> NDArray[np.int64]:
        """Which test images, (N,)."""

    def of(self, corruption: str, severity: int) -> NDArray[np.uint8]:
        """The images (N, H, W, C), always in the same order."""


@dataclass(frozen=True, eq=False)
class MadeImages:
    """Test images that this program corrupts when they are asked for."""

    test: Images
    rows: NDArray[np.int64]
    """Which of them, (N,)."""
    seed: int

    @property
    def source(self) -> str:
        """Whose images they are, for people."""
        return f"made here with seed {self.seed} and the severities of CIFAR-10-C; not its published arrays"

    def of(self, corruption: str, severity: int) -> NDArray[np.uint8]:
        """The images (N, H, W, C), always in the same order."""
        return corrupted(self.test.pixels[self.rows], corruption, severity, seed=self.seed)


@dataclass(frozen=True, eq=False)
class PublishedImages:
    """Rows of published arrays, one array for each corruption and in it one block for each severity."""

    folder: Path
    arrays: Mapping[str, NDArray[np.uint8]]
    """By corruption, (S * T, H, W, C) with T the number of test images."""
    rows: NDArray[np.int64]
    """Which of them, (N,) in 0..T-1."""

    @property
    def source(self) -> str:
        """Whose images they are, for people."""
        return f"read from {self.folder.name}, in the form in which CIFAR-10-C is published"

    def of(self, corruption: str, severity: int) -> NDArray[np.uint8]:
        """The images (N, H, W, C), always in the same order."""
        array = self.arrays[corruption]
        first = (severity - 1) * (len(array) // len(SEVERITIES))
        return np.asarray(array[first + self.rows])


def read_published(folder: Path, test: Images, rows: NDArray[np.int64]) -> PublishedImages:
    """The arrays NAME.npy of the 15 corruptions in `folder`, memory-mapped, for the test images of these rows.

    Of form and order of CIFAR-10-C (zenodo.org/record/2535967): uint8, the test images five times over, mildest first,
    and labels.npy with their labels. Other files are left alone. Raises BenchError where arrays are missing or are of
    other test images.
    """
    names = corruption_names()
    missing = [name for name in (*names, "labels") if not (folder / f"{name}.npy").is_file()]
    if missing:
        raise BenchError(
            f"{folder} has no {', '.join(f'{name}.npy' for name in missing)}; unpack CIFAR-10-C there ({DOWNLOAD})"
        )
    labels = _mapped(folder / "labels.npy")
    if not np.array_equal(labels, np.tile(test.labels, len(SEVERITIES))):
        raise BenchError(
            f"{folder / 'labels.npy'} does not hold the study's {len(test):,} test labels {len(SEVERITIES)} times over:"
            " these corrupted images are of other images"
        )
    arrays = {name: _mapped(folder / f"{name}.npy") for name in names}
    shape = (len(labels), *test.pixels.shape[1:])
    for name, array in arrays.items():
        if array.dtype != np.uint8 or array.shape != shape:
            raise BenchError(
                f"{folder / f'{name}.npy'} must be uint8 {shape}, not {array.dtype} {array.shape}; unpack it again"
            )
    return PublishedImages(folder, arrays, rows)


def _mapped(path: Path) -> NDArray[np.uint8]:
    try:
        array: NDArray[np.uint8] = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise BenchError(f"{path} is not a whole array of NumPy ({error}); unpack it again") from error
    return array
