"""Data sets: what a loader takes and gives; one file each, found by the registry. Imports no torch."""

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


DATASETS: Registry[[Path | None, Say], Dataset] = Registry("data set", __name__)
