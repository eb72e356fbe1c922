"""Noise of a sensor, in every channel of every pixel by itself; knows nothing of what is in the image."""

from __future__ import annotations

import numpy as np

from benchmark.corruptions import CORRUPTIONS, REFERENCE, Shares


@CORRUPTIONS.register(
    "gaussian_noise",
    space={},
    reference=REFERENCE,
    group="noise",
    order=1,
    severities={"deviation": (0.04, 0.06, 0.08, 0.09, 0.10)},
)
def gaussian_noise(images: Shares, rng: np.random.Generator, deviation: float) -> Shares:
    """Add normal noise, as of little light."""
    return images + np.float32(deviation) * rng.standard_normal(images.shape, np.float32)


@CORRUPTIONS.register(
    "shot_noise",
    space={},
    reference=REFERENCE,
    group="noise",
    order=2,
    severities={"photons": (500, 250, 100, 75, 50)},
)
def shot_noise(images: Shares, rng: np.random.Generator, photons: int) -> Shares:
    """Draw from a Poisson distribution: light comes in whole photons, so many of them at full brightness."""
    return rng.poisson(images * photons).astype(np.float32) / np.float32(photons)


@CORRUPTIONS.register(
    "impulse_noise",
    space={},
    reference=REFERENCE,
    group="noise",
    order=3,
    severities={"share": (0.01, 0.02, 0.03, 0.05, 0.07)},
)
def impulse_noise(images: Shares, rng: np.random.Generator, share: float) -> Shares:
    """Set a share of the values to 0 or 1, half of them each: salt and pepper, as of wrong bits."""
    draw = rng.random(images.shape, np.float32)
    return np.where(draw < share, (draw < share / 2).astype(np.float32), images)
