"""Images of a data set made smaller, and kept so; knows no loader and no file of the user's."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from benchmark.cache import Arrays, arrays_made_once, cache_folder
from benchmark.datasets._fingerprint import fingerprint_of
from benchmark.datasets._memory import room_for
from benchmark.errors import BenchError
from benchmark.records import SMALLEST_SIDE, Dataset, Images, ImageShape

_MADE_AS = "1"
"""Changes with what is made of the same images, so that the cache forgets what was made before."""


def shrunk(dataset: Dataset, image_size: int) -> Dataset:
    """The data set with images of at most `image_size` pixels a side, of the same proportions; itself if they are.

    Bilinear with antialiasing, each side rounded to whole pixels; named after it and the size. Raises BenchError where
    the shorter side would have less than `SMALLEST_SIDE` pixels.
    """
    shape = dataset.image_shape.within(image_size)
    if shape == dataset.image_shape:
        return dataset
    if min(shape.height, shape.width) < SMALLEST_SIDE:
        raise BenchError(
            f"image_size = {image_size} makes images of {shape.height} x {shape.width} pixels, too small to train on: "
            f"each side needs at least {SMALLEST_SIDE}"
        )
    train, test = (Images(_smaller(part.pixels, shape), part.labels) for part in (dataset.train, dataset.test))
    return Dataset(_name(dataset, image_size), dataset.classes, train, test, fingerprint_of(train, test))


def shrunk_once(dataset: Dataset, image_size: int, say: Callable[[str], None]) -> Dataset:
    """As `shrunk`, memory-mapped: made once, and again where other images of that name were made meanwhile."""
    if dataset.image_shape.within(image_size) == dataset.image_shape:
        return dataset
    name = _name(dataset, image_size)

    def make(_: object) -> Arrays:
        say(f"{name}: making smaller images")
        made = shrunk(dataset, image_size)
        fingerprint = np.frombuffer(bytes.fromhex(made.fingerprint), np.uint8)
        return {"train_pixels": made.train.pixels, "test_pixels": made.test.pixels, "fingerprint": fingerprint}

    arrays = arrays_made_once(cache_folder() / "smaller" / name, f"{_MADE_AS}-{dataset.fingerprint}", make, say)
    return replace(
        dataset,
        name=name,
        train=Images(arrays["train_pixels"], dataset.train.labels),
        test=Images(arrays["test_pixels"], dataset.test.labels),
        fingerprint=arrays["fingerprint"].tobytes().hex(),
    )


def _name(dataset: Dataset, image_size: int) -> str:
    return f"{dataset.name}-{image_size}px"


def _smaller(pixels: NDArray[np.uint8], shape: ImageShape) -> NDArray[np.uint8]:
    """Images (N, H, W, C) in that size, channel by channel: there may be any number of them."""
    smaller = room_for(len(pixels), shape, "ask for a smaller image_size")

    def resize(row: int) -> None:
        for channel in range(shape.channels):
            plane = Image.fromarray(np.ascontiguousarray(pixels[row, :, :, channel]))
            resized = plane.resize((shape.width, shape.height), Image.Resampling.BILINEAR)
            smaller[row, :, :, channel] = np.asarray(resized)

    with ThreadPoolExecutor() as pool:
        # Whatever goes wrong is raised here.
        list(pool.map(resize, range(len(pixels))))
    return smaller
