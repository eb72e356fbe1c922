"""Weather: snow, frost, fog and brightness; knows nothing of what is in the image."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from benchmark.corruptions import CORRUPTIONS, REFERENCE, Shares
from benchmark.corruptions._optics import in_motion, zoom_operator

_LUMA = np.array([0.299, 0.587, 0.114], np.float32)
"""ITU-R BT.601."""


@CORRUPTIONS.register(
    "snow",
    space={},
    reference=REFERENCE,
    group="weather",
    order=8,
    severities={
        "mean": (0.1, 0.1, 0.15, 0.25, 0.3),
        "deviation": (0.2, 0.2, 0.3, 0.3, 0.3),
        "zoom": (1, 1, 1.75, 2.25, 1.25),
        "least": (0.6, 0.5, 0.55, 0.6, 0.65),
        "radius": (8, 10, 10, 12, 14),
        "smear": (3, 4, 4, 6, 12),
        "keep": (0.95, 0.9, 0.9, 0.85, 0.8),
    },
)
def snow(
    images: Shares,
    rng: np.random.Generator,
    mean: float,
    deviation: float,
    zoom: float,
    least: float,
    radius: int,
    smear: float,
    keep: float,
) -> Shares:
    """Falling flakes over an image that is whitened.

    Flakes are normal noise, enlarged by `zoom`, as far as it is above `least`, in motion from the sky; they are seen
    twice, once turned upside down. The image keeps a share of its own and is whitened by the rest.
    """
    count, height, width, _ = images.shape
    noise = rng.normal(mean, deviation, (count, height * width)).astype(np.float32)
    flakes = (zoom_operator((height, width), zoom) @ noise.T).T.reshape(count, height, width, 1)
    flakes = np.where(flakes < least, np.float32(0), np.minimum(flakes, np.float32(1)))
    flakes = in_motion(flakes, rng.uniform(-135, -45, len(images)), radius, smear)
    gray = images @ _LUMA[:, None] if images.shape[3] == 3 else images
    whitened = keep * images + (1 - keep) * np.maximum(images, gray * np.float32(1.5) + np.float32(0.5))
    snowy: Shares = whitened + flakes + flakes[:, ::-1, ::-1]
    return snowy


_PLATES = np.array(
    [(78, 149, 165, 14), (198, 203, 212, 18), (198, 203, 212, 18), (143, 158, 171, 26), (103, 114, 126, 35)], np.float32
) / np.float32(255)
"""Mean red, green and blue of five photographs of frost, and the standard deviation within 32 x 32 pixels of them."""
_GRAIN, _NEEDLES, _DRIFTS = 0.35, 0.75, 0.56
"""Deviations of the three layers of which frost is drawn, as shares of the whole."""
_DRIFT_PIXELS = 5.0


@CORRUPTIONS.register(
    "frost",
    space={},
    reference=f"{REFERENCE}; the frost itself is ours",
    group="weather",
    order=9,
    severities={"keep": (1, 1, 0.9, 0.85, 0.75), "add": (0.2, 0.3, 0.4, 0.4, 0.45)},
)
def frost(images: Shares, rng: np.random.Generator, keep: float, add: float) -> Shares:
    """A share of the image and a share of frost, added up.

    The authors cut their frost out of five photographs, of which two are the same. Frost here is drawn: needles of ice
    in random directions, with grain and drifts, in the photographs' mean colours and with their deviation.
    """
    plates = _PLATES[rng.integers(len(_PLATES), size=len(images))][:, None, None, :]
    ice: Shares = plates[..., :3] + plates[..., 3:] * _ice(rng, images.shape[:3])
    if images.shape[3] == 1:
        ice = ice @ _LUMA[:, None]
    frosted: Shares = np.float32(keep) * images + np.float32(add) * np.clip(ice, 0, 1)
    return frosted


def _ice(rng: np.random.Generator, shape: tuple[int, ...]) -> Shares:
    """(N, H, W, 1) of mean 0 and deviation 1: neighbours correlate about as in the photographs."""
    count, *_ = shape
    lines = [in_motion(_normal(rng, shape), rng.uniform(0, 360, count), 4, 1.5) for _ in range(3)]
    needles = np.maximum.reduce(lines)
    needles = (needles - needles.mean(axis=(1, 2, 3), keepdims=True)) / needles.std(axis=(1, 2, 3), keepdims=True)
    drifts = gaussian_filter(_normal(rng, shape), (0, _DRIFT_PIXELS, _DRIFT_PIXELS, 0), mode="wrap")
    # Smoothing divides the deviation of noise over a plane by so much.
    drifts *= np.float32(2 * np.sqrt(np.pi) * _DRIFT_PIXELS)
    parts = ((_GRAIN, _normal(rng, shape)), (_NEEDLES, needles), (_DRIFTS, drifts))
    ice: Shares = np.add.reduce([np.float32(share) * part for share, part in parts])
    return ice


def _normal(rng: np.random.Generator, shape: tuple[int, ...]) -> Shares:
    return rng.standard_normal((*shape, 1), np.float32)


@CORRUPTIONS.register(
    "fog",
    space={},
    reference=f"{REFERENCE}; Fournier et al. 1982, doi:10.1145/358523.358553 (diamond-square)",
    group="weather",
    order=10,
    severities={"density": (0.2, 0.5, 0.75, 1, 1.5), "decay": (3, 3, 2.5, 2, 1.75)},
)
def fog(images: Shares, rng: np.random.Generator, density: float, decay: float) -> Shares:
    """Add a cloud, and darken the whole so that nothing is brighter than the brightest pixel was."""
    _, height, width, _ = images.shape
    brightest = images.max(axis=(1, 2, 3), keepdims=True)
    cloud = _clouds(rng, len(images), max(height, width), decay)[:, :height, :width, None]
    foggy: Shares = (images + np.float32(density) * cloud) * (brightest / (brightest + np.float32(density)))
    return foggy


def _clouds(rng: np.random.Generator, count: int, side: int, decay: float) -> NDArray[np.float32]:
    """Fractal clouds in [0, 1], float32 (N, S, S), S the next power of 2 from `side`, by the diamond-square method.

    Edges join. What a step adds to the mean of four neighbours is uniform, and `decay` squared times less in every
    further step, since the authors' script multiplies its amplitude by itself.
    """
    size = 1 << (side - 1).bit_length()
    clouds = np.zeros((count, size, size), np.float32)
    step, amplitude = size, np.float32(1)
    while step > 1:
        half = step // 2
        corners = clouds[:, ::step, ::step]
        tops = corners + np.roll(corners, -1, axis=2)
        centres = _means(tops + np.roll(tops, -1, axis=1), amplitude, rng)
        clouds[:, half::step, half::step] = centres
        above_below = centres + np.roll(centres, 1, axis=1)
        clouds[:, ::step, half::step] = _means(above_below + tops, amplitude, rng)
        left_right = centres + np.roll(centres, 1, axis=2) + corners + np.roll(corners, -1, axis=1)
        clouds[:, half::step, ::step] = _means(left_right, amplitude, rng)
        step, amplitude = half, amplitude / np.float32(decay**2)
    low, high = (edge(axis=(1, 2), keepdims=True) for edge in (clouds.min, clouds.max))
    scaled: NDArray[np.float32] = (clouds - low) / (high - low)
    return scaled


def _means(sums: NDArray[np.float32], amplitude: np.float32, rng: np.random.Generator) -> NDArray[np.float32]:
    return sums / np.float32(4) + amplitude * (2 * rng.random(sums.shape, np.float32) - 1)


@CORRUPTIONS.register(
    "brightness",
    space={},
    reference=REFERENCE,
    group="weather",
    order=11,
    severities={"more": (0.05, 0.1, 0.15, 0.2, 0.3)},
)
def brightness(images: Shares, _: np.random.Generator, more: float) -> Shares:
    """Raise the value of hue, saturation and value: the largest channel, the others in proportion."""
    value = images.max(axis=3, keepdims=True)
    raised = np.minimum(value + np.float32(more), 1)
    # Black has no hue: it turns gray.
    brighter: Shares = np.where(value > 0, images * (raised / np.maximum(value, np.float32(1e-6))), raised)
    return brighter
