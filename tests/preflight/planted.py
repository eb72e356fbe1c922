"""Data sets in which the tests know what is wrong."""

from __future__ import annotations

import numpy as np

from benchmark.records import Dataset, Images

CLASSES = ("cat", "dog", "frog")


def noise(train_rows: int = 60, test_rows: int = 30, size: tuple[int, int, int] = (16, 16, 3)) -> Dataset:
    """Nothing is wrong: independent noise of 40..200, whose correlations are near 0; classes in turn."""
    rng = np.random.default_rng(0)
    train, test = (
        Images(rng.integers(40, 201, (rows, *size), np.uint8), np.arange(rows) % len(CLASSES))
        for rows in (train_rows, test_rows)
    )
    return Dataset("planted", CLASSES, train, test, "f" * 64)


def noised(image: np.ndarray, levels: int) -> np.ndarray:
    """The image with independent noise of -levels..levels; of 40..200 no value leaves 0..255 for up to 40."""
    return (image + np.random.default_rng(1).integers(-levels, levels + 1, image.shape)).astype(np.uint8)
