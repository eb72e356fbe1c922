"""Memory for all images of a part at once; knows nothing of where they come from."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from benchmark.errors import BenchError
from benchmark.records import ImageShape


def room_for(count: int, shape: ImageShape, remedy: str) -> NDArray[np.uint8]:
    """Pixels (N, H, W, C) to be filled. Raises BenchError, with what to do about it, where memory is refused."""
    size = (count, shape.height, shape.width, shape.channels)
    try:
        return np.empty(size, np.uint8)
    except MemoryError:
        raise BenchError(
            f"{count:,} images of {shape.height} x {shape.width} pixels take {math.prod(size) / 1e9:.1f} GB, more "
            f"memory than there is; {remedy}"
        ) from None
