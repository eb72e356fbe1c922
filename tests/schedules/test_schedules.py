"""Every schedule keeps its contract: multipliers in [0, 1], and nothing left where the budget ends."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from optuna.distributions import FloatDistribution

from benchmark.schedules import SCHEDULES, ramp

SHARES = [step / 200 for step in range(201)]


def corners(name: str) -> list[dict[str, Any]]:
    space = SCHEDULES[name].space
    ends = []
    for distribution in space.values():
        assert isinstance(distribution, FloatDistribution)
        ends.append((distribution.low, distribution.high))
    return [
        dict(SCHEDULES[name].defaults),
        *(dict(zip(space, corner, strict=True)) for corner in itertools.product(*ends)),
    ]


CASES = [(name, params) for name in SCHEDULES for params in corners(name)]


@pytest.mark.parametrize(("name", "params"), CASES)
def test_contract(name: str, params: dict[str, Any]) -> None:
    schedule = SCHEDULES[name].build(**params)
    values = [schedule(share) for share in SHARES]
    assert all(0.0 <= value <= 1.0 for value in values)
    assert values[-1] == pytest.approx(0.0, abs=1e-12)
    assert max(values) > 0.98
    top = values.index(max(values))
    assert values[: top + 1] == sorted(values[: top + 1])
    assert values[top:] == sorted(values[top:], reverse=True)


@pytest.mark.parametrize(
    ("name", "params", "share", "expected"),
    [
        ("linear", {"warmup": 0.2}, 0.0, 0.0),
        ("linear", {"warmup": 0.2}, 0.1, 0.5),
        ("linear", {"warmup": 0.2}, 0.2, 1.0),
        ("linear", {"warmup": 0.2}, 0.6, 0.5),
        ("linear", {"warmup": 0.0}, 0.0, 1.0),
        ("cosine", {"warmup": 0.2}, 0.1, 0.5),
        ("cosine", {"warmup": 0.2}, 0.2, 1.0),
        ("cosine", {"warmup": 0.2}, 0.6, 0.5),
        ("cosine", {"warmup": 0.0}, 0.0, 1.0),
        ("cosine", {"warmup": 0.0}, 0.25, 0.5 + 0.5**1.5),
        ("one_cycle", {"peak": 0.5}, 0.0, 0.2),
        ("one_cycle", {"peak": 0.5}, 0.25, 0.6),
        ("one_cycle", {"peak": 0.5}, 0.5, 1.0),
        ("one_cycle", {"peak": 0.5}, 0.75, 0.5),
    ],
)
def test_values(name: str, params: dict[str, Any], share: float, expected: float) -> None:
    assert SCHEDULES[name].build(**params)(share) == pytest.approx(expected)


def test_ramp_without_warmup_divides_by_nothing() -> None:
    assert ramp(0.0, 0.0) == 1.0
    assert ramp(0.05, 0.1, start=0.5) == pytest.approx(0.75)
