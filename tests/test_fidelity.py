"""What a long run has otherwise than the short trial that chose it: by hand."""

from __future__ import annotations

from typing import Any

import pytest

from benchmark.architectures import ARCHITECTURES
from benchmark.definition import BudgetSpec, StudySpec
from benchmark.fidelity import augmented, cost_ratio, for_long_run, widened
from benchmark.records import ParameterValue
from benchmark.space import Space


def space(**narrowed: Any) -> Space:
    families = ("cnn", "resnet", "vgg", "efficientnet")
    return Space(StudySpec("tiny", "digits", families, BudgetSpec(epochs=1.0, seconds=None, reports=1), space=narrowed))


@pytest.mark.parametrize(
    ("passes", "width"),
    [
        (0.0, None),
        (7.0, None),
        # 48 * (13 / 7) ** 0.25 is 56, and the space goes in steps of 16.
        (13.0, None),
        (23.0, 64),
        (55.0, 80),
        # Twice as wide and no more.
        (1e6, 96),
    ],
)
def test_the_width_grows_with_the_fourth_root_of_the_passes(passes: float, width: int | None) -> None:
    expected: dict[str, ParameterValue] = {} if width is None else {"cnn.width": width}
    assert widened(space(), "cnn", {"cnn.width": 48, "batch_size": 512}, passes) == expected


def test_a_study_that_narrows_the_width_is_obeyed() -> None:
    for narrowed in ({"low": 16, "high": 64}, [32, 48, 64]):
        assert widened(space(**{"cnn.width": narrowed}), "cnn", {"cnn.width": 48}, 1e6) == {"cnn.width": 64}
    assert widened(space(**{"cnn.width": [48]}), "cnn", {"cnn.width": 48}, 1e6) == {}


@pytest.mark.parametrize("family", [name for name in ARCHITECTURES if "width" in ARCHITECTURES[name].tags])
def test_every_family_with_a_width_can_be_widened(family: str) -> None:
    found = space()
    expert = found.expert(family)
    (name,) = changes = widened(found, family, expert, 1e6)
    assert expert[name] < changes[name] <= 2 * expert[name]  # type: ignore[operator]
    assert 1 < cost_ratio(family, expert, changes) <= 4


def test_a_family_without_a_width_stays_as_it_is() -> None:
    found = space()
    assert widened(found, "efficientnet", found.expert("efficientnet"), 1e6) == {}


def test_a_long_run_has_the_defaults_augmentation_too() -> None:
    found = space()
    expert = found.expert("cnn")
    bare = {name: value for name, value in expert.items() if not name.startswith(("flip", "crop"))}
    bare |= {"flip": False, "crop": False, "cutout": True, "cutout.pixels": 6}
    restored = {name: value for name, value in expert.items() if name.startswith(("flip", "crop"))}
    assert restored["flip"] is restored["crop"] is True
    assert augmented(found, "cnn", bare) == restored
    # What it has itself stays as it is.
    cropped = {**bare, "crop": True, "crop.pixels": 6}
    assert augmented(found, "cnn", cropped) == {"flip": True, "flip.mode": "alternating"}
    assert augmented(found, "cnn", expert) == {}


@pytest.mark.parametrize(
    ("short", "long", "is_augmented"), [(1.0, 3.9, False), (1.0, 4.0, True), (3.9, 50.0, True), (4.0, 50.0, False)]
)
def test_augmentation_counts_where_images_come_again(short: float, long: float, is_augmented: bool) -> None:
    found = space(**{"cnn.width": [48]})
    bare = {**found.expert("cnn"), "flip": False}
    changes = for_long_run(found, "cnn", bare, short, long)
    assert changes.get("flip", False) is is_augmented


def test_the_cost_grows_with_the_square_of_the_width() -> None:
    assert cost_ratio("cnn", {"cnn.width": 48}, {"cnn.width": 96}) == 4
    assert cost_ratio("cnn", {"cnn.width": 48}, {}) == cost_ratio("efficientnet", {}, {}) == 1
