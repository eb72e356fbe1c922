"""Suspect labels: by the thresholds of the paper, computed by hand, and where labels were planted wrongly."""

from __future__ import annotations

import numpy as np
import pytest

from benchmark.preflight import Place, SuspectLabel, suspect_in_words, suspect_labels
from benchmark.records import Split


def found(members: list[np.ndarray], labels: list[int] | np.ndarray, **given: float) -> tuple[SuspectLabel, ...]:
    """Suspects of probabilities (N, K) of every member; row i of them is row 100 + i of what was published."""
    rows = 100 + np.arange(len(labels))
    with np.errstate(divide="ignore"):
        log_probs = [np.log(np.asarray(probs, np.float32)) for probs in members]
    return suspect_labels(log_probs, np.asarray(labels), split=Split.VAL, rows=rows, **given)


def test_thresholds_are_the_mean_probability_that_a_label_gets_from_its_own_images() -> None:
    # Thresholds: class 0 (0.9 + 0.8 + 0.4) / 3 = 0.7; class 1 (0.6 + 0.4 + 0.2) / 3 = 0.4.
    probs = np.array([[0.9, 0.1], [0.8, 0.2], [0.4, 0.6], [0.4, 0.6], [0.6, 0.4], [0.8, 0.2]])
    suspects = found([probs], [0, 0, 0, 1, 1, 1])
    # Row 4 says 0.6 for class 0, which is less than 0.7, and more than the threshold of class 1.
    assert [suspect.place for suspect in suspects] == [Place(Split.VAL, 105, 1), Place(Split.VAL, 102, 0)]
    assert [suspect.suggested for suspect in suspects] == [0, 1]
    assert suspects[0].probability == pytest.approx(0.8)
    assert suspects[0].label_probability == pytest.approx(0.2)
    assert [suspect.margin for suspect in suspects] == pytest.approx([-0.6, -0.2])


def test_the_most_probable_of_the_classes_above_their_thresholds_is_suggested() -> None:
    # Row 6 is above the thresholds of class 1 (0.35) and class 2 (0.4), and row 7 above none.
    probs = np.array(
        [
            *[[0.9, 0.05, 0.05], [0.9, 0.1, 0.0]],
            *[[0.3, 0.35, 0.35], [0.55, 0.35, 0.1]],
            *[[0.3, 0.3, 0.4], [0.5, 0.1, 0.4]],
            *[[0.15, 0.4, 0.45], [0.39, 0.3, 0.31]],
        ]
    )
    (suspect,) = found([probs], [0, 0, 1, 1, 2, 2, 0, 0], least_agreement=1.0)
    assert (suspect.place.row, suspect.place.label, suspect.suggested) == (106, 0, 2)


def test_agreement_is_the_share_of_models_that_put_the_suggested_class_first() -> None:
    sure = np.array([[0.9, 0.1], [0.2, 0.8], [0.0, 1.0]])
    unsure = np.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4]])
    labels = [0, 1, 0]
    (suspect,) = found([sure, sure, sure, unsure], labels, least_agreement=0.75)
    assert suspect.agreement == 0.75
    assert suspect.probability == pytest.approx(0.85)
    assert found([sure, sure, sure, unsure], labels, least_agreement=0.76) == ()


def test_labels_that_were_planted_wrongly_are_found_and_no_others() -> None:
    random = np.random.default_rng(0)
    truth = np.arange(600) % 5
    labels = truth.copy()
    planted = random.choice(600, 12, replace=False)
    labels[planted] = (labels[planted] + 1 + random.integers(0, 4, 12)) % 5
    # What is hard for one model is hard for all; the planted ones are among the easy images.
    ease = random.uniform(1, 6, size=(600, 1))
    ease[planted] = 6
    members = []
    for _ in range(8):
        logits = ease * np.eye(5)[truth] + random.normal(size=(600, 5))
        members.append(np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True))
    suspects = found(members, labels)
    assert sorted(suspect.place.row - 100 for suspect in suspects) == sorted(planted)
    assert all(suspect.suggested == truth[suspect.place.row - 100] for suspect in suspects)
    margins = [suspect.margin for suspect in suspects]
    assert margins == sorted(margins)


def test_a_class_without_rows_is_never_suggested() -> None:
    probs = np.array([[0.5, 0.1, 0.4], [0.1, 0.5, 0.4], [0.0, 0.1, 0.9]])
    assert found([probs], [0, 1, 0]) == ()


def test_models_are_needed() -> None:
    with pytest.raises(ValueError, match="at least one model"):
        found([], [0, 1])


def test_words() -> None:
    suspect = SuspectLabel(Place(Split.TEST, 17, 1), 0, 0.974, 0.012, 0.95)
    assert suspect_in_words(suspect, ("cat", "frog")) == ("test 17 frog, rather cat (0.97 to 0.01, 95 % of the models)")
