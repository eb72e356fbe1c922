"""What processing does to images: flat contrast, warping, few pixels, JPEG; knows nothing of what is in them."""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import gaussian_filter

from benchmark.corruptions import CORRUPTIONS, REFERENCE, Shares, to_bytes, to_shares
from benchmark.corruptions._optics import between_pixels


@CORRUPTIONS.register(
    "contrast",
    space={},
    reference=REFERENCE,
    group="digital",
    order=12,
    severities={"factor": (0.75, 0.5, 0.4, 0.3, 0.15)},
)
def contrast(images: Shares, _: np.random.Generator, factor: float) -> Shares:
    """Shrink each channel's distance from its mean over the image."""
    means = images.mean(axis=(1, 2), keepdims=True)
    flattened: Shares = means + np.float32(factor) * (images - means)
    return flattened


@CORRUPTIONS.register(
    "elastic_transform",
    space={},
    reference=f"{REFERENCE}; Simard et al. 2003, doi:10.1109/ICDAR.2003.1227801, section 2",
    group="digital",
    order=13,
    severities={
        "shift": (0, 0.05, 0.08, 0.1, 0.1),
        "deviation": (0, 0.2, 0.06, 0.04, 0.03),
        "corners": (0.08, 0.07, 0.06, 0.05, 0.03),
    },
)
def elastic_transform(
    images: Shares, rng: np.random.Generator, shift: float, deviation: float, corners: float
) -> Shares:
    """An affine map, then shifts of single pixels; all three lengths are shares of the shorter side.

    The affine map moves three points around the middle by up to `corners` in either direction. Pixels are then taken
    from up to `shift` away, uniform noise that is smoothed by a Gaussian of `deviation`. Severities rise in the second
    and fall in the first, so that a mild one may move an image further than a strong one.
    """
    count, height, width, _ = images.shape
    side = min(height, width)
    columns, rows = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    sources = _affine_sources(rng, count, (height, width), corners * side)
    grid = np.stack([columns.ravel(), rows.ravel(), np.ones(height * width, np.float32)], axis=1)
    across, down = (grid @ sources).reshape(count, height, width, 2).transpose(3, 0, 1, 2)
    images = between_pixels(images, down, across, edge="mirror")
    if not shift:
        return images
    noise = rng.uniform(-1, 1, (2, count, height, width)).astype(np.float32)
    smooth = deviation * side
    down, across = shift * side * gaussian_filter(noise, (0, 0, smooth, smooth), mode="reflect", truncate=3)
    return between_pixels(images, rows + down, columns + across, edge="reflect")


def _affine_sources(rng: np.random.Generator, count: int, shape: tuple[int, int], most: float) -> NDArray[np.float32]:
    """Affine maps (N, 3, 2) from x, y, 1 of a pixel to x, y of its source, for points moved by up to `most` pixels."""
    height, width = shape
    middle, reach = np.array([width // 2, height // 2]), min(shape) // 3
    points = middle + reach * np.array([(1, 1), (1, -1), (-1, -1)])
    moved = points + rng.uniform(-most, most, (count, 3, 2))
    maps = np.linalg.solve(np.concatenate([moved, np.ones((count, 3, 1))], axis=2), points[None].astype(np.float64))
    return maps.astype(np.float32)


@CORRUPTIONS.register(
    "pixelate",
    space={},
    reference=REFERENCE,
    group="digital",
    order=14,
    severities={"share": (0.95, 0.9, 0.85, 0.75, 0.65)},
)
def pixelate(images: Shares, _: np.random.Generator, share: float) -> Shares:
    """Make the image smaller, to a share of each side, and as large as before again, without interpolation."""

    def through_few(picture: Image.Image) -> Image.Image:
        few = (int(picture.width * share), int(picture.height * share))
        return picture.resize(few, Image.Resampling.BOX).resize(picture.size, Image.Resampling.BOX)

    return _one_by_one(images, through_few)


@CORRUPTIONS.register(
    "jpeg_compression",
    space={},
    reference=REFERENCE,
    group="digital",
    order=15,
    severities={"quality": (80, 65, 58, 50, 40)},
)
def jpeg_compression(images: Shares, _: np.random.Generator, quality: int) -> Shares:
    """Compress the image and read it back."""

    def through_jpeg(picture: Image.Image) -> Image.Image:
        file = BytesIO()
        picture.save(file, "JPEG", quality=quality)
        return Image.open(file)

    return _one_by_one(images, through_jpeg)


def _one_by_one(images: Shares, change: Callable[[Image.Image], Image.Image]) -> Shares:
    """Apply what Pillow does to single pictures of bytes."""
    pixels = to_bytes(images)
    pictures = pixels if pixels.shape[3] == 3 else pixels[..., 0]
    changed = np.stack([np.asarray(change(Image.fromarray(picture))) for picture in pictures])
    return to_shares(changed.reshape(pixels.shape))
