"""What an entrant of a study gets wrong, alone and beside another; reports, and decides nothing."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmark.confidences import Confidences
from benchmark.metrics import ClassScores, class_scores, confusion_matrix
from benchmark.mistakes.finding import (
    ConfusedPair,
    Mistake,
    Repairs,
    compare_mistakes,
    confident_mistakes,
    mistakes_at,
    most_confused,
)
from benchmark.records import Entrant, Split
from benchmark.study_data import StudyImages


@dataclass(frozen=True, eq=False)
class Beside:
    """Another entrant on the same rows, and examples of the rows in which the two differ."""

    answers: Confidences
    repairs: Repairs
    """The other is the first, the entrant the second."""
    repaired: tuple[Mistake, ...]
    """The other's mistakes that the entrant does not make."""
    broken: tuple[Mistake, ...]
    """The entrant's mistakes that the other does not make."""


@dataclass(frozen=True, eq=False)
class EntrantMistakes:
    """What an entrant gets wrong on one part of a study's data; rows count from 0 in the order of predictions."""

    study: str
    split: Split
    classes: tuple[str, ...]
    numbers: NDArray[np.int64]
    """(N,) where each row stands in what was published: in the test part, or in the training part for validation."""
    answers: Confidences
    scores: ClassScores
    confusion: NDArray[np.int64]
    """(K, K): row = label, column = predicted."""
    pairs: tuple[ConfusedPair, ...]
    mistakes: tuple[Mistake, ...]
    """The most confident ones."""
    beside: Beside | None

    @property
    def name(self) -> str:
        """The entrant's."""
        return self.answers.name


def mistakes_of(
    entrant: Entrant, other: Entrant | None, data: StudyImages, *, split: Split, count: int
) -> EntrantMistakes:
    """The mistakes of an entrant on validation or test, beside those of `other` where one is given.

    At most `count` pairs, mistakes, repaired and broken rows are told one by one. Raises ValueError where the
    predictions do not fit the data, or are of training images, whose predictions no study stores.
    """
    log_probs = _log_probs(entrant, split)
    numbers = data.numbers(split)
    labels = data.published(split).labels[numbers]
    confusion = confusion_matrix(log_probs, labels)
    classes = data.dataset.classes
    if len(classes) != len(confusion):
        raise ValueError(f"{len(classes)} class names for {len(confusion)} classes")
    return EntrantMistakes(
        data.study,
        split,
        classes,
        numbers,
        Confidences.of(entrant.name, log_probs, labels),
        class_scores(confusion),
        confusion,
        most_confused(log_probs, labels, count),
        confident_mistakes(log_probs, labels, count),
        None if other is None else beside(log_probs, other.name, _log_probs(other, split), labels, count),
    )


def beside(
    log_probs: NDArray[np.float32], other: str, others: NDArray[np.float32], labels: NDArray[np.int64], count: int
) -> Beside:
    """What log-probabilities (N, K) repair and break of those of another entrant, called `other`; labels are (N,).

    At most `count` rows of either kind are told one by one.
    """
    repairs = compare_mistakes(others, log_probs, labels)
    return Beside(
        Confidences.of(other, others, labels),
        repairs,
        mistakes_at(others, labels, repairs.repaired[:count].tolist()),
        mistakes_at(log_probs, labels, repairs.broken[:count].tolist()),
    )


def _log_probs(entrant: Entrant, split: Split) -> NDArray[np.float32]:
    if split is Split.TRAIN:
        raise ValueError("no study stores predictions of training images")
    return (entrant.test if split is Split.TEST else entrant.val).log_probs
