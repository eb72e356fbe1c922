"""All images of a data set in one order, part by part; knows no duplicate."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations_with_replacement, pairwise

import numpy as np
from numpy.typing import NDArray

from benchmark.preflight.findings import Place
from benchmark.records import Dataset, Images, Split, SplitRows

CHUNK_BYTES = 2**20

Rows = NDArray[np.int64]


def parts_of(dataset: Dataset, split_rows: SplitRows | None) -> tuple[tuple[Split, Images, Rows], ...]:
    """The parts of a data set, each as a split and its rows of published images: train, val where divided, test."""
    train, test = dataset.train, dataset.test
    if split_rows is None:
        parts = [(Split.TRAIN, train, np.arange(len(train)))]
    else:
        parts = [(Split.TRAIN, train, split_rows.train), (Split.VAL, train, split_rows.val)]
    return (*parts, (Split.TEST, test, np.arange(len(test))))


@dataclass(frozen=True, eq=False)
class Pool:
    """All images in one order, part by part: number of the part, row in its published images, and label, each (N,)."""

    dataset: Dataset
    splits: tuple[Split, ...]
    part: NDArray[np.int64]
    row: Rows
    labels: NDArray[np.int64]

    @classmethod
    def of(cls, dataset: Dataset, split_rows: SplitRows | None) -> Pool:
        parts = parts_of(dataset, split_rows)
        return cls(
            dataset,
            tuple(split for split, _, _ in parts),
            np.repeat(np.arange(len(parts)), [len(rows) for _, _, rows in parts]),
            np.concatenate([rows for _, _, rows in parts]),
            np.concatenate([images.labels[rows] for _, images, rows in parts]),
        )

    def sizes(self) -> tuple[tuple[Split, int], ...]:
        counts = np.bincount(self.part, minlength=len(self.splits))
        return tuple(zip(self.splits, counts.tolist(), strict=True))

    def split_pairs(self) -> Iterator[tuple[int, int]]:
        return combinations_with_replacement(range(len(self.splits)), 2)

    def place(self, at: int) -> Place:
        return Place(self.splits[self.part[at]], int(self.row[at]), int(self.labels[at]))

    def pixels(self, at: Rows) -> NDArray[np.uint8]:
        train, test = self.dataset.train.pixels, self.dataset.test.pixels
        of_test = self.part[at] == len(self.splits) - 1
        taken = np.empty((len(at), *train.shape[1:]), np.uint8)
        taken[~of_test] = train[self.row[at[~of_test]]]
        taken[of_test] = test[self.row[at[of_test]]]
        return taken

    def chunks(self, rows: int) -> Iterator[slice]:
        """Slices of so many rows that their pixels take at most `CHUNK_BYTES`."""
        size = max(1, CHUNK_BYTES // int(np.prod(self.dataset.train.pixels.shape[1:])))
        return (slice(start, end) for start, end in pairwise([*range(0, rows, size), rows]))
