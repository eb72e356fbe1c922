"""A variation is a configuration of the family near the given one, and another one."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest

from benchmark.definition import parse_study
from benchmark.parameters import FAMILY
from benchmark.records import ParameterValue
from benchmark.registry import contains
from benchmark.space import Space
from benchmark.variation import varied

DEFINITION = """\
dataset = "digits"
families = ["cnn", "resnet"]
[budget]
epochs = 1
[space]
batch_size = [64, 128, 256, 512]
"""
DRAWS = 400


@pytest.fixture(scope="module")
def space() -> Space:
    return Space(parse_study("mine", DEFINITION, "mine.toml"))


def variations(space: Space, family: str, count: int = DRAWS) -> list[dict[str, ParameterValue]]:
    generator = np.random.default_rng(0)
    return [varied(space, family, space.expert(family), generator) for _ in range(count)]


@pytest.mark.parametrize("family", ["cnn", "resnet"])
def test_a_variation_is_a_configuration_of_the_family_and_another_one(space: Space, family: str) -> None:
    expert = space.expert(family)
    for found in variations(space, family):
        assert found != expert
        assert FAMILY not in found
        asked = []
        space.configure(family, lambda name, _: asked.append(name) or found[name], seed=0)  # type: ignore[func-returns-value]  # noqa: B023
        assert set(asked) == set(found)
        for name, distribution in space.distributions(found).items():
            assert contains(distribution, found[name])


def test_most_parameters_stay(space: Space) -> None:
    expert = space.expert("cnn")
    changed = [sum(found.get(name) != value for name, value in expert.items()) for found in variations(space, "cnn")]
    assert min(changed) >= 1
    assert 2 < np.mean(changed) < len(expert) / 3


def test_numbers_move_a_little_on_the_scale_that_they_are_searched_on(space: Space) -> None:
    expert = space.expert("cnn")
    distribution = space.distributions(["muon.lr"])["muon.lr"]
    low, high = math.log(distribution.low), math.log(distribution.high)  # type: ignore[attr-defined]
    rates = [float(found["muon.lr"]) for found in variations(space, "cnn") if "muon.lr" in found]
    moves = [(math.log(rate) - math.log(float(expert["muon.lr"]))) / (high - low) for rate in rates]
    moved = [move for move in moves if move]
    assert len(moved) > 20
    assert 0.08 < np.std(moved) < 0.2
    assert abs(np.mean(moved)) < 0.08


def test_a_choice_among_numbers_moves_to_the_next_one(space: Space) -> None:
    sizes = Counter(found["batch_size"] for found in variations(space, "resnet"))
    assert space.expert("resnet")["batch_size"] == 128
    assert set(sizes) == {64, 128, 256}
    assert sizes[128] > sizes[64] + sizes[256]


def test_what_another_choice_makes_active_has_the_experts_value(space: Space) -> None:
    with_adamw = [found for found in variations(space, "cnn") if found["optimizer"] == "adamw"]
    assert with_adamw
    kept = [found["adamw.lr"] == space.expert_value("cnn", "adamw.lr") for found in with_adamw]
    assert 0.6 < np.mean(kept) < 1.0


def test_the_generator_decides(space: Space) -> None:
    assert variations(space, "cnn", 5) == variations(space, "cnn", 5)
    assert len({tuple(sorted(found.items())) for found in variations(space, "cnn", 30)}) == 30


def test_where_there_is_nothing_to_vary_the_configuration_comes_back() -> None:
    free = Space(parse_study("mine", DEFINITION, "mine.toml"))
    expert = free.expert("resnet")
    fixed = "".join(
        f"{name!r} = [{str(value).lower() if isinstance(value, bool) else repr(value)}]\n"
        for name, value in expert.items()
    )
    narrow = DEFINITION.replace("batch_size = [64, 128, 256, 512]\n", fixed)
    space = Space(parse_study("mine", narrow, "mine.toml"))
    assert varied(space, "resnet", expert, np.random.default_rng(0)) == expert
