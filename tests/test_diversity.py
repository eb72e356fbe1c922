"""Measures of diversity against cases worked out by hand, and against numpy.corrcoef."""

import numpy as np
import pytest

from benchmark.diversity import disagreement, error_correlation, mean_over_pairs
from benchmark.metrics import correct_rows

# Four rows, three classes, three members: the second differs from the first on row 3, the third on rows 0, 2 and 3.
LABELS = np.array([0, 1, 2, 0])
CLASSES = np.array([[0, 1, 2, 1], [0, 1, 2, 2], [1, 1, 0, 0]])


def predicting(classes: np.ndarray, number: int = 3) -> np.ndarray:
    """Log-probabilities (M, N, K) of these predicted classes (M, N)."""
    return np.log(np.where(np.arange(number) == classes[..., np.newaxis], 0.8, 0.2 / (number - 1)))


def random_case() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 5, 400)
    shared, own = rng.normal(size=(1, 400, 5)), rng.normal(size=(6, 400, 5))
    logits = 2 * (np.arange(5) == labels[:, np.newaxis]) + shared + own
    return logits - np.log(np.exp(logits).sum(axis=2, keepdims=True)), labels


def test_disagreement_by_hand() -> None:
    # On row 3 the first two are both wrong, and disagree.
    expected = [[0, 1 / 4, 3 / 4], [1 / 4, 0, 3 / 4], [3 / 4, 3 / 4, 0]]
    assert disagreement(predicting(CLASSES)).tolist() == expected


def test_error_correlation_by_hand() -> None:
    # Errors 0001, 0001, 1010. Of the first and third: covariance 0 - 1/8, deviations sqrt(3)/4 and 1/2.
    apart = -(1 / 8) / (np.sqrt(3) / 4 / 2)
    expected = [[1, 1, apart], [1, 1, apart], [apart, apart, 1]]
    assert error_correlation(predicting(CLASSES), LABELS) == pytest.approx(np.array(expected))


def test_error_correlation_equals_numpy() -> None:
    log_probs, labels = random_case()
    errors = np.stack([~correct_rows(member, labels) for member in log_probs])
    correlation = error_correlation(log_probs, labels)
    assert correlation == pytest.approx(np.corrcoef(errors))
    assert np.all(correlation[np.triu_indices(6, k=1)] > 0.1)  # members share noise


def test_measures_follow_the_order_of_members_and_not_that_of_rows() -> None:
    log_probs, labels = random_case()
    members, rows = np.random.default_rng(1).permutation(6), np.random.default_rng(2).permutation(400)
    moved = log_probs[members][:, rows]
    assert disagreement(moved) == pytest.approx(disagreement(log_probs)[np.ix_(members, members)])
    assert error_correlation(moved, labels[rows]) == pytest.approx(
        error_correlation(log_probs, labels)[np.ix_(members, members)]
    )


def test_identical_members_agree_and_err_together() -> None:
    log_probs = predicting(np.stack([CLASSES[0]] * 3))
    assert disagreement(log_probs).tolist() == np.zeros((3, 3)).tolist()
    assert error_correlation(log_probs, LABELS) == pytest.approx(np.ones((3, 3)))


def test_opposite_errors_have_correlation_minus_one() -> None:
    log_probs = predicting(np.array([[0, 1, 0, 1], [1, 0, 1, 0]]))
    assert error_correlation(log_probs, np.array([0, 1, 1, 0]))[0, 1] == pytest.approx(-1)
    assert disagreement(log_probs)[0, 1] == 1


def test_members_always_right_or_always_wrong_correlate_with_none() -> None:
    log_probs = predicting(np.stack([LABELS, (LABELS + 1) % 3, CLASSES[0]]))
    assert error_correlation(log_probs, LABELS).tolist() == np.eye(3).tolist()


def test_mean_over_pairs_leaves_out_the_diagonal() -> None:
    assert mean_over_pairs(np.array([[9.0, 1.0, 2.0], [1.0, 9.0, 6.0], [2.0, 6.0, 9.0]])) == 3


@pytest.mark.parametrize("measure", [np.ones((1, 1)), np.ones((2, 3)), np.ones(4)])
def test_mean_over_pairs_needs_a_pair(measure: np.ndarray) -> None:
    with pytest.raises(ValueError, match="mean over pairs"):
        mean_over_pairs(measure)


@pytest.mark.parametrize("shape", [(4, 3), (2, 0, 3), (0, 4, 3), (2, 4, 3, 1)])
def test_predictions_that_are_not_by_member_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="members' predictions"):
        disagreement(np.zeros(shape))
    with pytest.raises(ValueError, match="members' predictions"):
        error_correlation(np.zeros(shape), LABELS)


def test_labels_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="do not fit labels"):
        error_correlation(predicting(CLASSES), LABELS[1:])
