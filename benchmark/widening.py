"""How much wider a network a long run bears than short ones chose; knows the space, no trial and no storage.

Of a given amount of computation, network and images seen are to grow together, each with its square root (Hoffmann et
al. 2022, arXiv:2203.15556, section 3.4). A convolutional network costs the square of its width per image, so that the
best width grows with the fourth root of the computation. A search among short trials cannot find that: what a long run
wants loses in a short one.
"""

from __future__ import annotations

from optuna.distributions import CategoricalDistribution, IntDistribution

from benchmark.architectures import ARCHITECTURES
from benchmark.records import Parameters, ParameterValue
from benchmark.space import Space

_BALANCED_PASSES = 7.0
"""Passes over the training rows that a network is just wide enough for: measured, see docs/decisions.md."""
_MOST = 2.0
"""Times the width. Nothing beyond was measured, and rows that were seen often teach less than new ones would."""


def widened(space: Space, family: str, values: Parameters, passes: float) -> dict[str, ParameterValue]:
    """The width, by full parameter name, for a budget in which this network would pass `passes` times over the rows.

    `values`: a configuration of the family. The widest that the space has up to the width wanted; empty where that is
    none wider than the network is, or where the family has no width.
    """
    if (name := _width_of(family)) is None:
        return {}
    present = _whole(values[name])
    wanted = present * min((passes / _BALANCED_PASSES) ** 0.25, _MOST)
    wider = [one for one in _widths(space, name) if present < one <= wanted]
    return {name: max(wider)} if wider else {}


def cost_ratio(family: str, values: Parameters, changes: Parameters) -> float:
    """How many times as much an image costs with such changes: the square of the ratio of widths."""
    name = _width_of(family)
    if name is None or name not in changes:
        return 1.0
    return (_whole(changes[name]) / _whole(values[name])) ** 2


def _width_of(family: str) -> str | None:
    """The family's width by full parameter name."""
    width = ARCHITECTURES[family].tags.get("width")
    return None if width is None else f"{family}.{width}"


def _widths(space: Space, name: str) -> list[int]:
    distribution = space.distributions({name: None})[name]
    if isinstance(distribution, CategoricalDistribution):
        return [_whole(one) for one in distribution.choices]
    assert isinstance(distribution, IntDistribution)
    return list(range(distribution.low, distribution.high + 1, distribution.step))


def _whole(value: ParameterValue) -> int:
    assert isinstance(value, int)
    return value
