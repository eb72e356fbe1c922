"""One contract, run over every registered ensemble method."""

import numpy as np
import pytest
from synthetic_members import K, M, N, members

from benchmark.ensemblers import ENSEMBLERS, Ensembler
from benchmark.metrics import accuracy, log_loss
from benchmark.records import Predictions, Split

every_method = pytest.mark.parametrize("name", list(ENSEMBLERS))


def build(name: str) -> Ensembler:
    return ENSEMBLERS[name].build()


def assert_are_log_probs(combined: np.ndarray, rows: int = N, classes: int = K) -> None:
    assert combined.shape == (rows, classes)
    assert combined.dtype == np.float32
    assert np.isfinite(combined).all()
    assert np.exp(combined.astype(np.float64)).sum(axis=1) == pytest.approx(1, abs=1e-6)
    Predictions(Split.VAL, combined)


@every_method
@pytest.mark.parametrize("classes", [2, 3, 5])
def test_predictions_are_log_probabilities(name: str, classes: int) -> None:
    log_probs, labels = members(classes=classes)
    combined = build(name).fit(log_probs, labels).predict(log_probs[:, :50])
    assert_are_log_probs(combined, rows=50, classes=classes)


@every_method
def test_fit_is_deterministic_and_returns_itself(name: str) -> None:
    log_probs, labels = members()
    method = build(name)
    assert method.fit(log_probs, labels) is method
    assert np.array_equal(method.predict(log_probs), build(name).fit(log_probs, labels).predict(log_probs))


@every_method
def test_inputs_are_left_as_they_are(name: str) -> None:
    log_probs, labels = members()
    before = log_probs.copy(), labels.copy()
    build(name).fit(log_probs, labels).predict(log_probs)
    assert np.array_equal(log_probs, before[0])
    assert np.array_equal(labels, before[1])


@every_method
def test_votes_are_a_distribution_over_members(name: str) -> None:
    log_probs, labels = members()
    weights = build(name).fit(log_probs, labels).weights
    if weights is not None:
        assert weights.shape == (M,)
        assert (weights >= 0).all()
        assert weights.sum() == pytest.approx(1)


@every_method
def test_order_of_members_does_not_matter(name: str) -> None:
    log_probs, labels = members()
    order = np.array([2, 0, 3, 1])
    straight, shuffled = build(name).fit(log_probs, labels), build(name).fit(log_probs[order], labels)
    if name == "stacking_by_trees":
        # Of equally good splits a tree takes the first, so that single rows differ.
        assert accuracy(shuffled.predict(log_probs[order]), labels) == pytest.approx(
            accuracy(straight.predict(log_probs), labels), abs=0.05
        )
        return
    # Loose enough for the tolerance of an iterative fit.
    assert shuffled.predict(log_probs[order]) == pytest.approx(straight.predict(log_probs), abs=2e-3)
    if straight.weights is not None and shuffled.weights is not None:
        assert shuffled.weights == pytest.approx(straight.weights[order])


@every_method
def test_single_member_alone_keeps_its_predictions_unless_the_method_calibrates(name: str) -> None:
    log_probs, labels = members(count=1)
    method = build(name).fit(log_probs, labels)
    if method.weights is not None:
        assert method.weights.tolist() == [1]
    if ENSEMBLERS[name].tags.get("calibrates"):
        # What is learnt may recalibrate one member, but not for the worse.
        assert log_loss(method.predict(log_probs), labels) <= log_loss(log_probs[0], labels) + 1e-3
        assert method.predict(log_probs) != pytest.approx(log_probs[0], abs=1e-2)
    else:
        assert method.predict(log_probs) == pytest.approx(log_probs[0], abs=1e-5)


@every_method
def test_overconfidence_is_put_right_by_methods_that_calibrate(name: str) -> None:
    log_probs, labels = members(count=1, rows=4 * N)
    sure = log_probs * 4
    sure -= np.log(np.exp(sure).sum(axis=2, keepdims=True))
    before = log_loss(sure[0], labels)
    after = log_loss(build(name).fit(sure, labels).predict(sure), labels)
    if ENSEMBLERS[name].tags.get("calibrates"):
        assert after < before - 0.05
    else:
        assert after == pytest.approx(before, abs=1e-2)


@every_method
def test_impossible_classes_are_survived(name: str) -> None:
    log_probs, labels = members()
    certain = log_probs.copy()
    told = log_probs[:, :20].argmax(axis=2)
    certain[:, :20] = -np.inf
    np.put_along_axis(certain[:, :20], told[:, :, None], 0.0, axis=2)
    assert_are_log_probs(build(name).fit(certain, labels).predict(certain))


@every_method
def test_rows_that_every_member_calls_impossible_are_survived(name: str) -> None:
    log_probs, labels = members()
    lost = log_probs.copy()
    lost[:, :3] = -np.inf
    lost[:, np.arange(3), (labels[:3] + 1) % K] = 0
    assert_are_log_probs(build(name).fit(lost, labels).predict(lost))


@every_method
def test_members_that_know_nothing_are_survived(name: str) -> None:
    _, labels = members()
    uniform = np.full((M, N, K), -np.log(K), np.float32)
    combined = build(name).fit(uniform, labels).predict(uniform)
    assert_are_log_probs(combined)
    assert log_loss(combined, labels) <= np.log(K) + 1e-6


@every_method
def test_members_that_know_everything_are_survived(name: str) -> None:
    log_probs, labels = members()
    log_probs[:, np.arange(N), labels] += 20
    log_probs -= np.log(np.exp(log_probs).sum(axis=2, keepdims=True))
    combined = build(name).fit(log_probs, labels).predict(log_probs)
    assert_are_log_probs(combined)
    assert accuracy(combined, labels) == 1


@every_method
def test_copies_of_a_member_are_survived(name: str) -> None:
    log_probs, labels = members(count=2)
    copied = log_probs[[0, 1, 0, 1, 1]]
    assert_are_log_probs(build(name).fit(copied, labels).predict(copied))


@every_method
def test_class_without_rows_is_survived(name: str) -> None:
    log_probs, labels = members()
    combined = build(name).fit(log_probs, np.where(labels == 2, 0, labels)).predict(log_probs)
    assert_are_log_probs(combined)


@every_method
def test_ensemble_of_independent_members_is_no_worse_than_the_worst(name: str) -> None:
    log_probs, labels = members(rows=2 * N)
    combined = build(name).fit(log_probs[:, :N], labels[:N]).predict(log_probs[:, N:])
    assert accuracy(combined, labels[N:]) > min(accuracy(member[N:], labels[N:]) for member in log_probs)


@every_method
def test_predict_before_fit_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="fit first"):
        build(name).predict(members()[0])


def tagged(tag: str) -> list[str]:
    return [name for name in ENSEMBLERS if ENSEMBLERS[name].tags.get(tag)]


def test_only_the_single_best_is_a_baseline() -> None:
    assert tagged("baseline") == ["single_best"]


def test_methods_that_select_leave_useless_members_out() -> None:
    assert tagged("selects") == ["greedy_selection", "log_linear_pooling", "weighted_voting"]
    log_probs, labels = members(count=3)
    rng = np.random.default_rng(9)
    useless = np.stack([rng.permutation(member) for member in np.repeat(log_probs, 8, axis=0)])
    for name in tagged("selects"):
        weights = build(name).fit(np.concatenate([log_probs, useless]), labels).weights
        assert weights is not None
        assert weights[:3].sum() > 0.7
        assert np.count_nonzero(weights) < 20
