"""Growing images: which sizes at which share of the budget, what they cost, and how they are made smaller."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from benchmark.records import ImageShape
from benchmark.space import GROWTH_SPACE
from benchmark.training.growth import Growth, resized


def growth(side: int, start_size: float) -> Growth:
    return Growth.of(ImageShape(3, side, side), start_size)


@pytest.mark.parametrize(
    ("shape", "start_size", "sizes"),
    [
        (ImageShape(3, 32, 32), 0.625, ((20, 20), (26, 26), (32, 32))),
        (ImageShape(3, 32, 32), 0.5, ((16, 16), (24, 24), (32, 32))),
        (ImageShape(3, 32, 32), 0.75, ((24, 24), (28, 28), (32, 32))),
        (ImageShape(3, 32, 32), 1.0, ((32, 32),)),
        (ImageShape(1, 28, 28), 0.5, ((14, 14), (20, 20), (28, 28))),
        (ImageShape(3, 64, 48), 0.5, ((32, 24), (48, 36), (64, 48))),
        # Networks take nothing below 8 pixels a side, and a side that is below it stays.
        (ImageShape(3, 12, 40), 0.5, ((8, 20), (8, 30), (12, 40))),
        (ImageShape(3, 8, 8), 0.5, ((8, 8), (8, 8), (8, 8))),
        (ImageShape(3, 5, 32), 0.5, ((5, 16), (5, 24), (5, 32))),
    ],
    ids=str,
)
def test_sizes(shape: ImageShape, start_size: float, sizes: tuple[tuple[int, int], ...]) -> None:
    assert Growth.of(shape, start_size).sizes == sizes


@pytest.mark.parametrize("start_size", [0.01, 0.3, *GROWTH_SPACE["start_size"].choices, 0.99])  # type: ignore[attr-defined]
def test_sizes_grow_between_the_smallest_and_the_full(start_size: float) -> None:
    for side in range(1, 66):
        sides = [height for height, _ in growth(side, start_size).sizes]
        assert sides == sorted(sides)
        assert sides[-1] == side
        assert sides[0] >= min(8, side)
        assert all(size % 2 == 0 for size in sides if size not in (side, min(8, side)))


@pytest.mark.parametrize(
    ("share", "side"),
    [(0.0, 20), (0.3333, 20), (1 / 3, 26), (0.5, 26), (0.6666, 26), (2 / 3, 32), (0.9, 32), (1.0, 32)],
)
def test_stages_are_thirds_of_the_budget(share: float, side: int) -> None:
    assert growth(32, 0.625).size(share) == (side, side)
    assert growth(32, 1.0).size(share) == (32, 32)


def test_mean_seconds_by_hand() -> None:
    """Sides 16, 24 and 32: 256, 576 and 1,024 pixels, so that the middle lies 5/12 of the way."""
    assert growth(32, 0.5).mean_seconds(1.0, 7.0) == pytest.approx((1.0 + (1.0 + 6.0 * 5 / 12) + 7.0) / 3)


def test_mean_seconds_of_a_part_by_hand() -> None:
    """From the middle of the second third on: a sixth of the budget in the middle size, a third in full size."""
    found = growth(32, 0.5).mean_seconds(1.0, 7.0, 0.5, 1.0)
    assert found == pytest.approx((1.0 + 6.0 * 5 / 12) / 3 + 7.0 * 2 / 3)
    assert growth(32, 0.5).mean_seconds(1.0, 7.0, 0.1, 0.2) == pytest.approx(1.0)


def test_mean_seconds_of_a_single_size() -> None:
    assert growth(32, 1.0).mean_seconds(3.0, 3.0) == 3.0
    # Images that are too small to grow.
    assert growth(8, 0.5).mean_seconds(3.0, 3.0) == 3.0


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("size", [(20, 20), (26, 26), (8, 31)])
def test_resized_is_plain_interpolation(size: tuple[int, int], layout: torch.memory_format) -> None:
    images = torch.randn(4, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    found = resized(images.contiguous(memory_format=layout), size)
    assert found.shape == (4, 3, *size)
    expected = functional.interpolate(images, size=size, mode="bilinear", antialias=True)
    torch.testing.assert_close(found, expected)
    aliased = functional.interpolate(images, size=size, mode="bilinear")
    assert not torch.allclose(found, aliased, atol=1e-2)


def test_resized_keeps_a_constant_and_what_has_its_size() -> None:
    images = torch.full((2, 1, 12, 10), 0.7)
    torch.testing.assert_close(resized(images, (8, 8)), torch.full((2, 1, 8, 8), 0.7))
    assert resized(images, (12, 10)) is images
    assert resized(images, None) is images
