"""Every augmentation keeps its contract, and each does what its name says."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import pytest
import torch
from optuna.distributions import BaseDistribution, CategoricalDistribution
from torch import Tensor

from benchmark.augmentations import AUGMENTATIONS, Augmentation, Batch

NAMES = list(AUGMENTATIONS)
FILL = torch.tensor([0.5, 0.25, 0.75])


def batch_of(images: Tensor, *, seed: int = 0, epoch: int = 0, num_classes: int = 4) -> Batch:
    count, channels = images.shape[:2]
    return Batch(
        images=images.contiguous(memory_format=torch.channels_last),
        targets=torch.eye(num_classes)[torch.arange(count) % num_classes],
        indices=torch.arange(count),
        epoch=epoch,
        fill=FILL[:1].expand(channels) if channels != 3 else FILL,
        generator=torch.Generator().manual_seed(seed),
    )


def noise(count: int = 16, channels: int = 3, height: int = 12, width: int = 10, dtype: Any = torch.uint8) -> Tensor:
    generator = torch.Generator().manual_seed(5)
    pixels = torch.randint(0, 256, (count, channels, height, width), dtype=torch.uint8, generator=generator)
    return pixels if dtype == torch.uint8 else pixels.to(dtype) / 255


def corner(name: str, which: str) -> Augmentation:
    def value(distribution: BaseDistribution) -> Any:
        if isinstance(distribution, CategoricalDistribution):
            return distribution.choices[0 if which == "low" else -1]
        return getattr(distribution, which)

    entry = AUGMENTATIONS[name]
    if which == "default":
        return entry.build(**entry.defaults)
    return entry.build(**{key: value(distribution) for key, distribution in entry.space.items()})


CASES = [
    pytest.param(name, dtype, id=f"{name}-{'uint8' if dtype == torch.uint8 else 'float'}")
    for name in NAMES
    for dtype in ([torch.uint8] if AUGMENTATIONS[name].tags["on_uint8"] else []) + [torch.float32]
]


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("which", ["low", "high"])
@pytest.mark.parametrize(("name", "dtype"), CASES)
def test_keeps_shape_type_range_and_memory_format(name: str, dtype: torch.dtype, which: str, channels: int) -> None:
    before = batch_of(noise(channels=channels, dtype=dtype))
    kept = before.images.clone()
    after = corner(name, which)(before)
    assert after.images.shape == before.images.shape
    assert after.images.dtype == dtype
    assert after.images.is_contiguous(memory_format=torch.channels_last)
    if dtype != torch.uint8:
        assert after.images.min() >= 0
        assert after.images.max() <= 1
    assert after.targets.shape == before.targets.shape
    assert after.targets.min() >= 0
    torch.testing.assert_close(after.targets.sum(1), torch.ones(len(kept)))
    assert torch.equal(before.images, kept), "the batch that came in was changed"
    assert after.indices is before.indices
    assert after.epoch == before.epoch


@pytest.mark.parametrize(("name", "dtype"), CASES)
def test_draws_an_own_parameter_for_every_sample(name: str, dtype: torch.dtype) -> None:
    same = noise(1, height=32, width=32, dtype=dtype).expand(64, -1, -1, -1)
    # Mixing an image with its copy changes nothing: there the targets tell.
    after = corner(name, "high")(batch_of(same))
    seen = torch.cat([after.images.float().flatten(1), after.targets.sort(1).values], dim=1)
    assert len(seen.unique(dim=0)) >= 2
    if name != "flip":
        assert len(seen.unique(dim=0)) > 30


@pytest.mark.parametrize("which", ["default", "high"])
@pytest.mark.parametrize("name", NAMES)
def test_follows_the_generator(name: str, which: str) -> None:
    augment = corner(name, which)
    torch.manual_seed(1)
    first = augment(batch_of(noise(dtype=torch.float32), seed=3))
    torch.manual_seed(2)
    again = augment(batch_of(noise(dtype=torch.float32), seed=3))
    assert torch.equal(first.images, again.images)
    assert torch.equal(first.targets, again.targets)
    other = augment(batch_of(noise(dtype=torch.float32), seed=4))
    by_hash = name == "flip" and which == "default"
    assert torch.equal(first.images, other.images) == by_hash


def test_orders_are_distinct_and_byte_wise_work_comes_first() -> None:
    ordered = sorted(NAMES, key=lambda name: AUGMENTATIONS[name].tags["order"])
    assert ordered == ["flip", "crop", "rotation", "color", "cutout", "mixup"]


def is_mirrored(before: Tensor, after: Tensor) -> Tensor:
    mirrored = (after == before.flip(3)).flatten(1).all(1)
    assert torch.equal(~mirrored, (after == before).flatten(1).all(1))
    return mirrored


def test_alternating_flip_mirrors_exactly_the_other_images_next_epoch() -> None:
    augment = AUGMENTATIONS["flip"].build(mode="alternating")
    images = noise(1000)
    first, second, third = (
        is_mirrored(images, augment(batch_of(images, epoch=epoch, seed=epoch)).images) for epoch in range(3)
    )
    assert torch.equal(first, ~second)
    assert torch.equal(first, third)
    assert 430 < int(first.sum()) < 570
    # Neither neighbours nor rows some power of two apart agree more often than by chance.
    for distance in (1, 2, 4, 64, 256):
        assert 0.4 < (first[distance:] == first[:-distance]).float().mean() < 0.6


def test_alternating_flip_follows_the_row_not_the_place_in_the_batch() -> None:
    augment = AUGMENTATIONS["flip"].build(mode="alternating")
    batch = batch_of(noise(64))
    order = torch.randperm(64, generator=torch.Generator().manual_seed(0))
    shuffled = dataclasses.replace(batch, images=batch.images[order], indices=order)
    assert torch.equal(augment(shuffled).images, augment(batch).images[order])


def test_random_flip_mirrors_half_of_the_images() -> None:
    images = noise(1000)
    mirrored = is_mirrored(images, AUGMENTATIONS["flip"].build(mode="random")(batch_of(images)).images)
    assert 430 < int(mirrored.sum()) < 570


def test_crop_is_a_window_of_the_reflected_image() -> None:
    images = noise(200, height=8, width=9, dtype=torch.float32)
    padded = torch.nn.functional.pad(images, (2, 2, 2, 2), mode="reflect")
    after = AUGMENTATIONS["crop"].build(pixels=2)(batch_of(images)).images
    windows = padded.unfold(2, 8, 1).unfold(3, 9, 1).permute(0, 2, 3, 1, 4, 5)  # (B, 5, 5, C, H, W)
    matches = (windows == after[:, None, None]).flatten(3).all(3)
    assert torch.equal(matches.flatten(1).sum(1), torch.ones(200, dtype=torch.long))
    assert matches.any(0).all(), "some of the 25 places never come up"


def test_crop_without_shift_changes_nothing() -> None:
    images = noise()
    assert torch.equal(AUGMENTATIONS["crop"].build(pixels=0)(batch_of(images)).images, images)


def test_rotation_turns_about_the_centre_in_pixels() -> None:
    """A wide image of a slope: turned by a, the slope's direction turns by a, whatever the aspect."""
    height, width = 24, 48
    x = (torch.arange(width) + 0.5 - width / 2).expand(height, width) / 100
    after = AUGMENTATIONS["rotation"].build(degrees=30.0)(batch_of((x + 0.5).expand(50, 1, height, width))).images[:, 0]
    centre = after[:, height // 2 - 3 : height // 2 + 3, width // 2 - 3 : width // 2 + 3]
    along = (centre[:, 3, 4] - centre[:, 3, 3]) * 100
    across = (centre[:, 4, 3] - centre[:, 3, 3]) * 100
    torch.testing.assert_close(along**2 + across**2, torch.ones(50), rtol=1e-3, atol=1e-3)
    degrees = torch.rad2deg(torch.atan2(across, along))
    assert degrees.abs().max() <= 30.01
    assert degrees.min() < -20
    assert degrees.max() > 20
    torch.testing.assert_close(centre.mean((1, 2)), torch.full((50,), 0.5), rtol=0, atol=1e-4)


def test_color_matches_the_three_steps_done_one_by_one() -> None:
    images = noise(8, dtype=torch.float32) * 0.2 + 0.4  # far enough from 0 and 1 that nothing is clipped
    generator = torch.Generator().manual_seed(0)
    factors = 1 + torch.tensor([0.2, 0.3, 0.4])[:, None] * (2 * torch.rand(3, 8, generator=generator) - 1)
    light, contrast, saturation = factors[:, :, None, None, None]

    def grey(pixels: Tensor) -> Tensor:
        return (pixels * torch.tensor([0.299, 0.587, 0.114])[:, None, None]).sum(1, keepdim=True)

    expected = images * light
    mean = grey(expected).mean((2, 3), keepdim=True)
    expected = mean + contrast * (expected - mean)
    expected = grey(expected) + saturation * (expected - grey(expected))
    augment = AUGMENTATIONS["color"].build(brightness=0.2, contrast=0.3, saturation=0.4)
    torch.testing.assert_close(augment(batch_of(images)).images, expected)


def test_color_leaves_greys_grey() -> None:
    grey = noise(8, channels=1, dtype=torch.float32).expand(-1, 3, -1, -1)
    after = AUGMENTATIONS["color"].build(brightness=0.4, contrast=0.4, saturation=0.4)(batch_of(grey)).images
    torch.testing.assert_close(after[:, 0], after[:, 1])
    torch.testing.assert_close(after[:, 0], after[:, 2])


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
def test_cutout_fills_a_square_that_may_reach_over_the_border(dtype: torch.dtype) -> None:
    images = torch.zeros(400, 3, 16, 16, dtype=dtype)
    after = AUGMENTATIONS["cutout"].build(pixels=6)(batch_of(images)).images
    fill = FILL if dtype == torch.float32 else torch.tensor([128, 64, 191], dtype=torch.uint8)
    hidden = (after == fill[:, None, None]).all(1)
    assert torch.equal(~hidden, (after == 0).all(1))
    rows, columns = hidden.any(2), hidden.any(1)
    assert torch.equal(hidden, rows[:, :, None] & columns[:, None, :])
    for side in (rows, columns):
        inside = ~side[:, 0] & ~side[:, -1]
        assert torch.equal(side[inside].sum(1), torch.full((int(inside.sum()),), 6))
        assert int(side.sum(1).min()) == 3
        assert (side.int().diff(dim=1).abs().sum(1) <= 2).all(), "not one run of positions"


def test_cutout_leaves_half_of_a_side_of_small_images() -> None:
    images = torch.zeros(400, 3, 8, 12)
    after = AUGMENTATIONS["cutout"].build(pixels=16)(batch_of(images)).images
    hidden = (after != 0).any(1)
    assert int(hidden.any(2).sum(1).max()) == 4
    assert int(hidden.any(1).sum(1).max()) == 4


def test_mixup_mixes_images_and_targets_alike_with_beta_weights() -> None:
    count = 4000
    levels = torch.linspace(0, 1, count)
    batch = dataclasses.replace(
        batch_of(levels[:, None, None, None].expand(count, 1, 2, 2)), targets=torch.stack([levels, 1 - levels], 1)
    )
    after = AUGMENTATIONS["mixup"].build(alpha=0.4)(batch)
    assert torch.allclose(after.images[:, 0, 0, 0], after.targets[:, 0])
    before = levels.roll(1)
    weights = ((after.targets[:, 0].double() - before) / (levels - before))[1:]
    # Beta(a, a) has mean 1/2 and variance 1 / (4 (2a + 1)).
    assert abs(weights.mean() - 0.5) < 0.03
    assert math.isclose(weights.var(), 1 / (4 * 1.8), rel_tol=0.05)
