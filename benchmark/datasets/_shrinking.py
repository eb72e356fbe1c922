"""Images of a data set made smaller, once, and kept; knows no loader and no file of the user's."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from benchmark.cache import Arrays, arrays_made_once, cache_folder
from benchmark.datasets._fingerprint import fingerprint_of
from benchmark.errors import BenchError
from benchmark.records import SMALLEST_SIDE, Dataset, Images, ImageShape

_MADE_AS = "1"
"""Changes with what is made of the same images, so that the cache forgets what was made before."""


def shrunk(dataset: Dataset, image_size: int, say: Callable[[str], None]) -> Dataset:
    """The data set with images of at most `image_size` pixels a side, of the same proportions; itself if they are.

    Bilinear with antialiasing; named after it and the size, memory-mapped. Raises BenchError where the shorter side
    would have less than `SMALLEST_SIDE` pixels.
    """
    shape = dataset.image_shape.within(image_size)
    if shape == dataset.image_shape:
        return dataset
    if min(shape.height, shape.width) < SMALLEST_SIDE:
        raise BenchError(
            f"image_size = {image_size} makes images of {shape.height} x {shape.width} pixels, too small to train on: "
            f"each side needs at least {SMALLEST_SIDE}"
        )
    name = f"{dataset.name}-{image_size}px"

    def make(_: object) -> Arrays:
        say(f"{name}: making images of {shape.height} x {shape.width} pixels")
        train, test = (Images(_smaller(part.pixels, shape), part.labels) for part in (dataset.train, dataset.test))
        return {
            "train_pixels": train.pixels,
            "test_pixels": test.pixels,
            "fingerprint": np.frombuffer(bytes.fromhex(fingerprint_of(train, test)), np.uint8),
        }

    folder = cache_folder() / "smaller" / f"{dataset.fingerprint[:16]}-{image_size}"
    arrays = arrays_made_once(folder, f"{_MADE_AS}-{dataset.fingerprint}-{image_size}", make, say)
    train = Images(arrays["train_pixels"], dataset.train.labels)
    test = Images(arrays["test_pixels"], dataset.test.labels)
    return Dataset(name, dataset.classes, train, test, arrays["fingerprint"].tobytes().hex())


def _smaller(pixels: NDArray[np.uint8], shape: ImageShape) -> NDArray[np.uint8]:
    """Images (N, H, W, C) in that size, channel by channel: there may be any number of them."""
    smaller = np.empty((len(pixels), shape.height, shape.width, shape.channels), np.uint8)

    def resize(row: int) -> None:
        for channel in range(shape.channels):
            plane = Image.fromarray(np.ascontiguousarray(pixels[row, :, :, channel]))
            resized = plane.resize((shape.width, shape.height), Image.Resampling.BILINEAR)
            smaller[row, :, :, channel] = np.asarray(resized)

    with ThreadPoolExecutor() as pool:
        # Whatever goes wrong is raised here.
        list(pool.map(resize, range(len(pixels))))
    return smaller
