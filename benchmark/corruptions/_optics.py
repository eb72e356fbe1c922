"""What several corruptions do to images (N, H, W, C): filter, move, enlarge, and look between pixels."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from benchmark.corruptions import Shares

_NO_WEIGHT = 1e-5
"""Weights below this move no level of 255."""


def correlated(images: Shares, kernel: NDArray[np.float64]) -> Shares:
    """Weighted mean of each pixel's neighbours, by a kernel of odd sides; outer pixels are mirrored, not repeated."""
    height, width = images.shape[1:3]
    above, left = kernel.shape[0] // 2, kernel.shape[1] // 2
    padded = np.pad(images, ((0, 0), (above, above), (left, left), (0, 0)), mode="reflect")
    total = np.zeros_like(images)
    for (row, column), weight in np.ndenumerate(kernel):
        if weight > _NO_WEIGHT:
            total += np.float32(weight) * padded[:, row : row + height, column : column + width]
    return total


def in_motion(images: Shares, degrees: NDArray[np.float64], radius: int, deviation: float) -> Shares:
    """Each pixel as the mean over a line that begins there, with half of a Gaussian as weights.

    The line has 2 * `radius` + 1 pixels, rounded to whole ones, and leads to the right where `degrees` (N,) of an image
    are 0, and down where they are 90. ImageMagick's MotionBlurImage, which the authors call. Outer pixels are repeated.
    """
    count, height, width, channels = images.shape
    steps = np.arange(2 * radius + 1)
    weights = np.exp(-(steps**2) / (2 * deviation**2))
    weights /= weights.sum()
    flat, radians = images.reshape(-1, channels), np.deg2rad(degrees)
    first = (np.arange(count) * height * width)[:, None, None]
    total = np.zeros_like(flat)
    for step, weight in zip(steps, weights, strict=True):
        if weight < _NO_WEIGHT:
            break
        down, right = (np.ceil(step * turn - 0.5).astype(np.int64) for turn in (np.sin(radians), np.cos(radians)))
        rows = np.clip(np.arange(height) + down[:, None], 0, height - 1)
        columns = np.clip(np.arange(width) + right[:, None], 0, width - 1)
        places = first + rows[:, :, None] * width + columns[:, None, :]
        total += np.float32(weight) * flat[places.ravel()]
    return total.reshape(images.shape)


@lru_cache(maxsize=32)
def zoom_operator(shape: tuple[int, int], factor: float) -> Any:
    """The middle of an image enlarged to the whole, a sparse matrix (H * W, H * W) that pixels are multiplied by.

    Linear interpolation, as scipy.ndimage.zoom does it: the outer pixels of what is enlarged stay the outer ones.
    """
    return sparse.csr_array(sparse.kron(*(_zoom_weights(size, factor) for size in shape)))


def _zoom_weights(size: int, factor: float) -> Any:
    """(size, size) float32: what each place of one axis takes from where; `size` whole pixels are cut out."""
    inside = math.ceil(size / factor)
    enlarged = round(inside * factor)
    places = (np.arange(size) + (enlarged - size) // 2) * ((inside - 1) / (enlarged - 1))
    low = np.minimum(places.astype(np.int64), inside - 2)
    weights = np.zeros((size, size), np.float32)
    for offset, weight in ((0, 1 - (places - low)), (1, places - low)):
        weights[np.arange(size), (size - inside) // 2 + low + offset] = weight
    return sparse.csr_array(weights)


def between_pixels(images: Shares, rows: Shares, columns: Shares, *, edge: str) -> Shares:
    """Images at places (N, H, W), in pixels from the first, by linear interpolation.

    `edge`: "mirror" goes on beyond the outer pixels as a mirror in their middle shows, "reflect" as one at their edge.
    """
    count, height, width, channels = images.shape
    flat = images.reshape(-1, channels)
    first = (np.arange(count) * height * width)[:, None, None]
    down, right = (rows - np.floor(rows))[..., None], (columns - np.floor(columns))[..., None]
    top, left = np.floor(rows).astype(np.int64), np.floor(columns).astype(np.int64)
    total = np.zeros_like(images)
    for row, share_down in ((top, 1 - down), (top + 1, down)):
        for column, share_right in ((left, 1 - right), (left + 1, right)):
            places = first + _folded(row, height, edge) * width + _folded(column, width, edge)
            total += (share_down * share_right) * flat[places.ravel()].reshape(images.shape)
    return total


def _folded(places: NDArray[np.int64], size: int, edge: str) -> NDArray[np.int64]:
    """Places of an axis, any whole numbers, folded back into 0..size-1."""
    last = 2 * size - (2 if edge == "mirror" else 1)
    places = places % (last if edge == "mirror" else last + 1)
    return np.minimum(places, last - places)
