"""Greedy selection by hand, and step by step against Caruana's algorithm written plainly."""

import numpy as np
import pytest
from synthetic_members import alike, constant, members

from benchmark.ensemblers import greedy_selection
from benchmark.ensemblers._voting import weighted_mean
from benchmark.ensemblers.greedy_selection import GreedySelection, MayJoin, Metric, Path, select
from benchmark.errors import BenchError
from benchmark.metrics import accuracy, log_loss
from benchmark.temperature import FittedTemperature, fit_temperature

ZEROS = np.zeros(6, np.int64)


def plain_selection(log_probs: np.ndarray, labels: np.ndarray, metric: Metric, steps: int = 25) -> list[int]:
    """Caruana et al. 2004, section 2: every member's mean with those in is scored afresh at every step."""
    probs = np.exp(log_probs.astype(np.float64))
    chosen: list[int] = []
    for _ in range(steps):
        keys = []
        for member in range(len(probs)):
            mean = np.log(probs[[*chosen, member]].mean(axis=0)).astype(np.float32)
            right = accuracy(mean, labels) if metric == "accuracy" else 0
            keys.append((-right, fit_temperature(mean.T, labels).log_loss, member not in chosen, member))
        chosen.append(min(keys)[-1])
    return chosen


@pytest.mark.parametrize("metric", ["log_loss", "accuracy"])
@pytest.mark.parametrize("seed", range(4))
def test_follows_the_published_algorithm(seed: int, metric: Metric) -> None:
    log_probs, labels = members(seed=seed, count=15, rows=300)
    log_probs[::3] *= 0.3  # Members whose confidence is far from the others'.
    log_probs -= np.log(np.exp(log_probs).sum(axis=2, keepdims=True))
    path = select(log_probs, labels, metric=metric)
    assert list(path.chosen) == plain_selection(log_probs, labels, metric)
    for length in (1, 2, 25):
        votes = np.bincount(path.chosen[:length], minlength=15) / length
        mean = weighted_mean(log_probs, votes)
        assert path.losses[length - 1] == pytest.approx(fit_temperature(mean.T, labels).log_loss, abs=1e-6)
        assert path.accuracies[length - 1] == accuracy(mean, labels)


def test_few_candidates_are_fitted_in_full(monkeypatch: pytest.MonkeyPatch) -> None:
    fits = 0

    def counting(logits: np.ndarray, labels: np.ndarray, start: float) -> FittedTemperature:
        nonlocal fits
        fits += 1
        return fit_temperature(logits, labels, start)

    monkeypatch.setattr(greedy_selection, "fit_temperature", counting)
    path = select(*alike(count=30, rows=1000))
    assert len(path.chosen) == 25
    assert len(set(path.chosen)) > 5
    assert fits < 25 * 30 / 5


def entropy(share: float) -> float:
    return float(-(share * np.log(share) + (1 - share) * np.log(1 - share)))


def test_by_hand() -> None:
    # Three members, each wrong on one row of its own, and a fourth that repeats their errors.
    # Step 1: after temperature a member costs the entropy of its share of right rows; the first of the equals is taken.
    # Step 2: 0 + 1 is undecided (log 2) on two rows and right on the rest, where temperature makes the cost vanish.
    # Step 3: 0 + 1 + 2 is right everywhere, with margins that only the same thirds reach again.
    log_probs = np.stack([constant([0]), constant([1]), constant([2]), constant([0, 1, 2, 3])])
    path = select(log_probs, ZEROS)
    assert path.chosen[:3] == (0, 1, 2)
    assert len(path.chosen) == len(path.losses) == len(path.accuracies) == 25
    assert path.losses[0] == pytest.approx(entropy(5 / 6), abs=1e-5)
    assert path.losses[1] == pytest.approx(2 / 6 * np.log(2), abs=1e-3)
    assert path.losses[2] == pytest.approx(0, abs=1e-3)
    assert GreedySelection().fit(log_probs, ZEROS).weights == pytest.approx([1 / 3, 1 / 3, 1 / 3, 0])


def test_accuracy_by_hand() -> None:
    # The first is wrong on one row, and knows nothing of the others but which class is a little likelier; the second is
    # wrong on two and sure of the rest. Accuracy takes the first, log loss the second. Then the second repairs the
    # first's error (0.9 outvotes 0.51) and makes two; the third repairs it too, and makes none.
    log_probs = np.stack([constant([0], confidence=0.51), constant([1, 2]), constant([3, 4, 5], confidence=0.6)])
    path = select(log_probs, ZEROS, steps=2, metric="accuracy")
    assert path.chosen == (0, 0)
    log_probs[2] = constant([], confidence=0.52)
    log_probs[2, 3:] = np.log([0.495, 0.505])
    path = select(log_probs, ZEROS, steps=2, metric="accuracy")
    assert path.chosen == (0, 2)
    assert path.accuracies == pytest.approx((5 / 6, 1))


def test_accuracy_takes_the_lower_loss_of_equals() -> None:
    # Both are right on four rows of six; the second doubts where it is wrong.
    doubting = constant([0, 1])
    doubting[:2] = np.log([0.45, 0.55])
    log_probs = np.stack([constant([2, 3]), doubting])
    assert select(log_probs, ZEROS, steps=1, metric="accuracy").chosen == (1,)


def test_prefers_a_member_already_in() -> None:
    # A uniform vote only lowers confidence, which temperature undoes: adding it and adding member 1 again tie.
    # Of two equal probabilities the first counts, here the wrong one.
    log_probs = np.stack([np.full((6, 2), np.log(0.5), np.float32), constant([0])[:, ::-1]])
    for metric in ("log_loss", "accuracy"):
        assert select(log_probs, 1 - ZEROS, steps=3, metric=metric).chosen == (1, 1, 1)


def test_takes_the_earlier_of_equals() -> None:
    log_probs = np.stack([constant([0, 1]), constant([2]), constant([2])])
    for metric in ("log_loss", "accuracy"):
        assert select(log_probs, ZEROS, steps=1, metric=metric).chosen == (1,)


def test_may_add_a_member_twice() -> None:
    log_probs, labels = members(seed=5, count=6)
    chosen = select(log_probs, labels).best_prefix()
    assert len(set(chosen)) < len(chosen)


def test_is_not_misled_by_label_smoothing() -> None:
    # The same member twice, once with its confidence lowered: raw log loss sees two, temperature sees one.
    sharp, labels = members(seed=2, count=1)
    soft = sharp[0] * 0.2
    soft -= np.log(np.exp(soft).sum(axis=1, keepdims=True))
    costs = [select(member[None], labels, steps=1).losses[0] for member in (sharp[0], soft)]
    assert log_loss(soft, labels) > log_loss(sharp[0], labels) + 0.05
    assert costs[0] == pytest.approx(costs[1], abs=1e-6)


def test_only_those_join_that_may() -> None:
    log_probs, labels = members(seed=5, count=8)
    parameters = np.array([1, 1, 2, 2, 4, 4, 8, 8])
    asked: list[tuple[frozenset[int], int]] = []

    def within_limit(inside: frozenset[int], candidate: int) -> bool:
        asked.append((inside, candidate))
        return bool(parameters[[*inside, candidate]].sum() <= 9)

    free, limited = select(log_probs, labels), select(log_probs, labels, may_join=within_limit)
    assert parameters[list(set(free.chosen))].sum() > 9 >= parameters[list(set(limited.chosen))].sum()
    assert len(limited.chosen) == 25
    assert all(candidate not in inside for inside, candidate in asked)
    assert asked[0] == (frozenset(), 0)


def alone(inside: frozenset[int], candidate: int) -> bool:
    return not inside


def never(inside: frozenset[int], candidate: int) -> bool:
    return False


def test_member_that_is_in_may_always_be_added_again() -> None:
    log_probs, labels = members()
    chosen = select(log_probs, labels, steps=4, may_join=alone).chosen
    assert chosen == (select(log_probs, labels, steps=1).chosen[0],) * 4


def test_path_is_empty_where_nothing_may_join() -> None:
    log_probs, labels = members()
    assert select(log_probs, labels, may_join=never).chosen == ()
    with pytest.raises(BenchError, match="no member fits the limits"):
        GreedySelection(may_join=never).fit(log_probs, labels)


def path_of(chosen: tuple[int, ...], losses: tuple[float, ...], accuracies: tuple[float, ...] | None = None) -> Path:
    if accuracies is None:
        return Path("log_loss", chosen, losses, tuple(0.5 for _ in chosen))
    return Path("accuracy", chosen, losses, accuracies)


def test_best_prefix_is_the_shortest_of_equals() -> None:
    assert path_of((3, 1, 3, 2), (0.5, 0.4, 0.4, 0.45)).best_prefix() == (3, 1)
    assert path_of((3, 1, 3), (0.5, 0.4 + 5e-8, 0.4)).best_prefix() == (3, 1)
    assert path_of((3, 1, 3), (0.5, 0.4 + 1e-5, 0.4)).best_prefix() == (3, 1, 3)


def test_best_prefix_by_accuracy_takes_the_lower_loss_of_equals() -> None:
    assert path_of((3, 1, 3, 2), (0.5, 0.4, 0.3, 0.2), (0.8, 0.9, 0.9, 0.85)).best_prefix() == (3, 1, 3)
    assert path_of((3, 1, 3, 2), (0.5, 0.3, 0.3, 0.2), (0.8, 0.9, 0.9, 0.85)).best_prefix() == (3, 1)


def test_best_prefix_of_few_members() -> None:
    path = path_of((3, 3, 1, 3, 2), (0.5, 0.45, 0.46, 0.4, 0.3))
    assert [path.best_prefix(members) for members in (1, 2, 3, 9)] == [(3, 3), (3, 3, 1, 3), path.chosen, path.chosen]
    with pytest.raises(ValueError, match="at most 0 members"):
        path.best_prefix(0)


@pytest.mark.parametrize("metric", ["log_loss", "accuracy"])
def test_up_to_votes_by_the_best_prefix_of_the_same_path(metric: Metric) -> None:
    log_probs, labels = members(seed=5, count=8)
    selection = GreedySelection(metric).fit(log_probs, labels)
    assert selection.path == select(log_probs, labels, metric=metric)
    assert selection.weights is not None
    counts = []
    for limit in range(1, 9):
        few = selection.up_to(limit)
        assert few.weights is not None
        kept = selection.path.best_prefix(limit)
        assert few.weights == pytest.approx(np.bincount(kept, minlength=8) / len(kept))
        assert np.array_equal(few.predict(log_probs), weighted_mean(log_probs, few.weights))
        counts.append(np.count_nonzero(few.weights))
    assert counts[0] == 1
    assert all(count <= limit for limit, count in enumerate(counts, start=1))
    assert np.array_equal(selection.up_to(8).weights, selection.weights)


def test_up_to_before_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="fit first"):
        GreedySelection().up_to(2)


def limit_of(most: int) -> MayJoin:
    return lambda inside, candidate: len(inside) < most


def test_limits_by_may_join_look_ahead_no_less_than_up_to() -> None:
    # A path that knows its limit spends every step within it; a prefix of a free path stops where the limit is met.
    log_probs, labels = members(seed=5, count=8)
    free = GreedySelection().fit(log_probs, labels)
    limited = GreedySelection(may_join=limit_of(2)).fit(log_probs, labels)
    assert free.path is not None
    assert limited.path is not None
    assert np.count_nonzero(limited.weights) == 2
    assert min(limited.path.losses) <= free.path.losses[len(free.path.best_prefix(2)) - 1]
