"""Registration refuses what contradicts itself; look-up says what would have been right."""

from __future__ import annotations

import pytest
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from benchmark.errors import UnknownNameError
from benchmark.registry import RegistrationError, Registry, contains

WIDTH = {"width": IntDistribution(16, 64, step=16)}


@pytest.fixture
def things() -> Registry[..., int]:
    # A package without modules that register, so that loading adds nothing.
    return Registry("thing", "benchmark.datasets")


def test_entry_keeps_what_was_registered(things: Registry[..., int]) -> None:
    @things.register("square", space=WIDTH, reference="Euclid", order=3)
    def square(size: int, *, width: int = 32) -> int:
        return width * width * size

    entry = things["square"]
    assert entry.build(2, width=16) == 512
    assert square(1) == 1024
    assert dict(entry.defaults) == {"width": 32}
    assert dict(entry.space) == WIDTH
    assert (entry.reference, entry.tags["order"]) == ("Euclid", 3)
    assert list(things) == ["square"]
    assert "square" in things
    assert len(things) == 1


def test_entry_cannot_be_changed(things: Registry[..., int]) -> None:
    things.register("square", space=WIDTH, reference="Euclid")(lambda *, width=32: width)
    with pytest.raises(TypeError):
        things["square"].space["depth"] = IntDistribution(1, 2)  # type: ignore[index]


@pytest.mark.parametrize("space", [{}, {"depth": IntDistribution(1, 2)}, {**WIDTH, "depth": IntDistribution(1, 2)}])
def test_space_has_to_match_the_keywords(things: Registry[..., int], space: dict[str, BaseDistribution]) -> None:
    with pytest.raises(RegistrationError, match="keyword-only arguments are"):
        things.register("square", space=space, reference="Euclid")(lambda *, width=32: width)
    assert "square" not in things


def test_default_is_required(things: Registry[..., int]) -> None:
    def square(*, width: int) -> int:
        return width

    with pytest.raises(RegistrationError, match="width needs a default"):
        things.register("square", space=WIDTH, reference="Euclid")(square)


@pytest.mark.parametrize("default", [15, 17, 80, "32", None])
def test_default_has_to_lie_in_the_space(things: Registry[..., int], default: object) -> None:
    def square(*, width: object = default) -> int:
        return 0

    with pytest.raises(RegistrationError, match="lies outside"):
        things.register("square", space=WIDTH, reference="Euclid")(square)


def test_name_is_registered_once(things: Registry[..., int]) -> None:
    things.register("square", space=WIDTH, reference="Euclid")(lambda *, width=32: width)
    with pytest.raises(RegistrationError, match="registered twice"):
        things.register("square", space=WIDTH, reference="Euclid")(lambda *, width=16: width)
    assert things["square"].defaults["width"] == 32


def test_reference_is_required(things: Registry[..., int]) -> None:
    with pytest.raises(RegistrationError, match="needs a reference"):
        things.register("square", space=WIDTH, reference="")(lambda *, width=32: width)


def test_unknown_name_gets_the_nearest(things: Registry[..., int]) -> None:
    things.register("square", space=WIDTH, reference="Euclid")(lambda *, width=32: width)
    with pytest.raises(UnknownNameError, match=r"unknown thing 'sqare'; did you mean 'square'\?"):
        things["sqare"]
    with pytest.raises(UnknownNameError, match=r"known: square"):
        things["zzzz"]


@pytest.mark.parametrize(
    ("distribution", "value", "expected"),
    [
        (CategoricalDistribution((True, False)), True, True),
        (CategoricalDistribution(("a", "b")), "c", False),
        (FloatDistribution(0.1, 1.0), 0.1, True),
        (FloatDistribution(0.1, 1.0), 1.01, False),
        (FloatDistribution(0.1, 1.0), "x", False),
        (FloatDistribution(0.1, 1.0), float("nan"), False),
        (IntDistribution(2, 8, step=3), 5, True),
        (IntDistribution(2, 8, step=3), 6, False),
    ],
)
def test_contains(distribution: BaseDistribution, value: object, expected: bool) -> None:
    assert contains(distribution, value) is expected
