"""A user's own picture files as pixels of the size that networks take; knows no network and no data set."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from benchmark.errors import BenchError
from benchmark.records import ImageShape

_MODES = {1: "L", 3: "RGB"}
"""Pillow's name for the colours of so many channels."""


@dataclass(frozen=True, eq=False)
class PictureFile:
    """A file's picture as a network takes it, and what was done to it."""

    path: Path
    pixels: NDArray[np.uint8]
    """(H, W, C)."""
    fitting: str
    """How it came to this size, in words."""


def find_pictures(places: Sequence[Path]) -> list[Path]:
    """The files named, and of each folder named its picture files by name. Raises BenchError where there are none."""
    known = Image.registered_extensions()
    found = []
    for place in places:
        if not place.is_dir():
            found.append(place)
            continue
        inside = sorted(path for path in place.iterdir() if path.suffix.lower() in known and path.is_file())
        if not inside:
            raise BenchError(f"{place} has no picture files; name a folder of PNG or JPEG files, or the files")
        found += inside
    return found


def read_picture(path: Path, shape: ImageShape) -> PictureFile:
    """One file, upright, cut to the middle part of the wanted proportions, and resized (Lanczos, antialiased).

    Colours become grey, or grey becomes colours, as `shape` has channels. Raises BenchError where the file cannot be
    read, or where no picture has so many channels.
    """
    if shape.channels not in _MODES:
        raise BenchError(f"the study's images have {shape.channels} channels: picture files have 1 or 3")
    try:
        with Image.open(path) as opened:
            picture = ImageOps.exif_transpose(opened).convert(_MODES[shape.channels])
    # Pillow's decoders raise these for what is broken; a file that unpacks to gigabytes is an error of its own.
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        reason = "no such file" if isinstance(error, FileNotFoundError) else "it is no picture that can be read"
        raise BenchError(f"cannot read {path}: {reason}; name PNG or JPEG files, or a folder of them") from error
    fitted = ImageOps.fit(picture, (shape.width, shape.height), Image.Resampling.LANCZOS)
    pixels = np.array(fitted).reshape(shape.height, shape.width, shape.channels)
    return PictureFile(path, pixels, _in_words(picture, shape))


def _in_words(picture: Image.Image, shape: ImageShape) -> str:
    if picture.size == (shape.width, shape.height):
        return "taken as it is"
    scale = min(picture.width / shape.width, picture.height / shape.height)
    middle = (round(scale * shape.width), round(scale * shape.height))
    cut = "" if middle == picture.size else f", cut to the middle {middle[0]} x {middle[1]}"
    resized = f"resized to {shape.width} x {shape.height} (Lanczos, antialiased)"
    return f"{picture.width} x {picture.height} pixels{cut}, {resized}"
