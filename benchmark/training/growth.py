"""How large the images are at each point of the budget (progressive resizing); knows no training step."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from torch import Tensor
from torch.nn import functional

from benchmark.records import SMALLEST_SIDE, ImageShape

_STAGES = 3

Size = tuple[int, int]


@dataclass(frozen=True)
class Growth:
    """Height and width of the images by equal stages of the budget, from small to full.

    Source: Howard 2018, "Training Imagenet in 3 hours", fast.ai; Tan and Le 2021, arXiv:2104.00298, section 4.
    """

    sizes: tuple[Size, ...]

    @classmethod
    def of(cls, shape: ImageShape, start_size: float) -> Growth:
        """Three stages from `start_size` of the full side up to 1, in even pixels; a single one where it is 1."""
        if start_size == 1:
            return cls(((shape.height, shape.width),))
        scales = [start_size + (1 - start_size) * stage / (_STAGES - 1) for stage in range(_STAGES)]
        return cls(tuple((_scaled(shape.height, scale), _scaled(shape.width, scale)) for scale in scales))

    def size(self, share: float) -> Size:
        """The size at a share of the budget in [0, 1]."""
        return self.sizes[min(int(share * len(self.sizes)), len(self.sizes) - 1)]

    def mean_seconds(self, smallest: float, largest: float, start: float = 0.0, end: float = 1.0) -> float:
        """Seconds of a step on average between two shares of the budget, from those of the first and the last size.

        Between the two sizes the time is taken to grow with the number of pixels.
        """
        pixels = [height * width for height, width in self.sizes]
        if pixels[0] == pixels[-1]:
            return largest
        slope = (largest - smallest) / (pixels[-1] - pixels[0])
        seconds = [smallest + slope * (count - pixels[0]) for count in pixels]
        edges = [stage / len(pixels) for stage in range(len(pixels) + 1)]
        lengths = [max(0.0, min(end, high) - max(start, low)) for low, high in pairwise(edges)]
        return sum(one * length for one, length in zip(seconds, lengths, strict=True)) / (end - start)


def resized(images: Tensor, size: Size | None) -> Tensor:
    """Images, float (B, C, H, W), made smaller to `size` with antialiasing; None leaves them as they are."""
    if size is None or tuple(images.shape[2:]) == size:
        return images
    return functional.interpolate(images, size, mode="bilinear", antialias=True, align_corners=False)


def _scaled(side: int, scale: float) -> int:
    if scale == 1 or side <= SMALLEST_SIDE:
        return side
    return max(SMALLEST_SIDE, 2 * round(side * scale / 2))
