"""Data sets: what a loader takes and gives; one file each, found by the registry. Imports no torch.

Tag, of data sets that may have faults: `inspect`, their Inspector.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from benchmark.records import Dataset
from benchmark.registry import Registry

Say = Callable[[str], None]
"""Receives one line of progress for the user."""


class Loader(Protocol):
    """Gives a data set, from its cache where it is there, else from its sources."""

    def __call__(self, folder: Path | None, say: Say, /) -> Dataset:
        """Load from `folder` (a local copy that the user names) or else the cache or the network.

        Raises BenchError, with what was tried, where the data cannot be had or do not match their checksum.
        """


class Inspector(Protocol):
    """Gives what can be loaded of a data set that may have faults, and says in sentences what is wrong."""

    def __call__(self, folder: Path | None, say: Say, /) -> tuple[Dataset, tuple[str, ...]]:
        """As a loader, but what cannot be read is left out. Raises BenchError where nothing is left."""


DATASETS: Registry[[Path | None, Say], Dataset] = Registry("data set", __name__)


def inspect_dataset(name: str, folder: Path | None, say: Say) -> tuple[Dataset, tuple[str, ...]]:
    """What can be loaded of a data set, for a look at it, and in sentences what is wrong with its files.

    Raises UnknownNameError, and what its loader or inspector raises.
    """
    entry = DATASETS[name]
    inspect: Inspector | None = entry.tags.get("inspect")
    return (entry.build(folder, say), ()) if inspect is None else inspect(folder, say)
