"""Pictures put together of images and words, by Pillow; knows no data set, no class and no model.

Every pixel of an image becomes a square of pixels of the same colour. A figure of matplotlib would resample it to the
figure's resolution, and its file has 256 colours.
"""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

PAPER, INK, FAINT = (252, 252, 250), (32, 33, 36), (112, 115, 120)
TITLE_SIZE, NAME_SIZE, COUNT_SIZE = 22, 17, 12
MARGIN, GAP = 24, 6


def as_image(pixels: NDArray[np.uint8]) -> Image.Image:
    """An image uint8 (H, W, C) in RGB; of other than 3 channels the first, in gray."""
    shown = pixels if pixels.shape[-1] == 3 else pixels[..., 0]
    return Image.fromarray(np.ascontiguousarray(shown)).convert("RGB")


def thumbnail(pixels: NDArray[np.uint8], size: int) -> Image.Image:
    """An image uint8 (H, W, C) within `size` x `size` pixels, as large as that allows.

    Enlarged by the largest whole factor; a larger one is reduced, its proportions kept.
    """
    image = as_image(pixels)
    longest = max(image.size)
    if longest > size:
        image.thumbnail((size, size), Image.Resampling.LANCZOS)
        return image
    factor = size // longest
    return image.resize((image.width * factor, image.height * factor), Image.Resampling.NEAREST)


def thumbnail_png(pixels: NDArray[np.uint8], size: int) -> bytes:
    """`thumbnail` as a PNG file; the same bytes for the same image under the same version of Pillow."""
    return to_png(thumbnail(pixels, size))


def to_png(image: Image.Image) -> bytes:
    """The image as a PNG file, without metadata."""
    content = io.BytesIO()
    image.save(content, format="PNG", optimize=True)
    return content.getvalue()


def new_sheet(title: str, width: int, height: int, *, note: str = "") -> tuple[Image.Image, ImageDraw.ImageDraw, int]:
    """A sheet with room for `width` x `height` pixels inside its margins, below its title and a note on how to read it.

    Returned with what draws on it and the top of that room; its left is MARGIN. A longer title widens the sheet.
    """
    top = MARGIN + TITLE_SIZE + MARGIN + (COUNT_SIZE + GAP if note else 0)
    widest = max(width, text_width([title], TITLE_SIZE), text_width([note], COUNT_SIZE))
    sheet = Image.new("RGB", (MARGIN + widest + MARGIN, top + height + MARGIN), PAPER)
    draw = ImageDraw.Draw(sheet)
    draw.text((MARGIN, MARGIN), title, INK, font(TITLE_SIZE), anchor="la")
    draw.text((MARGIN, MARGIN + TITLE_SIZE + 2 * GAP), note, FAINT, font(COUNT_SIZE), anchor="la")
    return sheet, draw, top


@lru_cache
def font(size: int) -> ImageFont.FreeTypeFont:
    """The font of the figures, `size` pixels high: the one inside Pillow has no arrows, and no letters but English."""
    import matplotlib

    return ImageFont.truetype(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf", size)


def text_width(texts: Sequence[str], size: int) -> int:
    """Pixels that the longest of the texts takes; 0 without any."""
    return math.ceil(max((font(size).getlength(text) for text in texts), default=0))


def fitted(text: str, size: int, width: int) -> str:
    """A text on one line within `width` pixels; a longer one loses its middle, since ends tell apart."""
    line = " ".join(text.split())
    kept = len(line)
    shown = line
    while kept > 1 and text_width([shown], size) > width:
        kept -= 1
        shown = f"{line[: kept - kept // 2]}…{line[len(line) - kept // 2 :]}"
    return shown
