"""Every corruption keeps its contract, and each does what its name says."""

from __future__ import annotations

import colorsys
import io
import json
from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from benchmark.corruptions import (
    CORRUPTIONS,
    SEVERITIES,
    corrupted,
    corruption_names,
    parameters_of,
    to_bytes,
    to_shares,
)
from benchmark.corruptions._optics import between_pixels, correlated, in_motion, zoom_operator
from benchmark.errors import BenchError, UnknownNameError

NAMES = corruption_names()
NOT_RISING = {
    "glass_blur": "severity 4 softens less than 3, which hides more of the shuffling",
    "elastic_transform": "the affine part shrinks from severity to severity",
    "frost": "from severity 3 on the image is darkened, which makes up for more frost",
}
WITHOUT_CHANCE = {"defocus_blur", "zoom_blur", "brightness", "contrast", "pixelate", "jpeg_compression"}


def natural(count: int = 24, side: int = 32, channels: int = 3, seed: int = 0) -> NDArray[np.uint8]:
    """Images whose power falls with frequency as that of photographs does."""
    noise = np.random.default_rng(seed).normal(size=(count, channels, side, side))
    frequency = np.hypot(*np.meshgrid(np.fft.fftfreq(side), np.fft.fftfreq(side)))
    frequency[0, 0] = np.inf
    smooth = np.fft.ifft2(np.fft.fft2(noise) / frequency**1.2).real.transpose(0, 2, 3, 1)
    smooth *= 0.2 / smooth.std(axis=(1, 2, 3), keepdims=True)
    return (np.clip(smooth + 0.45, 0, 1) * 255).astype(np.uint8)


def flat(level: int, count: int = 40, side: int = 32) -> NDArray[np.uint8]:
    return np.full((count, side, side, 3), level, np.uint8)


def distance(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> float:
    return float(np.square(one.astype(float) - other).mean())


def run(name: str, images: NDArray[np.float32], severity: int = 1, seed: int = 0) -> NDArray[np.float32]:
    return CORRUPTIONS[name].build(images, np.random.default_rng(seed), **parameters_of(name, severity))


def test_they_are_the_papers_fifteen_in_its_order() -> None:
    assert NAMES == [
        "gaussian_noise", "shot_noise", "impulse_noise",
        "defocus_blur", "glass_blur", "motion_blur", "zoom_blur",
        "snow", "frost", "fog", "brightness",
        "contrast", "elastic_transform", "pixelate", "jpeg_compression",
    ]  # fmt: skip
    groups = [CORRUPTIONS[name].tags["group"] for name in NAMES]
    assert groups == ["noise"] * 3 + ["blur"] * 4 + ["weather"] * 4 + ["digital"] * 4


@pytest.mark.parametrize("name", NAMES)
def test_severities_are_five_of_every_parameter(name: str) -> None:
    severities = CORRUPTIONS[name].tags["severities"]
    assert severities
    assert {len(values) for values in severities.values()} == {len(SEVERITIES)}
    assert len({json.dumps(parameters_of(name, severity)) for severity in SEVERITIES}) == len(SEVERITIES)


@pytest.mark.parametrize("shape", [(3, 8, 8, 1), (3, 8, 11, 3), (2, 32, 32, 3), (2, 20, 9, 1), (1, 40, 40, 3)])
@pytest.mark.parametrize("name", NAMES)
def test_keeps_shape_and_type_and_what_came_in(name: str, shape: tuple[int, ...]) -> None:
    before = np.random.default_rng(1).integers(0, 256, shape, np.uint8)
    kept = before.copy()
    for severity in SEVERITIES:
        after = corrupted(before, name, severity)
        assert after.shape == shape
        assert after.dtype == np.uint8
    assert np.array_equal(before, kept)


@pytest.mark.parametrize("name", NAMES)
def test_the_seed_decides(name: str) -> None:
    images = natural(3)
    first = corrupted(images, name, 3, seed=1)
    assert np.array_equal(first, corrupted(images, name, 3, seed=1))
    assert np.array_equal(first, corrupted(images, name, 3, seed=2)) == (name in WITHOUT_CHANCE)


@pytest.mark.parametrize("name", sorted(set(NAMES) - WITHOUT_CHANCE))
def test_every_image_has_chance_of_its_own(name: str) -> None:
    same = np.repeat(natural(1), 12, axis=0)
    assert len(np.unique(corrupted(same, name, 5).reshape(12, -1), axis=0)) == 12


@pytest.mark.parametrize("name", NAMES)
def test_a_higher_severity_leads_further_from_the_image(name: str) -> None:
    images = natural()
    distances = [distance(corrupted(images, name, severity), images) for severity in SEVERITIES]
    assert min(distances) > 1
    # Motion blur's severities 3 and 4 differ in nothing but how far weights of nothing reach.
    is_rising = all(later > 0.98 * earlier for earlier, later in pairwise(distances))
    assert is_rising == (name not in NOT_RISING), distances


def test_more_images_than_are_worked_on_at_once() -> None:
    images = natural(1).repeat(1200, axis=0)
    whole = corrupted(images, "gaussian_noise", 1)
    assert np.array_equal(whole[:700], corrupted(images[:700], "gaussian_noise", 1)[:700])
    assert not np.array_equal(whole[:500], whole[500:1000])


def test_what_is_refused() -> None:
    with pytest.raises(UnknownNameError, match="unknown corruption 'frots'; did you mean 'frost'"):
        corrupted(natural(1), "frots", 1)
    with pytest.raises(BenchError, match="from 1 to 5, not 0"):
        corrupted(natural(1), "frost", 0)
    with pytest.raises(BenchError, match="at least 8 x 8 pixels"):
        corrupted(natural(1, side=7), "frost", 1)
    with pytest.raises(BenchError, match="gray or RGB; these have 4 channels"):
        corrupted(natural(1, channels=4), "frost", 1)


def test_every_level_survives_as_a_share() -> None:
    levels = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1)
    assert np.array_equal(to_bytes(to_shares(levels)), levels)


@pytest.mark.parametrize(("severity", "deviation"), [(1, 0.04), (2, 0.06), (3, 0.08), (4, 0.09), (5, 0.10)])
def test_gaussian_noise_has_the_published_deviation(severity: int, deviation: float) -> None:
    change = (corrupted(flat(128), "gaussian_noise", severity).astype(float) - 128) / 255
    assert change.std() == pytest.approx(deviation, rel=0.02)
    # Cut off to whole levels, which takes half a level on average.
    assert change.mean() == pytest.approx(-0.5 / 255, abs=3 * deviation / np.sqrt(change.size))


@pytest.mark.parametrize(("severity", "photons"), [(1, 500), (5, 50)])
def test_shot_noise_is_poisson(severity: int, photons: int) -> None:
    for level in (32, 128):
        change = to_shares(corrupted(flat(level), "shot_noise", severity)) - level / 255
        assert change.var() == pytest.approx(level / 255 / photons, rel=0.05)


@pytest.mark.parametrize(("severity", "share"), [(1, 0.01), (5, 0.07)])
def test_impulse_noise_hits_single_values_with_salt_and_pepper_alike(severity: int, share: float) -> None:
    after = corrupted(flat(128, 100), "impulse_noise", severity)
    assert set(np.unique(after)) == {0, 128, 255}
    assert (after == 0).mean() == pytest.approx(share / 2, rel=0.05)
    assert (after == 255).mean() == pytest.approx(share / 2, rel=0.05)


def test_defocus_is_the_mean_over_a_disk() -> None:
    point = np.zeros((1, 9, 9, 1), np.float32)
    point[0, 4, 4] = 1
    spread = run("defocus_blur", point, 5)[0, :, :, 0]
    # Within 1.5 pixels of a pixel lie 9; a softening of 0.1 moves nothing.
    assert spread[3:6, 3:6] == pytest.approx(np.full((3, 3), 1 / 9))
    assert spread.sum() == pytest.approx(1)
    # One pixel softened by a deviation of 0.4: exp(-3.125) beside 1.
    edge = np.array([np.exp(-3.125), 1, np.exp(-3.125)]) / (1 + 2 * np.exp(-3.125))
    assert run("defocus_blur", point, 1)[0, 3:6, 3:6, 0] == pytest.approx(np.outer(edge, edge), abs=1e-6)


def test_correlation_is_that_of_scipy_with_a_mirror() -> None:
    kernel = np.random.default_rng(0).uniform(0.1, 1, (3, 5))
    images = to_shares(natural(2))
    expected = ndimage.correlate(images.astype(np.float64), kernel[None, :, :, None], mode="mirror")
    assert correlated(images, kernel) == pytest.approx(expected, abs=1e-4)


def test_glass_takes_every_pixel_from_itself_or_a_neighbour_before_it() -> None:
    ids = to_shares(np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1))
    after = to_bytes(run("glass_blur", ids))[0, :, :, 0].astype(int)  # its blur of 0.05 pixels is none
    rows, columns = np.divmod(after, 16)
    up, left = np.arange(16)[:, None] - rows, np.arange(16) - columns
    assert set(np.unique(up)) == set(np.unique(left)) == {0, 1}
    assert not up[:2].any()
    assert not left[:, :2].any()
    assert 0.3 < up[2:, 2:].mean() < 0.7


def test_glass_is_the_published_loop() -> None:
    """A loop over pixels from the last to the first, with the same random numbers."""
    images = to_shares(natural(1, 12))
    rng = np.random.default_rng(4)
    expected = to_bytes(images)[0].copy()
    up, left = rng.integers(2, size=(2, 1, 10, 10), dtype=np.int8)
    for row in range(11, 1, -1):
        for column in range(11, 1, -1):
            source = expected[row - up[0, row - 2, column - 2], column - left[0, row - 2, column - 2]]
            expected[row, column] = source
    assert np.array_equal(to_bytes(run("glass_blur", images, 1, seed=4))[0], expected)


@pytest.mark.parametrize(("degrees", "down", "right"), [(0, 0, 1), (90, 1, 0), (-90, -1, 0), (45, 1, 1), (180, 0, -1)])
def test_motion_takes_from_a_line_with_falling_weights(degrees: float, down: int, right: int) -> None:
    point = np.zeros((1, 21, 21, 1), np.float32)
    point[0, 10, 10] = 1
    moved = in_motion(point, np.array([degrees]), 6, 1.0)[0, :, :, 0]
    weights = np.exp(-(np.arange(13) ** 2) / 2)
    weights /= weights.sum()
    if degrees == 45:
        # Steps of 0.71 pixels: the first two come to one, then 2.12 to 2.
        weights = np.array([weights[0], weights[1] + weights[2], *weights[3:]])
    for step, weight in enumerate(weights[:4]):
        assert moved[10 - down * step, 10 - right * step] == pytest.approx(weight, abs=1e-4)
    assert moved.sum() == pytest.approx(1, abs=1e-4)


def test_directions_of_motion_blur_lie_within_45_degrees() -> None:
    point = np.zeros((300, 21, 21, 1), np.float32)
    point[:, 10, 10] = 1
    seen = run("motion_blur", point, 5)[..., 0].sum(axis=0)
    rows, columns = np.nonzero(seen > 1e-4)
    assert (np.abs(rows - 10) <= 10 - columns).all()
    assert columns.min() < 5


@pytest.mark.parametrize("factor", [1.0, 1.03, 1.25, 2.25])
@pytest.mark.parametrize("side", [8, 32])
def test_zoom_is_that_of_scipy_on_the_middle(side: int, factor: float) -> None:
    image = to_shares(natural(1, side))[0]
    inside = int(np.ceil(side / factor))
    first = (side - inside) // 2
    enlarged = ndimage.zoom(image[first : first + inside, first : first + inside], (factor, factor, 1), order=1)
    trim = (len(enlarged) - side) // 2
    expected = enlarged[trim : trim + side, trim : trim + side]
    zoomed = (zoom_operator((side, side), factor) @ image.reshape(side * side, 3)).reshape(image.shape)
    assert zoomed == pytest.approx(expected, abs=1e-5)


def test_zoom_blur_is_the_mean_of_the_image_and_its_enlargements() -> None:
    images = to_shares(natural(2))
    flattened = [image.reshape(-1, 3) for image in images]
    factors = np.arange(1, 1.06, 0.01)
    for image, after in zip(flattened, run("zoom_blur", images, 1), strict=True):
        parts = [zoom_operator((32, 32), factor) @ image for factor in factors]
        assert after.reshape(-1, 3) == pytest.approx((image + sum(parts)) / (len(parts) + 1), abs=1e-5)


def test_between_pixels_is_scipys_interpolation() -> None:
    images = to_shares(natural(2, 9, 1))
    rows, columns = np.random.default_rng(3).uniform(-4, 12, (2, 2, 9, 9)).astype(np.float32)
    found = between_pixels(images, rows, columns, edge="mirror")[..., 0]
    for image, row, column, one in zip(images[..., 0], rows, columns, found, strict=True):
        expected = ndimage.map_coordinates(image.astype(float), [row, column], order=1, mode="mirror")
        assert one == pytest.approx(expected, abs=1e-4)


def test_reflected_places_repeat_the_outer_pixel() -> None:
    line = np.arange(4, dtype=np.float32).reshape(1, 1, 4, 1)
    places = np.array([[[-2, -1, 4, 5]]], np.float32)
    found = between_pixels(line, np.zeros_like(places), places, edge="reflect")
    assert found.ravel().tolist() == [1, 0, 3, 2]


def test_snow_only_brightens() -> None:
    images = natural()
    for severity in SEVERITIES:
        assert (corrupted(images, "snow", severity) >= images).all()


def test_frost_keeps_and_adds_the_published_shares() -> None:
    for severity, keep, add in ((1, 1, 0.2), (5, 0.75, 0.45)):
        black, gray = (corrupted(flat(level, 400), "frost", severity).astype(float) for level in (0, 100))
        assert (gray - black).mean() == pytest.approx(100 * keep, abs=0.6)
        # The mean of the five photographs, channel by channel.
        means = np.array([144.0, 165.4, 176.0])
        assert black.mean(axis=(0, 1, 2)) == pytest.approx(add * means - 0.5, rel=0.06)


def test_fog_is_a_cloud_and_a_veil() -> None:
    images = natural(60)
    for severity in SEVERITIES:
        after = corrupted(images, "fog", severity)
        assert (after.max(axis=(1, 2, 3)) <= images.max(axis=(1, 2, 3))).all()
    veiled = corrupted(images, "fog", 5)
    assert veiled.std(axis=(1, 2)).mean() < images.std(axis=(1, 2)).mean()
    # Of black there is nothing to be seen: the cloud is scaled by the brightest pixel.
    assert not corrupted(flat(0, 2), "fog", 3).any()


def test_clouds_reach_from_0_to_1_and_are_rougher_where_amplitudes_fall_less() -> None:
    from benchmark.corruptions.weather import _clouds

    def roughness(decay: float) -> float:
        clouds = _clouds(np.random.default_rng(0), 50, 32, decay)
        assert clouds.min(axis=(1, 2)) == pytest.approx(0)
        assert clouds.max(axis=(1, 2)) == pytest.approx(1)
        return float(np.abs(np.diff(clouds, axis=2)).mean())

    assert roughness(1.75) > 1.3 * roughness(3)


@pytest.mark.parametrize(("severity", "more"), [(1, 0.05), (5, 0.3)])
def test_brightness_raises_the_value_of_hsv(severity: int, more: float) -> None:
    images = np.random.default_rng(2).integers(0, 256, (1, 8, 8, 3), np.uint8)
    images[0, 0, :4] = [(0, 0, 0), (255, 255, 255), (0, 0, 255), (90, 90, 90)]
    after = run("brightness", to_shares(images), severity)
    for before, found in zip(images.reshape(-1, 3) / 255, after.reshape(-1, 3), strict=True):
        hue, saturation, value = colorsys.rgb_to_hsv(*before)
        assert found == pytest.approx(colorsys.hsv_to_rgb(hue, saturation, min(1, value + more)), abs=1e-5)


def test_contrast_shrinks_each_channels_deviation_and_keeps_its_mean() -> None:
    images = to_shares(natural())
    for severity, factor in zip(SEVERITIES, (0.75, 0.5, 0.4, 0.3, 0.15), strict=True):
        after = run("contrast", images, severity)
        assert after.mean(axis=(1, 2)) == pytest.approx(images.mean(axis=(1, 2)), abs=1e-5)
        assert after.std(axis=(1, 2)) == pytest.approx(factor * images.std(axis=(1, 2)), rel=1e-3)


def test_elastic_moves_pixels_and_makes_none() -> None:
    ramp = np.tile(np.arange(32, dtype=np.float32) / 32, (200, 32, 1))[..., None]
    after = run("elastic_transform", ramp, 1)
    middle = (after - ramp)[:, 16, 16, 0] * 32
    # The middle lies between two corner points, each moved by up to 2.56 pixels.
    assert middle.std() == pytest.approx(2.56 / np.sqrt(3) / np.sqrt(2), rel=0.2)
    assert after.min() >= 0
    assert after.max() <= ramp.max() + 1e-6


@pytest.mark.parametrize(
    ("name", "change"),
    [
        (
            "pixelate",
            lambda picture: picture.resize((20, 20), Image.Resampling.BOX).resize((32, 32), Image.Resampling.BOX),
        ),
        ("jpeg_compression", lambda picture: through_jpeg(picture, 40)),
    ],
)
@pytest.mark.parametrize("channels", [1, 3])
def test_pictures_are_those_of_pillow(name: str, change: Callable[[Image.Image], Image.Image], channels: int) -> None:
    images = natural(2, channels=channels)
    for before, after in zip(images, corrupted(images, name, 5), strict=True):
        picture = Image.fromarray(before if channels == 3 else before[..., 0])
        assert np.array_equal(after.reshape(32, 32, -1), np.asarray(change(picture)).reshape(32, 32, -1))


def through_jpeg(picture: Image.Image, quality: int) -> Image.Image:
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=quality)
    return Image.open(file)
