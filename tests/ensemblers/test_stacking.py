"""What the meta-learners learn that votes cannot, and how they hold back."""

import numpy as np
import pytest
from synthetic_members import K, M, N, members

from benchmark.ensemblers import ENSEMBLERS, Ensembler
from benchmark.ensemblers._features import floored, probs
from benchmark.ensemblers._stacking import STRENGTHS, LogisticStacking, for_every_class, logistic_parameters
from benchmark.ensemblers.stacking_by_trees import ROUNDS, TreeStacking
from benchmark.metrics import accuracy, log_loss

LOGISTIC = ["stacking_on_log_probs", "stacking_on_probs"]
STACKINGS = ["stacking_by_trees", *LOGISTIC]


def build(name: str) -> Ensembler:
    return ENSEMBLERS[name].build()


def test_these_are_all() -> None:
    assert [name for name in ENSEMBLERS if build(name).fit(*members()).weights is None] == STACKINGS


@pytest.mark.parametrize("name", STACKINGS)
def test_repairs_a_member_that_swaps_classes(name: str) -> None:
    log_probs, labels = members(count=2, rows=2 * N)
    swapped = log_probs[:, :, [1, 0, 2]]
    stacked = build(name).fit(swapped[:, :N], labels[:N]).predict(swapped[:, N:])
    voted = build("soft_voting").fit(swapped, labels).predict(swapped[:, N:])
    assert accuracy(stacked, labels[N:]) > accuracy(voted, labels[N:]) + 0.2


@pytest.mark.parametrize("name", STACKINGS)
def test_class_without_rows_gets_the_floor(name: str) -> None:
    log_probs, labels = members()
    combined = build(name).fit(log_probs, np.where(labels == 1, 0, labels)).predict(log_probs)
    assert combined.shape == (N, K)
    assert (combined[:, 1] == -100).all()
    assert (combined[:, [0, 2]] > -100).all()


@pytest.mark.parametrize("name", STACKINGS)
@pytest.mark.parametrize("rare", [0, 1, 2])
def test_a_class_of_so_few_rows_that_a_fold_has_none_does_not_end_the_fit(name: str, rare: int) -> None:
    log_probs, _ = members(rows=40)
    two = log_probs[:, :, :2] - np.logaddexp(log_probs[:, :, :1], log_probs[:, :, 1:2])
    labels = np.zeros(40, dtype=np.int64)
    labels[:rare] = 1
    combined = build(name).fit(two, labels).predict(two)
    assert combined.shape == (40, 2)
    assert np.isfinite(combined).all()
    np.testing.assert_allclose(np.exp(combined.astype(np.float64)).sum(axis=1), 1, atol=1e-5)
    assert (combined.argmax(axis=1) == 0).mean() > 0.9


def test_a_feature_that_was_constant_in_the_fit_decides_nothing_later() -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, 300)
    log_probs = np.log(rng.dirichlet(np.ones(3), (2, 300))).astype(np.float32)
    # Of a constant of float32, the mean over many rows is not quite the constant.
    log_probs[1, :, 2] = np.log(1e-6)
    method = ENSEMBLERS["stacking_on_log_probs"].build().fit(log_probs, labels)
    later = log_probs[:, :5].copy()
    before = method.predict(later)
    later[1, :, 2] = np.log(1e-3)
    np.testing.assert_allclose(method.predict(later), before, atol=0.05)


def test_certainty_gets_the_floor_without_a_warning() -> None:
    full = for_every_class(np.array([[1.0, 0.0], [0.25, 0.75]]), np.array([0, 2]), 3)
    np.testing.assert_allclose(full, [[0, -100, -100], [np.log(0.25), -100, np.log(0.75)]], rtol=1e-6)


@pytest.mark.parametrize("features", [floored, probs])
def test_penalises_harder_where_there_is_nothing_to_learn(features: object) -> None:
    rng = np.random.default_rng(1)
    log_probs, labels = members()
    useful = LogisticStacking(features).fit(log_probs, labels)
    useless = LogisticStacking(features).fit(log_probs, rng.permutation(labels))
    assert useful.strength is not None
    assert useless.strength is not None
    assert useless.strength < useful.strength <= STRENGTHS[-1]


@pytest.mark.parametrize("name", LOGISTIC)
@pytest.mark.parametrize("classes", [2, 3, 5])
def test_parameters_are_those_that_are_fitted(name: str, classes: int) -> None:
    log_probs, labels = members(classes=classes)
    method = build(name).fit(log_probs, labels)
    assert isinstance(method, LogisticStacking)
    fitted = method._model.coef_.size + method._model.intercept_.size
    assert ENSEMBLERS[name].tags["parameters"](M, classes) == logistic_parameters(M, classes) == fitted


def test_parameters_by_hand() -> None:
    # Five members of ten classes: 50 features and an intercept, for each class.
    assert logistic_parameters(5, 10) == 510
    assert logistic_parameters(3, 2) == 7


def test_features_are_the_probabilities_or_their_floored_logs() -> None:
    # Below 1e-6 logs see no difference, and probabilities none that counts.
    log_probs, labels = members()
    tiny, tinier = log_probs.copy(), log_probs.copy()
    tiny[:, :, 2], tinier[:, :, 2] = -20, -90
    for name in LOGISTIC:
        method = build(name).fit(log_probs, labels)
        assert method.predict(tiny) == pytest.approx(method.predict(tinier), abs=1e-5)
    # A member's probability of 0.5 stands half-way between 0 and 1; its log does not.
    steps = np.log(np.array([[0.998, 0.001, 0.001], [0.5, 0.499, 0.001], [0.002, 0.997, 0.001]], np.float32))
    sides = np.tile(steps, (M, 1, 1))
    linear = build("stacking_on_probs").fit(log_probs, labels).predict(sides)
    assert (linear[0] - linear[1])[0] - (linear[0] - linear[1])[1] == pytest.approx(
        (linear[1] - linear[2])[0] - (linear[1] - linear[2])[1], abs=1e-4
    )


def exclusive_or(rows: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Two members of which each alone says nothing of the label: it is 1 where exactly one of them says 1."""
    said = np.random.default_rng(seed).integers(0, 2, (2, rows))
    of_one = np.where(said, 0.9, 0.1)
    return np.log(np.stack([1 - of_one, of_one], axis=2)).astype(np.float32), said[0] ^ said[1]


def test_trees_learn_what_depends_on_two_members_at_once() -> None:
    log_probs, labels = exclusive_or(400, seed=0)
    others, truth = exclusive_or(100, seed=1)
    assert accuracy(build("stacking_by_trees").fit(log_probs, labels).predict(others), truth) == 1
    assert accuracy(build("stacking_on_probs").fit(log_probs, labels).predict(others), truth) < 0.8


def test_trees_stop_early_where_there_is_nothing_to_learn() -> None:
    log_probs, labels = members(rows=2 * N)
    useful = TreeStacking().fit(log_probs, labels)
    shuffled = np.random.default_rng(1).permutation(labels)
    useless = TreeStacking().fit(log_probs, shuffled)
    assert useful.rounds is not None
    assert useless.rounds is not None
    assert useless.rounds < useful.rounds <= ROUNDS
    assert log_loss(useless.predict(log_probs), np.random.default_rng(2).permutation(labels)) < np.log(K) + 0.1
