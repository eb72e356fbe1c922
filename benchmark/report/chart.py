"""A chart as plain values in pixels of its own: lines, dots, bars and axes; knows no study and no markup."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from benchmark.report.axes import Axis

Point = tuple[float, float]

WIDTH, HEIGHT = 480.0, 300.0
"""Of a usual chart. A page shows it at any size; letters are sized for half to one and a half times."""
LEFT, RIGHT, TOP, BOTTOM = 66.0, 14.0, 12.0, 48.0
"""Room for the axes around the plot."""


@dataclass(frozen=True)
class Line:
    """A line through at least one point."""

    points: tuple[Point, ...]
    look: int | None
    """Index of its look (figures.style.look): the place of a family among families, of a series among series. None has
    the colour of letters."""
    tip: str
    """What is said of it where a pointer is near."""
    trial: int | None = None
    kind: str = ""
    """bold or faded; plain where empty."""


@dataclass(frozen=True)
class Dot:
    """A marker, with the ends of its interval where it has one."""

    at: Point
    look: int
    tip: str
    trial: int | None = None
    kind: str = ""
    """bold, faded, pruned or failed; plain where empty."""
    span: tuple[float, float] | None = None
    """Upper and lower end of the interval, as heights."""


@dataclass(frozen=True)
class Bar:
    """An upright rectangle by its upper left corner."""

    corner: Point
    width: float
    height: float
    look: int
    tip: str


@dataclass(frozen=True)
class Key:
    """An entry of the legend: a look, and what it stands for."""

    look: int
    name: str


@dataclass(frozen=True)
class Frame:
    """Where the axes of a chart lie; turns values into points."""

    x: Axis
    y: Axis
    width: float = WIDTH
    height: float = HEIGHT
    top: float = TOP

    @property
    def left(self) -> float:
        """Of the plot."""
        return LEFT

    @property
    def right(self) -> float:
        """Of the plot."""
        return self.width - RIGHT

    @property
    def bottom(self) -> float:
        """Of the plot."""
        return self.height - BOTTOM

    def at(self, x: Any, y: Any) -> Point:
        """The point of two values, kept within the plot."""
        return self.across(self.x.place(x)), self.up(self.y.place(y))

    def across(self, place: float) -> float:
        """Pixels from the left of a place on the horizontal axis."""
        return round(self.left + _kept(place) * (self.right - self.left), 1)

    def up(self, place: float) -> float:
        """Pixels from the top of a place on the vertical axis."""
        return round(self.bottom - _kept(place) * (self.bottom - self.top), 1)


@dataclass(frozen=True)
class Chart:
    """One chart: its title says what is seen, its note how to read it."""

    title: str
    note: str
    frame: Frame
    lines: tuple[Line, ...] = ()
    dots: tuple[Dot, ...] = ()
    bars: tuple[Bar, ...] = ()
    legend: tuple[Key, ...] = ()
    guides: tuple[tuple[Point, Point], ...] = ()
    """Lines that are there to compare with."""


@dataclass(frozen=True)
class Parallel:
    """Several upright axes side by side, and lines that cross them all."""

    title: str
    note: str
    axes: tuple[tuple[float, Axis], ...]
    """Each with its pixels from the left."""
    lines: tuple[Line, ...]
    width: float
    height: float = HEIGHT

    def up(self, place: float) -> float:
        """Pixels from the top of a place on any of the axes."""
        return parallel_height(place)


def parallel_height(place: float) -> float:
    """Pixels from the top of a place on an axis of parallel coordinates, whose name stands above it."""
    top, bottom = 46.0, HEIGHT - 16.0
    return round(bottom - _kept(place) * (bottom - top), 1)


def stepped(points: Iterable[Point]) -> tuple[Point, ...]:
    """The corners of a line that keeps its height until the next point."""
    corners: list[Point] = []
    for x, y in points:
        if corners and corners[-1][1] != y:
            corners.append((x, corners[-1][1]))
        corners.append((x, y))
    return tuple(corners)


def _kept(place: float) -> float:
    return min(max(place, 0.0), 1.0)
