"""Who may be in an ensemble: the best, and what limits allow."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from candidates import CANDIDATES, LABELS_VAL, MIXED, entrant, members_of

from benchmark.ensemble import Limits, top_candidates
from benchmark.ensemble.pools import cheapest_first
from benchmark.errors import BenchError
from benchmark.metrics import accuracy
from benchmark.records import Predictions, Split


def test_top_candidates_are_the_best_on_validation() -> None:
    by_hand = sorted(CANDIDATES, key=lambda one: -accuracy(one.val.log_probs, LABELS_VAL))
    assert top_candidates(CANDIDATES, LABELS_VAL, 3) == by_hand[:3]


def test_ties_go_to_log_loss_then_to_the_earlier_trial() -> None:
    one, same = entrant(8, 1.0, noise=1), entrant(5, 1.0, noise=1)
    flat = one.val.log_probs * 0.5
    flat -= np.log(np.exp(flat).sum(axis=1, keepdims=True))
    vague = replace(entrant(2, 1.0), val=Predictions(Split.VAL, flat))
    assert members_of(top_candidates([vague, one, same], LABELS_VAL, 3)) == [5, 8, 2]


def test_a_candidate_that_breaks_a_limit_gives_way_to_the_next() -> None:
    best = members_of(top_candidates(MIXED, LABELS_VAL, 7))
    assert set(best[:4]) == {1, 3, 5, 6}
    two = members_of(top_candidates(MIXED, LABELS_VAL, 4, Limits(per_family=2)))
    assert [number in (5, 6) for number in two].count(True) == 2
    assert two == [number for number in best if number in two]
    cheap = members_of(top_candidates(MIXED, LABELS_VAL, 4, Limits(parameters=10_000)))
    assert sum(10**number for number in cheap) <= 10_000
    quick = members_of(top_candidates(MIXED, LABELS_VAL, 4, Limits(latency_ms=6.0)))
    assert sum(1.0 + number for number in quick) <= 6.0
    assert len(top_candidates(MIXED, LABELS_VAL, 5, Limits(members=2))) == 2


def test_limits_read_as_what_they_are() -> None:
    assert str(Limits(members=3, latency_ms=2.5)) == "at most 3 members, at most 2.5 ms"
    assert not Limits()
    assert Limits(per_family=1)


@pytest.mark.parametrize("limit", [{"members": 0}, {"latency_ms": -1.0}, {"parameters": 0}, {"per_family": 0}])
def test_limits_are_more_than_nothing(limit: dict[str, float]) -> None:
    with pytest.raises(BenchError, match="more than 0"):
        Limits(**limit)  # type: ignore[arg-type]


def test_a_model_without_a_measured_latency_is_within_no_limit_of_it() -> None:
    unmeasured = replace(CANDIDATES[1], cost=replace(CANDIDATES[1].cost, latency_ms=None))
    assert Limits(members=1).allow([unmeasured])
    assert not Limits(latency_ms=1e9).allow([unmeasured])


def test_nothing_within_the_limits_is_said() -> None:
    with pytest.raises(BenchError, match=r"no single model is within the limits: at most 0\.5 ms"):
        top_candidates(CANDIDATES, LABELS_VAL, 2, Limits(latency_ms=0.5))


def test_latencies_that_nobody_measured_are_said() -> None:
    unmeasured = [replace(one, cost=replace(one.cost, latency_ms=None)) for one in CANDIDATES]
    with pytest.raises(BenchError, match="the latency of this study's trials was not measured"):
        top_candidates(unmeasured, LABELS_VAL, 2, Limits(latency_ms=5))


@pytest.mark.parametrize(
    ("count", "top", "message"),
    [
        (5, 6, "top 6 asks for more than the 5 completed trials"),
        (1, 2, "at least 2 completed trials, not 1"),
        (0, 5, "at least 2 completed trials, not 0"),
        (5, 1, "at least 2 models, not 1"),
    ],
)
def test_too_few_candidates_are_refused(count: int, top: int, message: str) -> None:
    with pytest.raises(BenchError, match=message):
        top_candidates(CANDIDATES[:count], LABELS_VAL, top)


def test_cheapest_come_first() -> None:
    assert members_of(cheapest_first([CANDIDATES[3], CANDIDATES[0], CANDIDATES[2]])) == [0, 2, 3]
