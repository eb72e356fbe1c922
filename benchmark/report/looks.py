"""The looks of figures (figures.style) as a page writes them: colours, dashes and outlines of markers; chooses none."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from benchmark.figures.style import look

_BLACK, _WHITE = "#000000", "#FFFFFF"
_LIGHTER = "color-mix(in oklab, {} 78%, white)"
"""On a dark page the same hue, at a contrast of 4 or more."""
_DASHES: Mapping[Any, str] = MappingProxyType(
    {"-": "none", "--": "6 3", "-.": "7 3 2 3", ":": "2 3", (0, (5, 1, 1, 1, 1, 1)): "8 2 2 2 2 2"}
)
_OUTLINES: Mapping[str, str] = MappingProxyType(
    {
        "o": "M-4 0a4 4 0 1 0 8 0a4 4 0 1 0-8 0z",
        "s": "M-3.6-3.6h7.2v7.2h-7.2z",
        "^": "M0-4.6L4.5 3.4H-4.5z",
        "D": "M0-4.8L4.8 0L0 4.8L-4.8 0z",
        "v": "M0 4.6L4.5-3.4H-4.5z",
        "P": "M-1.6-4.6h3.2v3h3v3.2h-3v3h-3.2v-3h-3v-3.2h3z",
        "X": "M-2.2-4.4L0-2.2L2.2-4.4L4.4-2.2L2.2 0L4.4 2.2L2.2 4.4L0 2.2L-2.2 4.4L-4.4 2.2L-2.2 0L-4.4-2.2z",
        "*": "M0-5.2L1.5-1.7L5.2-1.6L2.4 1L3.3 4.8L0 2.7L-3.3 4.8L-2.4 1L-5.2-1.6L-1.5-1.7z",
    }
)
"""By matplotlib's marker, around 0 and some 9 pixels wide."""


@dataclass(frozen=True)
class PageLook:
    """How a series is told from the others; `on_dark` is its colour on a dark page."""

    color: str
    on_dark: str
    dash: str
    outline: str


def page_look(index: int) -> PageLook:
    """The look of series `index`, the one that it has in figures."""
    found = look(index)
    on_dark = _WHITE if found.color == _BLACK else _LIGHTER.format(found.color)
    return PageLook(found.color, on_dark, _DASHES[found.line], _OUTLINES[found.marker])
