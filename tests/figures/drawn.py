"""What tests read from a figure: its lines, its intervals, its legend, and whether anything is cut off."""

from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from benchmark.metrics import Estimate

TRICKY = (
    "_hidden", "$x^2$ at 5 $", "a<b & c>d", "timm mobilenetv3_small_100.lamb_in1k, trial 1234", "two\nlines",
    "Größe λ½ модель",
)  # fmt: skip
"""Names that a drawing library might leave out, read as a formula or as markup, or let run out of the picture."""
TRICKY_SHOWN = (
    "_hidden", "$x^2$ at 5 $", "a<b & c>d", "timm mobilenetv3…n1k, trial 1234", "two lines",
    "Größe λ½ модель",
)  # fmt: skip


def around(value: float, half: float = 0.01) -> Estimate:
    return Estimate(value, value - half, value + half)


def points(line: Line2D) -> list[tuple[float, float]]:
    return [(float(x), float(y)) for x, y in zip(line.get_xdata(), line.get_ydata(), strict=True)]


def intervals(axes: Axes) -> list[list[tuple[float, float, float]]]:
    """For each series x, low and high of its bars."""
    return [
        [(float(bottom[0]), float(bottom[1]), float(top[1])) for bottom, top in bars.get_segments()]
        for bars in axes.collections
        if isinstance(bars, LineCollection)
    ]


def legend(figure: Figure) -> list[str]:
    (found,) = figure.legends
    return [text.get_text() for text in found.get_texts()]


def heading(figure: Figure) -> str:
    return figure.get_suptitle()


def assert_nothing_is_cut_off(figure: Figure) -> None:
    box = figure.get_tightbbox()
    width, height = figure.get_size_inches()
    assert box.x0 >= 0
    assert box.y0 >= 0
    assert box.x1 <= width
    assert box.y1 <= height
