"""Blur: out of focus, through glass, in motion, and while zooming in; knows nothing of what is in the image."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import gaussian_filter

from benchmark.corruptions import CORRUPTIONS, REFERENCE, Shares, to_bytes, to_shares
from benchmark.corruptions._optics import correlated, in_motion, zoom_operator

_ZOOM_STEP = 0.01


@CORRUPTIONS.register(
    "defocus_blur",
    space={},
    reference=REFERENCE,
    group="blur",
    order=4,
    severities={"radius": (0.3, 0.4, 0.5, 1, 1.5), "softness": (0.4, 0.5, 0.6, 0.2, 0.1)},
)
def defocus_blur(images: Shares, _: np.random.Generator, radius: float, softness: float) -> Shares:
    """Mean over a disk of `radius` pixels, whose edge is softened by a Gaussian of three pixels a side.

    Below a radius of 1 the disk is one pixel, and all blur is the softening. The outer pixels are mirrored.
    """
    reach = int(radius) + 1
    place = np.arange(-reach, reach + 1)
    disk = (place[:, None] ** 2 + place**2 <= radius**2).astype(np.float64)
    edge = np.exp(-(np.arange(-1, 2) ** 2) / (2 * softness**2))
    edge /= edge.sum()
    for axis in (0, 1):
        disk = np.apply_along_axis(np.convolve, axis, disk, edge, mode="same")
    return correlated(images, disk / disk.sum())


@CORRUPTIONS.register(
    "glass_blur",
    space={},
    reference=REFERENCE,
    group="blur",
    order=5,
    severities={"deviation": (0.05, 0.25, 0.4, 0.25, 0.4), "rounds": (1, 1, 1, 2, 2)},
)
def glass_blur(images: Shares, rng: np.random.Generator, deviation: float, rounds: int) -> Shares:
    """Blur a little, have each pixel take the value of a neighbour at random, `rounds` times, and blur again.

    The neighbour is the pixel itself, the left one, the upper one, or that above on the left; the first two rows and
    columns stay. The authors' script sets out to swap the two, but both sides of its swap are views of one array, so
    that the neighbour keeps its value. It goes from the last pixel to the first: no neighbour has changed before.
    """
    images = to_shares(to_bytes(_softened(images, deviation)))
    count, height, width, _ = images.shape
    every, rows, columns = np.ogrid[:count, 2:height, 2:width]
    for _ in range(rounds):
        up, left = rng.integers(2, size=(2, count, height - 2, width - 2), dtype=np.int8)
        images[:, 2:, 2:] = images[every, rows - up, columns - left]
    return _softened(images, deviation)


def _softened(images: Shares, deviation: float) -> Shares:
    return gaussian_filter(images, (0, deviation, deviation, 0), mode="nearest")  # type: ignore[no-any-return]


@CORRUPTIONS.register(
    "motion_blur",
    space={},
    reference=REFERENCE,
    group="blur",
    order=6,
    severities={"radius": (6, 6, 6, 8, 9), "deviation": (1, 1.5, 2, 2, 2.5)},
)
def motion_blur(images: Shares, rng: np.random.Generator, radius: int, deviation: float) -> Shares:
    """Move every image in a direction of its own, within 45 degrees of level."""
    return in_motion(images, rng.uniform(-45, 45, len(images)), radius, deviation)


@CORRUPTIONS.register(
    "zoom_blur",
    space={},
    reference=REFERENCE,
    group="blur",
    order=7,
    # numpy.arange(1, 1.06, 0.01) of the authors' script has 7 values for want of exact sums, and so on.
    severities={"steps": (7, 12, 16, 21, 26)},
)
def zoom_blur(images: Shares, _: np.random.Generator, steps: int) -> Shares:
    """Mean of the image and of so many enlargements of its middle, by 1, 1.01, 1.02, ..."""
    count, height, width, channels = images.shape
    factors = 1 + _ZOOM_STEP * np.arange(steps)
    total = sum(zoom_operator((height, width), factor) for factor in factors) + zoom_operator((height, width), 1.0)
    pixels = images.reshape(count, height * width, channels).transpose(1, 0, 2).reshape(height * width, -1)
    blurred = (total / np.float32(steps + 1)) @ pixels
    result: Shares = blurred.reshape(height * width, count, channels).transpose(1, 0, 2).reshape(images.shape)
    return result
