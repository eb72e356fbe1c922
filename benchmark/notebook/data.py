"""A data set as a notebook looks at it: in numbers, as pictures, and what is wrong with it; trains nothing."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from benchmark.datasets import DATASETS
from benchmark.explore import augmented_grid, describe, mean_grid, sample_grid
from benchmark.preflight import preflight, to_sentences
from benchmark.records import Dataset, SplitRows

if TYPE_CHECKING:
    from PIL.Image import Image


@dataclass(frozen=True, eq=False)
class Data:
    """A data set to look at: in numbers, as pictures, and what is wrong with it."""

    dataset: Dataset
    rows: SplitRows | None = None
    """How a study divided the training part; None where no study is looked at."""

    @property
    def counts(self) -> pd.DataFrame:
        """Images per class, a column per part."""
        parts = describe(self.dataset, self.rows).parts
        columns = {part.split.value: part.class_counts for part in parts}
        return pd.DataFrame(columns, index=pd.Index(self.dataset.classes, name="class"))

    def samples(self, per_class: int = 10, seed: int = 0) -> Image:
        """Training images of every class as one picture."""
        return sample_grid(self.dataset, per_class, seed)

    def means(self) -> Image:
        """The mean training image of every class as one picture."""
        return mean_grid(self.dataset)

    def augmented(self) -> Image:
        """What every augmentation makes of some training images, as one picture."""
        return augmented_grid(self.dataset)

    def preflight(self) -> list[str]:
        """Duplicates, images of a single colour and classes without images, a sentence each."""
        return list(to_sentences(preflight(self.dataset, self.rows), self.dataset.classes))

    def _repr_html_(self) -> str:
        html: str = self.counts.to_html()
        return html


def load_dataset(name: str = "cifar10", folder: Path | str | None = None) -> Data:
    """A registered data set, from `folder` or from the cache or the network. Raises BenchError. See bench data show."""
    return Data(DATASETS[name].build(None if folder is None else Path(folder), print))
