"""Configurations near a given one; knows the space, no trial and no storage.

Where a family's default is good already, few draws from the whole space come near it, and a model learns of the
neighbourhood late. As in PriorBand (Mallik et al. 2023, arXiv:2306.12370, incumbent-based sampling), a share mutates
the incumbent instead: every parameter is left as it is or, with a fixed chance, moved a little.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from benchmark.records import ParameterValue
from benchmark.space import Space, magnitude, nearest

_CHANCE = 0.2
"""Of a parameter, to be moved: of a family's twenty or so, four on average."""
_DEVIATION = 0.15
"""Standard deviation of a number's move, as a share of its range (on the logarithm, where it is searched so)."""
_ATTEMPTS = 50
"""After so many draws without a change there is nothing to vary."""


def varied(
    space: Space, family: str, values: Mapping[str, ParameterValue], generator: np.random.Generator
) -> dict[str, ParameterValue]:
    """A configuration of the family, by full parameter name, that differs from `values` in a parameter at least.

    `values`: a configuration of the family within the space. A number moves by a normal deviate cut off at its range,
    a choice among numbers to the next one, any other choice to one of the others. A parameter that only another's move
    makes active has its expert's value. Where the space has a single configuration, it comes back.
    """
    found: dict[str, ParameterValue] = {}

    def take(name: str, distribution: BaseDistribution) -> ParameterValue:
        value = values[name] if name in values else space.expert_value(family, name)
        if not distribution.single() and generator.random() < _CHANCE:
            value = _moved(name, distribution, value, generator)
        found[name] = value
        return value

    for _ in range(_ATTEMPTS):
        found.clear()
        space.configure(family, take, seed=0)
        if any(found[name] != values.get(name) for name in found):
            break
    return dict(found)


def _moved(
    name: str, distribution: BaseDistribution, value: ParameterValue, generator: np.random.Generator
) -> ParameterValue:
    """Another value of the parameter's distribution near the given one; a number with a step may stay where it is."""
    if isinstance(distribution, CategoricalDistribution):
        choices = distribution.choices
        others = [choice for choice in choices if choice != value]
        if all(isinstance(choice, int | float) and not isinstance(choice, bool) for choice in choices):
            ordered = sorted(choices, key=lambda choice: magnitude(name, float(choice or 0)))
            place = ordered.index(value)
            others = [ordered[i] for i in (place - 1, place + 1) if 0 <= i < len(ordered)]
        return others[generator.integers(len(others))]
    assert isinstance(distribution, IntDistribution | FloatDistribution)
    assert isinstance(value, int | float)
    low, high, at = (
        (math.log(number) if distribution.log else float(number))
        for number in (distribution.low, distribution.high, value)
    )
    target = math.inf
    while not low <= target <= high:
        target = generator.normal(at, _DEVIATION * (high - low))
    return nearest(name, distribution, math.exp(target) if distribution.log else target)
