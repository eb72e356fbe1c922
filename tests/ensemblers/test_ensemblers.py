"""One contract, run over every registered ensemble method; then what is particular to one of them."""

import numpy as np
import pytest

from benchmark.ensemblers import ENSEMBLERS, Ensembler
from benchmark.ensemblers.greedy_selection import Path, select
from benchmark.ensemblers.stacking import STRENGTHS, Stacking
from benchmark.metrics import accuracy, log_loss
from benchmark.records import Predictions, Split

M, N, K = 4, 240, 3

every_method = pytest.mark.parametrize("name", list(ENSEMBLERS))


def members(seed: int = 0, count: int = M, rows: int = N) -> tuple[np.ndarray, np.ndarray]:
    """Log-probabilities (count, rows, K) of members that are right more often than not, and the labels."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, K, rows)
    logits = rng.normal(size=(count, rows, K))
    logits[:, np.arange(rows), labels] += np.linspace(0.8, 1.6, count)[:, None]
    return (logits - np.log(np.exp(logits).sum(axis=2, keepdims=True))).astype(np.float32), labels


def build(name: str) -> Ensembler:
    return ENSEMBLERS[name].build()


@every_method
def test_predictions_are_log_probabilities(name: str) -> None:
    log_probs, labels = members()
    combined = build(name).fit(log_probs, labels).predict(log_probs[:, :50])
    assert combined.shape == (50, K)
    assert combined.dtype == np.float32
    assert np.isfinite(combined).all()
    assert np.exp(combined.astype(np.float64)).sum(axis=1) == pytest.approx(1, abs=1e-6)
    Predictions(Split.VAL, combined)


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
    # Loose enough for the tolerance of an iterative fit.
    assert shuffled.predict(log_probs[order]) == pytest.approx(straight.predict(log_probs), abs=2e-3)
    if straight.weights is not None and shuffled.weights is not None:
        assert shuffled.weights == pytest.approx(straight.weights[order])


@every_method
def test_single_member_alone_keeps_its_predictions_where_members_vote(name: str) -> None:
    log_probs, labels = members(count=1)
    method = build(name).fit(log_probs, labels)
    if method.weights is None:
        # What is learnt may recalibrate one member, but not for the worse.
        assert log_loss(method.predict(log_probs), labels) <= log_loss(log_probs[0], labels) + 1e-3
    else:
        assert method.predict(log_probs) == pytest.approx(log_probs[0], abs=1e-5)


@every_method
def test_impossible_classes_are_survived(name: str) -> None:
    log_probs, labels = members()
    certain = log_probs.copy()
    told = log_probs[:, :20].argmax(axis=2)
    certain[:, :20] = -np.inf
    np.put_along_axis(certain[:, :20], told[:, :, None], 0.0, axis=2)
    combined = build(name).fit(certain, labels).predict(certain)
    assert np.isfinite(combined).all()
    assert np.exp(combined.astype(np.float64)).sum(axis=1) == pytest.approx(1, abs=1e-6)


@every_method
def test_ensemble_of_independent_members_is_no_worse_than_the_worst(name: str) -> None:
    log_probs, labels = members(rows=2 * N)
    combined = build(name).fit(log_probs[:, :N], labels[:N]).predict(log_probs[:, N:])
    assert accuracy(combined, labels[N:]) > min(accuracy(member[N:], labels[N:]) for member in log_probs)


@every_method
def test_predict_before_fit_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="fit first"):
        build(name).predict(members()[0])


def test_soft_voting_is_the_mean_of_probabilities() -> None:
    probs = np.array([[[0.9, 0.1], [0.2, 0.8]], [[0.5, 0.5], [0.6, 0.4]]], np.float32)
    combined = build("soft_voting").fit(np.log(probs), np.array([0, 1])).predict(np.log(probs))
    assert np.exp(combined) == pytest.approx(np.array([[0.7, 0.3], [0.4, 0.6]]), abs=1e-6)


def test_single_best_ties_go_to_log_loss_then_to_the_earlier() -> None:
    unsure, sure = [[0.6, 0.4], [0.6, 0.4]], [[0.9, 0.1], [0.9, 0.1]]
    log_probs = np.log(np.array([unsure, sure, sure], np.float32))
    weights = build("single_best").fit(log_probs, np.array([0, 0])).weights
    assert weights is not None
    assert weights.tolist() == [0, 1, 0]


def constant(wrong: list[int], rows: int = 6, confidence: float = 0.9) -> np.ndarray:
    """Log-probabilities (rows, 2) of a member with one confidence, wrong on the given rows; every label is 0."""
    of_label = np.where(np.isin(np.arange(rows), wrong), 1 - confidence, confidence)
    return np.log(np.stack([of_label, 1 - of_label], axis=1)).astype(np.float32)


def entropy(share: float) -> float:
    return float(-(share * np.log(share) + (1 - share) * np.log(1 - share)))


def test_greedy_selection_by_hand() -> None:
    # Three members, each wrong on one row of its own, and a fourth that repeats their errors.
    # Step 1: after temperature a member costs the entropy of its share of right rows; the first of the equals is taken.
    # Step 2: 0 + 1 is undecided (log 2) on two rows and right on the rest, where temperature makes the cost vanish.
    # Step 3: 0 + 1 + 2 is right everywhere, with margins that only the same thirds reach again.
    log_probs = np.stack([constant([0]), constant([1]), constant([2]), constant([0, 1, 2, 3])])
    path = select(log_probs, np.zeros(6, np.int64))
    assert path.chosen[:3] == (0, 1, 2)
    assert len(path.chosen) == len(path.losses) == 25
    assert path.losses[0] == pytest.approx(entropy(5 / 6), abs=1e-5)
    assert path.losses[1] == pytest.approx(2 / 6 * np.log(2), abs=1e-3)
    assert path.losses[2] == pytest.approx(0, abs=1e-3)
    weights = build("greedy_selection").fit(log_probs, np.zeros(6, np.int64)).weights
    assert weights is not None
    assert weights == pytest.approx([1 / 3, 1 / 3, 1 / 3, 0])


def test_greedy_selection_prefers_a_member_already_in() -> None:
    # A uniform vote only lowers confidence, which temperature undoes: adding it and adding member 1 again tie.
    log_probs = np.stack([np.full((6, 2), np.log(0.5), np.float32), constant([0])])
    assert select(log_probs, np.zeros(6, np.int64), steps=3).chosen == (1, 1, 1)


def test_greedy_selection_takes_the_earlier_of_equals() -> None:
    log_probs = np.stack([constant([0, 1]), constant([2]), constant([2])])
    assert select(log_probs, np.zeros(6, np.int64), steps=1).chosen == (1,)


def test_greedy_selection_may_add_a_member_twice() -> None:
    log_probs, labels = members(seed=5, count=6)
    chosen = select(log_probs, labels).best_prefix
    assert len(set(chosen)) < len(chosen)


def test_greedy_selection_is_not_misled_by_label_smoothing() -> None:
    # The same member twice, once with its confidence lowered: raw log loss sees two, temperature sees one.
    sharp, labels = members(seed=2, count=1)
    soft = sharp[0] * 0.2
    soft -= np.log(np.exp(soft).sum(axis=1, keepdims=True))
    costs = [select(member[None], labels, steps=1).losses[0] for member in (sharp[0], soft)]
    assert log_loss(soft, labels) > log_loss(sharp[0], labels) + 0.05
    assert costs[0] == pytest.approx(costs[1], abs=1e-6)


def test_best_prefix_is_the_shortest_of_equals() -> None:
    assert Path((3, 1, 3, 2), (0.5, 0.4, 0.4, 0.45)).best_prefix == (3, 1)
    assert Path((3, 1, 3), (0.5, 0.4 + 5e-8, 0.4)).best_prefix == (3, 1)
    assert Path((3, 1, 3), (0.5, 0.4 + 1e-5, 0.4)).best_prefix == (3, 1, 3)


def test_stacking_repairs_a_member_that_swaps_classes() -> None:
    log_probs, labels = members(count=2)
    swapped = log_probs[:, :, [1, 0, 2]]
    stacked = build("stacking").fit(swapped, labels).predict(swapped)
    voted = build("soft_voting").fit(swapped, labels).predict(swapped)
    assert accuracy(stacked, labels) > accuracy(voted, labels) + 0.2


def test_stacking_penalises_harder_where_there_is_nothing_to_learn() -> None:
    rng = np.random.default_rng(1)
    log_probs, labels = members()
    useful = Stacking().fit(log_probs, labels)
    useless = Stacking().fit(log_probs, rng.permutation(labels))
    assert useful.strength is not None
    assert useless.strength is not None
    assert useless.strength < useful.strength <= STRENGTHS[-1]


def test_stacking_survives_a_class_without_rows() -> None:
    log_probs, labels = members()
    combined = build("stacking").fit(log_probs, np.where(labels == 2, 0, labels)).predict(log_probs)
    assert combined.shape == (N, K)
    assert (combined[:, 2] == -100).all()


def test_only_the_single_best_is_a_baseline() -> None:
    assert [name for name in ENSEMBLERS if ENSEMBLERS[name].tags.get("baseline")] == ["single_best"]
