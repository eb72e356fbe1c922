"""The images that are shown: rows of a study, those worth a look by stored predictions, or files; runs no network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Self

import numpy as np
from numpy.typing import NDArray

from benchmark.metrics import correct_rows
from benchmark.picture_files import PictureFile
from benchmark.records import Split
from benchmark.study_data import StudyImages


@dataclass(frozen=True, eq=False)
class ShownImages:
    """Images uint8 (N, H, W, C), in words where each is from (N), and its class number (N) where that is known."""

    pixels: NDArray[np.uint8]
    sources: tuple[str, ...]
    labels: tuple[int | None, ...]

    @classmethod
    def of_rows(cls, images: StudyImages, split: Split, rows: Sequence[int]) -> Self:
        """These rows of the split, told by their numbers in the published part, as everywhere."""
        numbers = images.numbers(split)[np.array(rows, np.int64)]
        taken = images.published(split).take(numbers)
        return cls(taken.pixels, tuple(f"{split} {number}" for number in numbers), tuple(taken.labels.tolist()))

    @classmethod
    def of_files(cls, pictures: Sequence[PictureFile]) -> Self:
        """The user's pictures, of classes that are not known."""
        pixels = np.stack([picture.pixels for picture in pictures])
        return cls(pixels, tuple(picture.path.name for picture in pictures), (None,) * len(pictures))


def telling_rows(log_probs: NDArray[np.float32], labels: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """Numbers of at most `count` rows: the most confident mistakes for one half, then right answers of many classes.

    `log_probs` (N, K), `labels` (N,). Right answers are the most confident of their class, one of each class in turn;
    classes that the mistakes were of come first, to be compared. Where there are too few of one kind, more of the
    other are taken.
    """
    right = correct_rows(log_probs, labels)
    by_confidence = np.argsort(-log_probs.max(axis=1), kind="stable")
    wrong_rows, right_rows = by_confidence[~right[by_confidence]], by_confidence[right[by_confidence]]
    mistakes = wrong_rows[: max(-(-count // 2), count - len(right_rows))]
    classes = dict.fromkeys([*labels[mistakes].tolist(), *range(log_probs.shape[1])])
    of_class = (right_rows[labels[right_rows] == label].tolist() for label in classes)
    in_turn = [row for rows in zip_longest(*of_class) for row in rows if row is not None]
    return np.array([*mistakes.tolist(), *in_turn[: count - len(mistakes)]], np.int64)
