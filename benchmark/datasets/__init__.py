"""Data sets: what a loader takes and gives; one file each, found by the registry. Imports no torch.

A loader maps a folder, a local copy that the user names, or None, and a Say to a Dataset: from the folder, or else from
its cache or its published sources. It raises BenchError, with what was tried, where the data cannot be had or do not
match their checksum.

Tag, of data sets that may have faults: `inspect`, their Inspector.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from benchmark.datasets._shrinking import shrunk, shrunk_once
from benchmark.records import Dataset, Split
from benchmark.registry import Registry

Say = Callable[[str], None]
"""Receives one line of progress for the user."""


@dataclass(frozen=True, eq=False)
class Inspection:
    """What can be loaded of a data set, for a look at it.

    `sentences`: what is wrong with its files. `train_files`, `test_files`: of each row the path of its file; empty for
    data sets that are not one file per image.
    """

    dataset: Dataset
    sentences: tuple[str, ...] = ()
    train_files: tuple[str, ...] = ()
    test_files: tuple[str, ...] = ()

    def files_as_csv(self) -> str:
        """Which row is which file."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(["split", "row", "file"])
        for split, files in ((Split.TRAIN, self.train_files), (Split.TEST, self.test_files)):
            writer.writerows((split, row, file) for row, file in enumerate(files))
        return text.getvalue()


class Inspector(Protocol):
    """Gives what can be loaded of a data set that may have faults."""

    def __call__(self, folder: Path | None, say: Say, /) -> Inspection:
        """As a loader, but what cannot be read is left out. Raises BenchError where nothing is left."""


DATASETS: Registry[[Path | None, Say], Dataset] = Registry("data set", __name__)


def dataset_of_size(name: str, folder: Path | None, say: Say, image_size: int | None) -> Dataset:
    """A data set, with images of at most `image_size` pixels a side; None leaves them as they are.

    Raises UnknownNameError, what its loader raises, and BenchError where images so small cannot be trained on.
    """
    dataset = DATASETS[name].build(folder, say)
    return dataset if image_size is None else shrunk_once(dataset, image_size, say)


def inspect_dataset(name: str, folder: Path | None, say: Say, image_size: int | None = None) -> Inspection:
    """What can be loaded of a data set, whatever is wrong with the rest, of the size that `dataset_of_size` gives it.

    Raises UnknownNameError, and what its loader or inspector raises.
    """
    entry = DATASETS[name]
    inspect: Inspector | None = entry.tags.get("inspect")
    found = Inspection(entry.build(folder, say)) if inspect is None else inspect(folder, say)
    return found if image_size is None else replace(found, dataset=shrunk(found.dataset, image_size))
