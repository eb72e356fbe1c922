"""A figure as PNG and SVG files, the same bytes for the same figure; draws nothing."""

from __future__ import annotations

import io
from pathlib import Path

from matplotlib.figure import Figure
from PIL import Image

from benchmark.errors import BenchError
from benchmark.figures.style import settings
from benchmark.files import replace_files


def save(figure: Figure, folder: Path, name: str, *, in_full_color: bool = False) -> list[Path]:
    """Write NAME.png and NAME.svg into `folder`, made where missing; the paths in that order.

    `in_full_color`: the figure shows photographs, for which a PNG of 256 colours has too few.

    The bytes are the same for the same figure under the same versions of matplotlib and Pillow. Each file is replaced
    whole or not at all, and none is touched before both are on disk. Raises BenchError where the folder cannot be
    written, or the name is not a file name.
    """
    if not name or Path(name).name != name:
        raise BenchError(f"{name!r} cannot name a file: a figure's name has no path in it")
    contents = {".png": _png(figure, in_full_color=in_full_color), ".svg": _svg(figure)}
    return replace_files({folder / f"{name}{suffix}": content for suffix, content in contents.items()}, "the figure")


def _png(figure: Figure, *, in_full_color: bool) -> bytes:
    """A PNG without metadata, of 256 colours where these will do: a third of the size of one with all.

    Maximum coverage keeps rare colours, where the median cut gave a lone interval the colour of another series;
    k-means then moves them to the middle of what they stand for, which halves the error.
    """
    drawn, content = io.BytesIO(), io.BytesIO()
    with settings():
        figure.savefig(drawn, format="png")
    picture = Image.open(drawn).convert("RGB")
    if not in_full_color:
        picture = picture.quantize(256, Image.Quantize.MAXCOVERAGE, kmeans=1)
    picture.save(content, format="PNG", optimize=True)
    return content.getvalue()


def _svg(figure: Figure) -> bytes:
    content = io.BytesIO()
    with settings():
        # Neither the time nor a version: a picture changes in git when its data do.
        figure.savefig(content, format="svg", metadata={"Creator": "bench", "Date": None})
    return content.getvalue()
