"""The images that a study was made with, divided as it divided them; puts none on a device and asks no model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmark.datasets import Say, dataset_of_size
from benchmark.definition import StudySpec, stored_study
from benchmark.errors import BenchError
from benchmark.records import Dataset, Images, Split, SplitRows
from benchmark.splits import stratified_split
from benchmark.store import StudyStore


@dataclass(frozen=True, eq=False)
class StudyImages:
    """A study's data set with the division that the study made."""

    study: str
    dataset: Dataset
    rows: SplitRows

    def published(self, split: Split) -> Images:
        """The published part that the images of one part are from."""
        return self.dataset.test if split is Split.TEST else self.dataset.train

    def numbers(self, split: Split) -> NDArray[np.int64]:
        """(N,) where each image of one part stands in the published part."""
        if split is Split.TEST:
            return np.arange(len(self.dataset.test), dtype=np.int64)
        return self.rows.train if split is Split.TRAIN else self.rows.val

    def labels(self, split: Split) -> NDArray[np.int64]:
        """(N,) of one part, in the order in which its predictions are stored."""
        labels: NDArray[np.int64] = self.published(split).labels[self.numbers(split)]
        return labels

    def images(self, split: Split) -> Images:
        """The images of one part, in the order in which its predictions are stored."""
        return self.dataset.test if split is Split.TEST else self.dataset.train.take(self.numbers(split))


def load_study_images(store: StudyStore, folder: Path | None, say: Say) -> StudyImages:
    """The images that the study was made with.

    `folder` holds a copy of the data set; without one it is the cache's or fetched. Raises BenchError where the images
    are not those of the study.
    """
    spec = stored_spec(store)
    dataset = dataset_of_size(spec.dataset, folder, say, spec.image_size)
    return StudyImages(store.location.name, dataset, division_of(store, dataset))


def division_of(store: StudyStore, dataset: Dataset) -> SplitRows:
    """The rows of the data set's training part that the study trained on, and those that it validated on.

    Raises BenchError where the data are not those of the study.
    """
    definition, named = store.fact("definition"), f"study {store.location.name!r}"
    if dataset.fingerprint != store.fact("fingerprint"):
        raise BenchError(
            f"{named} was made with other images of {store.fact('dataset')}: SHA-256 "
            f"{store.fact('fingerprint')[:16]}, and these of {dataset.name} have {dataset.fingerprint[:16]}"
        )
    rows = stratified_split(dataset.train.labels, definition["split.val"], definition["split.seed"])
    if rows.digest != store.fact("split_digest"):
        raise BenchError(f"{named} was made by another version, which divided its images in another way")
    return rows


def stored_spec(store: StudyStore) -> StudySpec:
    """The definition that the study was made with. Raises BenchError where an earlier version kept none."""
    stored: Mapping[str, object] | None = store.fact("spec")
    if stored is None:
        raise BenchError(f"study {store.location.name!r} was made by an earlier version, which kept no definition")
    return stored_study(store.location.name, stored)
