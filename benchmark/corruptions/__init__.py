"""Common corruptions of images at five severities; knows no model and no data set, and imports no torch.

The 15 of Hendrycks & Dietterich 2019, arXiv:1903.12261, section 4.1, with the severities of their CIFAR-10-C
(github.com/hendrycks/robustness, ImageNet-C/create_c/make_cifar_c.py). Those were chosen for images of 32 x 32 pixels:
of smaller images a blur of so many pixels hides more, of larger ones less.

The images are not those of the published arrays. Random numbers are others; frost is drawn here, where the authors mix
in photographs (see weather.frost); and OpenCV, scikit-image and ImageMagick round where these functions do not.

A function maps images, float32 (N, H, W, C) in [0, 1] with H and W at least 8 and C 1 or 3, a generator and one
severity's parameters to images of that shape; `corrupted` keeps them in [0, 1]. Tags: `group`, the paper's;
`order`, the place in the paper's list; `severities`, five values of each parameter, the mildest first.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmark.errors import BenchError
from benchmark.registry import Registry
from benchmark.seeds import derived_seed

Shares = NDArray[np.float32]
"""Images (N, H, W, C) in [0, 1]."""

CORRUPTIONS: Registry[..., Shares] = Registry("corruption", __name__)

SEVERITIES = (1, 2, 3, 4, 5)
LEAST_PIXELS = 8
REFERENCE = "Hendrycks and Dietterich 2019, arXiv:1903.12261, section 4.1 and appendix B"
_BLOCK, _BLOCK_PIXELS = 500, 500 * 32 * 32
"""Images at a time, and their pixels, with random numbers of their own: it bounds memory, and fewer would be slower."""
_ROUNDING = 1e-3
"""Of a level: more than float32 loses, so that a pixel that was left alone stays what it was."""


def corruption_names() -> list[str]:
    """Registered names in the paper's order: noise, blur, weather, digital."""
    return sorted(CORRUPTIONS, key=lambda name: int(CORRUPTIONS[name].tags["order"]))


def parameters_of(name: str, severity: int) -> Mapping[str, Any]:
    """What the corruption is called with at a severity, 1 to 5. Raises UnknownNameError, and BenchError."""
    severities = CORRUPTIONS[name].tags["severities"]
    if severity not in SEVERITIES:
        raise BenchError(f"a severity is a whole number from 1 to 5, not {severity}")
    return {parameter: values[severity - 1] for parameter, values in severities.items()}


def corrupted(pixels: NDArray[np.uint8], name: str, severity: int, *, seed: int = 0) -> NDArray[np.uint8]:
    """Images uint8 (N, H, W, C), corrupted: the same for the same seed, name, severity and images before them.

    Raises UnknownNameError for the name; BenchError for a severity outside 1 to 5, and for images that are smaller than
    8 x 8 pixels or neither gray nor RGB.
    """
    parameters = parameters_of(name, severity)
    if pixels.dtype != np.uint8 or pixels.ndim != 4 or min(pixels.shape[1:3]) < LEAST_PIXELS:
        raise BenchError(
            f"images to corrupt are uint8 (N, H, W, C) of at least {LEAST_PIXELS} x {LEAST_PIXELS} pixels, "
            f"not {pixels.dtype} {pixels.shape}"
        )
    if pixels.shape[3] not in (1, 3):
        raise BenchError(f"images to corrupt are gray or RGB; these have {pixels.shape[3]} channels")
    result = np.empty_like(pixels)
    size = max(1, min(_BLOCK, _BLOCK_PIXELS // (pixels.shape[1] * pixels.shape[2])))
    for number, start in enumerate(range(0, len(pixels), size)):
        rng = np.random.default_rng(derived_seed(seed, f"{name} {severity}", number))
        block = slice(start, start + size)
        result[block] = to_bytes(CORRUPTIONS[name].build(to_shares(pixels[block]), rng, **parameters))
    return result


def to_shares(pixels: NDArray[np.uint8]) -> Shares:
    """Levels 0 to 255 as float32 in [0, 1]."""
    shares: Shares = pixels.astype(np.float32) / np.float32(255)
    return shares


def to_bytes(shares: Shares) -> NDArray[np.uint8]:
    """Shares, held within [0, 1], as levels 0 to 255; cut off and not rounded, as the published arrays were made."""
    return (np.clip(shares, 0, 1) * np.float32(255) + np.float32(_ROUNDING)).astype(np.uint8)
