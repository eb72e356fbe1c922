"""A user's own picture files as pixels of the size that networks take; knows no network and no data set."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from benchmark.errors import BenchError
from benchmark.records import ImageShape

_MODES = {1: "L", 3: "RGB"}
"""Pillow's name for the colours of so many channels."""
_SIXTEEN_BITS = frozenset({"I;16", "I;16B", "I;16L", "I;16N"})
"""Pillow's names for grey of 16 bits."""


@dataclass(frozen=True, eq=False)
class PictureFile:
    """A file's picture as a network takes it, and what was done to it."""

    path: Path
    pixels: NDArray[np.uint8]
    """(H, W, C)."""
    fitting: str
    """How it came to this size, in words."""


def find_pictures(places: Sequence[Path]) -> list[Path]:
    """The files named, and of each folder named its picture files by name, hidden ones left out.

    Raises BenchError where there are none.
    """
    known = {suffix for suffix, kind in Image.registered_extensions().items() if kind in Image.OPEN}
    found = []
    for place in places:
        if not place.is_dir():
            found.append(place)
            continue
        try:
            visible = sorted(path for path in place.iterdir() if not path.name.startswith("."))
            inside = [path for path in visible if path.suffix.lower() in known and path.is_file()]
        except OSError as error:
            raise BenchError(f"cannot read the folder {place}: {error.strerror}") from error
        if not inside:
            raise BenchError(f"{place} has no picture files; name a folder of PNG or JPEG files, or the files")
        found += inside
    return found


def read_picture(path: Path, shape: ImageShape, *, whole: bool = False) -> PictureFile:
    """One file, upright, cut to the middle part of the wanted proportions, and resized (Lanczos, antialiased).

    `whole`: not cut but squeezed, as the data set `folder` has images that a network was trained on. Colours become
    grey, or grey becomes colours, as `shape` has channels. Raises BenchError where the file cannot be read, or where no
    picture has so many channels.
    """
    if shape.channels not in _MODES:
        raise BenchError(f"the study's images have {shape.channels} channels: picture files have 1 or 3")
    try:
        with Image.open(path) as opened:
            picture = as_seen(opened, shape.channels)
    except Exception as error:  # a file is foreign bytes: decoders raise whatever goes wrong
        raise BenchError(
            f"cannot read {path}: {why_unreadable(error)}; name PNG or JPEG files, or a folder of them"
        ) from error
    size = (shape.width, shape.height)
    fitted = squeezed(picture, shape) if whole else ImageOps.fit(picture, size, Image.Resampling.LANCZOS)
    pixels = np.array(fitted).reshape(shape.height, shape.width, shape.channels)
    return PictureFile(path, pixels, _in_words(picture, shape, whole=whole))


def why_unreadable(error: Exception) -> str:
    """Why a picture file could not be read, in one line, without its path."""
    if isinstance(error, UnidentifiedImageError):
        return "no image of a known format"
    reason = getattr(error, "strerror", None) or str(error)
    return " ".join(reason.split()) or type(error).__name__


def squeezed(picture: Image.Image, shape: ImageShape) -> Image.Image:
    """All of a picture in that size, whatever its proportions; bilinear, antialiased."""
    size = (shape.width, shape.height)
    return picture if picture.size == size else picture.resize(size, Image.Resampling.BILINEAR)


def as_seen(image: Image.Image, channels: int) -> Image.Image:
    """An opened image as a viewer shows it, of 8 bits: upright, and what is transparent on white.

    `channels` 1 is grey, 3 are red, green and blue. Raises what Pillow raises for broken files, and ValueError for
    pixels of 32 bits.
    """
    upright = ImageOps.exif_transpose(image)
    # A PGM of 16 bits has Pillow's mode for 32.
    if upright.mode in _SIXTEEN_BITS or (upright.mode == "I" and image.format == "PPM"):
        upright = Image.fromarray((np.asarray(upright) >> 8).astype(np.uint8))
    if upright.mode in ("I", "F"):
        raise ValueError("pixels of 32 bits, of which it is not known what is black and white")
    if upright.has_transparency_data:
        coloured = upright.convert("RGBA")
        upright = Image.alpha_composite(Image.new("RGBA", coloured.size, "white"), coloured)
    return upright.convert(_MODES[channels])


def _in_words(picture: Image.Image, shape: ImageShape, *, whole: bool) -> str:
    if picture.size == (shape.width, shape.height):
        return "taken as it is"
    if whole:
        return (
            f"{picture.height} x {picture.width} pixels, resized to {shape.height} x {shape.width} as the study's "
            "images were (whole, bilinear, antialiased)"
        )
    scale = min(picture.width / shape.width, picture.height / shape.height)
    middle = (round(scale * shape.width), round(scale * shape.height))
    cut = "" if middle == picture.size else f", cut to the middle {middle[1]} x {middle[0]}"
    resized = f"resized to {shape.height} x {shape.width} (Lanczos, antialiased)"
    return f"{picture.height} x {picture.width} pixels{cut}, {resized}"
