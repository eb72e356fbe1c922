"""What an entrant of a study gets wrong, alone and beside another; reports, and decides nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmark.confidences import Confidences
from benchmark.errors import BenchError
from benchmark.metrics import ClassScores, class_scores, confidence, confusion_matrix, correct_rows
from benchmark.mistakes.finding import (
    ConfusedPair,
    Mistake,
    Repairs,
    compare_mistakes,
    confident_mistakes,
    mistakes_at,
    most_confused,
)
from benchmark.records import Entrant, Split, deciding
from benchmark.study_data import StudyImages
from benchmark.temperature import apply_temperature, temperature_of


@dataclass(frozen=True, eq=False)
class Said:
    """What an entrant says of N rows, and the temperature after which its confidences are stated."""

    name: str
    log_probs: NDArray[np.float32]
    """(N, K), as they are: they tell which rows are wrong."""
    temperature: float
    """Fitted on validation, so that of two entrants none looks less sure for being trained with smoothed labels."""

    def answers(self, labels: NDArray[np.int64]) -> Confidences:
        """How sure it is of each row, and how it came out; labels are (N,)."""
        stated = confidence(apply_temperature(self.log_probs, self.temperature))
        return Confidences(self.name, stated, correct_rows(self.log_probs, labels))


@dataclass(frozen=True, eq=False)
class Beside:
    """Another entrant on the same rows, and examples of the rows in which the two differ."""

    answers: Confidences
    """After its temperature."""
    temperature: float
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
    """After its temperature."""
    temperature: float
    """Fitted on validation, whichever part this is."""
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

    At most `count` pairs, mistakes, repaired and broken rows are told one by one. Confidences are after the temperature
    that is fitted on validation, for every entrant its own. Raises ValueError where the predictions do not fit the
    data, or are of training images, whose predictions no study stores.
    """
    said = _said(entrant, data, split)
    labels = data.labels(split)
    confusion = confusion_matrix(said.log_probs, labels)
    classes = data.dataset.classes
    if len(classes) != len(confusion):
        raise ValueError(f"{len(classes)} class names for {len(confusion)} classes")
    return EntrantMistakes(
        data.study,
        split,
        classes,
        data.numbers(split),
        said.answers(labels),
        said.temperature,
        class_scores(confusion),
        confusion,
        most_confused(said.log_probs, labels, count, said.temperature),
        confident_mistakes(said.log_probs, labels, count, said.temperature),
        None if other is None else beside(said, _said(other, data, split), labels, count),
    )


def other_of(entrant: Entrant, against: str | None, find: Callable[[str], Entrant]) -> Entrant | None:
    """What to set beside an entrant: the one that is named, else the best single model; nothing beside a single one.

    `find` is by name. Raises BenchError where the entrant itself is named.
    """
    if against is None:
        return None if entrant.is_single else find("best")
    other = find(against)
    if other.name == entrant.name:
        raise BenchError(f"{entrant.name} has no mistakes that it does not make itself; name another with --against")
    return other


def beside(one: Said, other: Said, labels: NDArray[np.int64], count: int) -> Beside:
    """What one entrant repairs and breaks of another; labels are (N,).

    At most `count` rows of either kind are told one by one.
    """
    repairs = compare_mistakes(other.log_probs, one.log_probs, labels, (other.temperature, one.temperature))
    return Beside(
        other.answers(labels),
        other.temperature,
        repairs,
        mistakes_at(other.log_probs, labels, repairs.repaired[:count].tolist(), other.temperature),
        mistakes_at(one.log_probs, labels, repairs.broken[:count].tolist(), one.temperature),
    )


def _said(entrant: Entrant, data: StudyImages, split: Split) -> Said:
    if split is Split.TRAIN:
        raise ValueError("no study stores predictions of training images")
    predictions = entrant.test if split is Split.TEST else entrant.val
    return Said(entrant.name, predictions.log_probs, temperature_of(deciding(entrant.val), data.labels(Split.VAL)))
