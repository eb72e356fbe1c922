"""A figure as PNG and SVG files, the same bytes for the same figure; draws nothing."""

from __future__ import annotations

import io
import os
from pathlib import Path

from matplotlib.figure import Figure
from PIL import Image

from benchmark.errors import BenchError
from benchmark.figures.style import settings


def save(figure: Figure, folder: Path, name: str) -> list[Path]:
    """Write NAME.png and NAME.svg into `folder`, made where missing; the paths in that order.

    The bytes are the same for the same figure under the same versions of matplotlib and Pillow. Each file is replaced
    whole or not at all, and none is touched before both are on disk. Raises BenchError where the folder cannot be
    written, or the name is not a file name.
    """
    if not name or Path(name).name != name:
        raise BenchError(f"{name!r} cannot name a file: a figure's name has no path in it")
    contents = {".png": _png(figure), ".svg": _svg(figure)}
    finals = [folder / f"{name}{suffix}" for suffix in contents]
    drafts = [folder / f".{final.name}.{os.getpid()}.tmp" for final in finals]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for draft, content in zip(drafts, contents.values(), strict=True):
            draft.write_bytes(content)
        for draft, final in zip(drafts, finals, strict=True):
            draft.replace(final)
    except OSError as error:
        reason = error.strerror or str(error)
        raise BenchError(
            f"cannot write the figure into {folder}: {reason}; name a folder that can be written"
        ) from error
    finally:
        for draft in drafts:
            _discard(draft)
    return finals


def _png(figure: Figure) -> bytes:
    """A PNG of 256 colours, a third of the size of one with all; without metadata.

    Maximum coverage keeps rare colours, where the median cut gave a lone interval the colour of another series;
    k-means then moves them to the middle of what they stand for, which halves the error.
    """
    drawn, content = io.BytesIO(), io.BytesIO()
    with settings():
        figure.savefig(drawn, format="png")
    Image.open(drawn).convert("RGB").quantize(256, Image.Quantize.MAXCOVERAGE, kmeans=1).save(
        content, format="PNG", optimize=True
    )
    return content.getvalue()


def _svg(figure: Figure) -> bytes:
    content = io.BytesIO()
    with settings():
        # Neither the time nor a version: a picture changes in git when its data do.
        figure.savefig(content, format="svg", metadata={"Creator": "bench", "Date": None})
    return content.getvalue()


def _discard(draft: Path) -> None:
    try:
        draft.unlink(missing_ok=True)
    except OSError:
        # The folder refuses; the error that matters is already on its way.
        return
