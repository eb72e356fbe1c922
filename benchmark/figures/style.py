"""How every figure looks: fonts, sizes, colours, markers and the words of axes; knows nothing of what is drawn.

Colours are those of Okabe & Ito 2008, "Color Universal Design" (jfly.uni-koeln.de/color), which people with any common
colour blindness tell apart. Markers, line styles and hatches tell the same things once more, so that a figure can be
read without colour. The background is white whatever the page behind it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import matplotlib
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from benchmark.metrics import Estimate
from benchmark.records import Split

if TYPE_CHECKING:
    # Newer than the oldest matplotlib that draws these figures.
    from matplotlib.typing import RcKeyType

WIDTH = 8.0
"""Inches of a full-width figure; 1,600 pixels."""
DPI = 200
TITLE = 12.0
"""Points of the heading, in bold."""
TITLE_LINE = 1.4 * TITLE / 72
"""Inches of a line of the heading."""
TITLE_CHARACTERS_PER_INCH = 9.5
"""Of average letters; a line of capitals would be wider."""
SMALL = 9.0
"""Points of ticks, legends and labels: 12 pixels where a page shows the figure 800 pixels wide."""
GREY = "#595959"
"""Of what explains rather than shows; contrast to white 7:1."""
SPLIT_NAMES: Mapping[Split, str] = MappingProxyType(
    {Split.TRAIN: "training", Split.VAL: "validation", Split.TEST: "test"}
)

_UNITS = ((3600.0, "h"), (60.0, "min"), (1.0, "s"))
_COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
_GREYS = ("#595959", "#A6A6A6", "#262626", "#D0D0D0")
_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
_LINES: tuple[Any, ...] = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)))
_HATCHES = ("", "////", "....", "xxxx")

_SETTINGS: Mapping[RcKeyType, Any] = MappingProxyType(
    {
        # The one font that matplotlib ships: the same glyphs on every machine.
        "font.family": "DejaVu Sans",
        "font.size": 10.0,
        # Names are data: "$" opens no formula.
        "text.parse_math": False,
        "axes.titlesize": SMALL,
        "axes.titlelocation": "left",
        "axes.titlecolor": GREY,
        "axes.labelsize": 10.0,
        "axes.edgecolor": GREY,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.grid": True,
        "axes.axisbelow": True,
        "grid.color": "#E6E6E6",
        "grid.linewidth": 0.7,
        "xtick.labelsize": SMALL,
        "ytick.labelsize": SMALL,
        "xtick.color": GREY,
        "ytick.color": GREY,
        "xtick.labelcolor": "black",
        "ytick.labelcolor": "black",
        "legend.fontsize": SMALL,
        "legend.frameon": False,
        # Room for a dash on either side of the marker.
        "legend.handlelength": 3.2,
        "lines.linewidth": 1.6,
        "lines.markersize": 6.5,
        "hatch.linewidth": 0.8,
        "figure.facecolor": "white",
        "savefig.facecolor": "white",
        # Without a salt the ids in an SVG are random.
        "svg.hashsalt": "bench",
        # Letters as outlines: a page that shows the file has no say in its fonts.
        "svg.fonttype": "path",
    }
)


@dataclass(frozen=True)
class Look:
    """How one series is told from the others: matplotlib's colour, marker, line style and hatch."""

    color: str
    marker: str
    line: Any
    hatch: str


def look(index: int) -> Look:
    """The look of series `index`, counted from 0: no two of the first 8 share a marker, of the first 56 both signs."""
    return Look(
        _COLORS[index % len(_COLORS)],
        _MARKERS[index % len(_MARKERS)],
        _LINES[index % len(_LINES)],
        _HATCHES[index % len(_HATCHES)],
    )


def grey_look(index: int) -> Look:
    """The look of something that is no series, as one of up to four states of trials: no series has its colour."""
    return replace(look(index), color=_GREYS[index])


def looks_of(names: Iterable[str]) -> dict[str, Look]:
    """The look of each name, by its place in the order of letters: the same in every figure of the same names."""
    return {name: look(index) for index, name in enumerate(sorted(set(names)))}


@contextmanager
def settings() -> Iterator[None]:
    """Matplotlib's defaults with this style on top, whatever the user's matplotlibrc says; afterwards as before.

    Matplotlib's settings belong to the process: one thread at a time.
    """
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_SETTINGS)
        yield


@contextmanager
def new_figure(title: str, subject: str, *, height: float, width: float = WIDTH) -> Iterator[Figure]:
    """An empty figure of `width` x `height` inches, to be drawn on inside the `with`.

    Its heading is `title`, what is seen, and `subject`, what was studied: on a line of its own, which makes the figure
    so much higher, where one line has no room for both, and shortened where that is too long as well. At the end
    everything has found its place and stays there: files of different resolution have one layout.
    """
    room = int(width * TITLE_CHARACTERS_PER_INCH)
    heading = f"{title}: {' '.join(subject.split())}"
    if len(heading) > room:
        heading, height = f"{title}:\n{shown(subject, room)}", height + TITLE_LINE
    with settings():
        figure = Figure(figsize=(width, height), dpi=DPI, layout="constrained")
        FigureCanvasAgg(figure)
        figure.suptitle(heading, x=0.01, ha="left", fontsize=TITLE, fontweight="bold")
        yield figure
        figure.draw_without_rendering()
        figure.set_layout_engine("none")


def shown(name: str, width: int = 32) -> str:
    """A name on one line and of at most `width` characters; a long one loses its middle, since ends tell apart."""
    line = " ".join(name.split())
    if len(line) <= width:
        return line
    tail = (width - 1) // 2
    return f"{line[: width - 1 - tail]}…{line[-tail:]}"


def unit_of(seconds: float) -> tuple[float, str]:
    """The unit of an axis of times up to `seconds`: how many seconds it is, and its sign."""
    return next((unit for unit in _UNITS if seconds >= 10 * unit[0]), _UNITS[-1])


def draw_estimates(
    axes: Axes, x: Sequence[float], estimates: Sequence[Estimate], of: Look, *, joined: bool = True
) -> Line2D:
    """Estimates of shares, in percent, as markers at `x` with their intervals as vertical bars; `joined` by a line."""
    lows, highs = [100 * estimate.low for estimate in estimates], [100 * estimate.high for estimate in estimates]
    axes.vlines(x, lows, highs, colors=of.color, linewidth=1.1, alpha=0.6)
    (line,) = axes.plot(
        x,
        [100 * estimate.value for estimate in estimates],
        color=of.color,
        marker=of.marker,
        linestyle=of.line if joined else "none",
        markeredgecolor="white",
        markeredgewidth=0.7,
        # A marker at the edge of the axes is shown whole.
        clip_on=False,
        zorder=3,
    )
    return line


def add_legend(figure: Figure, series: Sequence[Artist], names: Sequence[str]) -> None:
    """A legend below everything, in as few rows as there is room for, of columns as long as each other."""
    for rows in range(1, len(names) + 1):
        columns = -(-len(names) // rows)
        legend = figure.legend(series, names, loc="outside lower left", ncols=columns)
        if columns == 1 or legend.get_window_extent().width <= figure.bbox.width:
            return
        legend.remove()
