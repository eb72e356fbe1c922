"""What was chosen among short trials, fitted for a long run; knows the space, no trial and no storage.

Two choices turn around with the number of passes over the training rows, so that short trials cannot make them.

Width: of a given amount of computation, network and images seen are to grow together, each with its square root
(Hoffmann et al. 2022, arXiv:2203.15556, section 3.4). A convolutional network costs the square of its width per image,
so that the best width grows with the fourth root of the computation.

Augmentation: while images are new they need no change, and without it they are learned faster; where they come again
and again, a network without it learns them by heart.
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
_FEW_PASSES = 4.0
"""With fewer, a trial says nothing of augmentation."""


def for_long_run(space: Space, family: str, values: Parameters, short: float, long: float) -> dict[str, ParameterValue]:
    """What is changed in a configuration of the family, by full parameter name; empty where nothing is.

    `short`, `long`: passes over the training rows, of the trial that chose it and of the run, with this network.
    """
    return widened(space, family, values, long) | (
        augmented(space, family, values) if short < _FEW_PASSES <= long else {}
    )


def widened(space: Space, family: str, values: Parameters, passes: float) -> dict[str, ParameterValue]:
    """The width for a budget in which this network would pass `passes` times over the rows.

    The widest that the space has up to the width wanted; empty where that is none wider than the network is, or where
    the family has no width.
    """
    if (name := _width_of(family)) is None:
        return {}
    present = _whole(values[name])
    wanted = present * min((passes / _BALANCED_PASSES) ** 0.25, _MOST)
    wider = [one for one in _widths(space, name) if present < one <= wanted]
    return {name: max(wider)} if wider else {}


def augmented(space: Space, family: str, values: Parameters) -> dict[str, ParameterValue]:
    """The augmentations that the family's default has and this configuration has not, with their parameters."""
    expert = space.expert(family)
    missing = [name for name in space.spec.augmentations if expert[name] and not values[name]]
    return {name: value for name, value in expert.items() if name.partition(".")[0] in missing}


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
