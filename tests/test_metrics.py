"""Scores against tables worked out by hand, and against scikit-learn."""

import numpy as np
import pytest
import sklearn.metrics as reference

from benchmark import metrics
from benchmark.errors import SealedTestError
from benchmark.records import Predictions, Split

# Seven rows, three classes. Confusion, row = label:  [[2, 1, 0], [0, 1, 1], [0, 0, 2]]
LABELS = np.array([0, 0, 0, 1, 1, 2, 2])
PROBS = np.array(
    [
        [0.8, 0.1, 0.1],
        [0.5, 0.25, 0.25],
        [0.4, 0.5, 0.1],
        [0.2, 0.6, 0.2],
        [0.1, 0.2, 0.7],
        [0.0, 0.0, 1.0],
        [0.3, 0.3, 0.4],
    ]
)
with np.errstate(divide="ignore"):
    LOG_PROBS = np.log(PROBS).astype(np.float32)


def random_case(rows: int = 500, classes: int = 6, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes - 1, rows)  # the last class has no rows
    logits = rng.normal(size=(rows, classes))
    logits[np.arange(rows), labels] += 1
    return (logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))).astype(np.float32), labels


def test_confusion_matrix_by_hand() -> None:
    assert metrics.confusion_matrix(LOG_PROBS, LABELS).tolist() == [[2, 1, 0], [0, 1, 1], [0, 0, 2]]


def test_class_scores_by_hand() -> None:
    scores = metrics.class_scores(metrics.confusion_matrix(LOG_PROBS, LABELS))
    assert scores.precision == pytest.approx([2 / 2, 1 / 2, 2 / 3])
    assert scores.recall == pytest.approx([2 / 3, 1 / 2, 2 / 2])
    assert scores.f1 == pytest.approx([4 / 5, 1 / 2, 4 / 5])
    assert scores.support.tolist() == [3, 2, 2]


def test_scores_by_hand() -> None:
    scores = metrics.score(LOG_PROBS, LABELS)
    assert scores.rows == 7
    assert scores.accuracy.value == pytest.approx(5 / 7)
    assert scores.macro_precision == pytest.approx((1 + 1 / 2 + 2 / 3) / 3)
    assert scores.macro_recall == pytest.approx((2 / 3 + 1 / 2 + 1) / 3)
    assert scores.macro_f1 == pytest.approx((4 / 5 + 1 / 2 + 4 / 5) / 3)
    assert scores.log_loss == pytest.approx(-np.log([0.8, 0.5, 0.4, 0.6, 0.2, 1.0, 0.4]).sum() / 7, rel=1e-6)
    squares = [0.04 + 0.01 + 0.01, 0.25 + 0.0625 * 2, 0.36 + 0.25 + 0.01, 0.16 + 0.04 * 2, 0.01 + 0.64 + 0.49, 0, 0.54]
    assert scores.brier == pytest.approx(sum(squares) / 7, rel=1e-6)


def test_class_never_predicted_and_class_without_rows_score_zero() -> None:
    scores = metrics.class_scores(np.array([[2, 0, 0], [1, 0, 0], [0, 0, 0]]))
    assert scores.precision == pytest.approx([2 / 3, 0, 0])
    assert scores.recall == pytest.approx([1, 0, 0])
    assert scores.f1 == pytest.approx([4 / 5, 0, 0])


def test_equal_scikit_learn() -> None:
    log_probs, labels = random_case()
    probs, classes = np.exp(log_probs.astype(np.float64)), range(log_probs.shape[1])
    told = probs.argmax(axis=1)
    scores = metrics.score(log_probs, labels)
    precision, recall, f1, _ = reference.precision_recall_fscore_support(
        labels, told, labels=classes, average="macro", zero_division=0
    )
    normalised = probs / probs.sum(axis=1, keepdims=True)
    assert scores.accuracy.value == pytest.approx(reference.accuracy_score(labels, told))
    assert (scores.macro_precision, scores.macro_recall, scores.macro_f1) == pytest.approx((precision, recall, f1))
    assert scores.log_loss == pytest.approx(reference.log_loss(labels, normalised, labels=classes), rel=1e-6)
    assert np.array_equal(
        metrics.confusion_matrix(log_probs, labels), reference.confusion_matrix(labels, told, labels=classes)
    )


def test_calibration_error_by_hand() -> None:
    probs = np.array([[0.9, 0.1], [0.92, 0.08], [0.58, 0.42], [0.3, 0.7]])
    labels = np.array([0, 1, 0, 1])
    # (13/15, 14/15] holds 0.9 and 0.92, one of two right; 0.58 and 0.7 are alone in their bins, and right.
    expected = (abs(1 - 1.82) + abs(1 - 0.58) + abs(1 - 0.7)) / 4
    assert metrics.expected_calibration_error(np.log(probs), labels) == pytest.approx(expected)


@pytest.mark.parametrize(("labels", "expected"), [([0, 0], 0.0), ([0, 1], 0.5), ([1, 1], 1.0)])
def test_calibration_error_at_confidence_exactly_one(labels: list[int], expected: float) -> None:
    log_probs = np.array([[0.0, -np.inf], [0.0, -np.inf]], np.float32)
    assert metrics.expected_calibration_error(log_probs, np.array(labels)) == pytest.approx(expected)


def test_calibration_bins_are_closed_above() -> None:
    # Two bins: 0.5 belongs to (0, 0.5]; in one bin with 0.9 the gaps would cancel to 0.2 instead of 0.5 + 0.1.
    log_probs = np.log(np.array([[0.5, 0.5], [0.9, 0.1]]))
    assert metrics.expected_calibration_error(log_probs, np.array([1, 0]), bins=2) == pytest.approx((0.5 + 0.1) / 2)


def test_impossible_label_costs_the_floor() -> None:
    log_probs = np.array([[0.0, -np.inf]], np.float32)
    assert metrics.log_loss(log_probs, np.array([1])) == -metrics.LOG_FLOOR
    assert metrics.brier(log_probs, np.array([1])) == 2


def test_wilson_interval_published_examples() -> None:
    # Newcombe 1998, doi:10.1002/(SICI)1097-0258(19980430)17:8<857::AID-SIM777>3.0.CO;2-E, table I, method 3.
    assert metrics.wilson_interval(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert metrics.wilson_interval(15, 148) == pytest.approx((0.0624, 0.1605), abs=5e-5)
    assert metrics.wilson_interval(0, 20) == pytest.approx((0.0, 0.1611), abs=5e-5)
    assert metrics.wilson_interval(1, 29) == pytest.approx((0.0061, 0.1718), abs=5e-5)


def test_wilson_interval_ends_exactly_at_the_ends() -> None:
    assert metrics.wilson_interval(0, 7)[0] == 0.0
    assert metrics.wilson_interval(7, 7)[1] == 1.0


@pytest.mark.parametrize(("hits", "rows"), [(1, 0), (0, 0), (-1, 5), (6, 5)])
def test_wilson_interval_refuses_what_is_no_share(hits: int, rows: int) -> None:
    with pytest.raises(ValueError, match="not a share"):
        metrics.wilson_interval(hits, rows)


@pytest.mark.parametrize("labels", [np.array([0, 1]), np.array([0, 0, 0, 1, 1, 2, 3]), np.array([0] * 6 + [-1])])
def test_labels_that_do_not_fit_are_refused(labels: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"labels must lie|scores need"):
        metrics.score(LOG_PROBS, labels)


def test_standing_puts_accuracy_before_log_loss_and_sees_validation_only() -> None:
    sure = Predictions(Split.VAL, np.log(np.array([[0.9, 0.1], [0.9, 0.1]], np.float32)))
    unsure = Predictions(Split.VAL, np.log(np.array([[0.6, 0.4], [0.6, 0.4]], np.float32)))
    right, half = np.array([0, 0]), np.array([0, 1])
    assert metrics.standing(sure, right) < metrics.standing(unsure, right)
    assert metrics.standing(unsure, half) < metrics.standing(sure, half)
    assert metrics.standing(sure, right) < metrics.standing(unsure, half)
    with pytest.raises(SealedTestError):
        metrics.standing(Predictions(Split.TEST, sure.log_probs), right)
