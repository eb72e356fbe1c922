"""Accuracy against inference time, with the models that no other beats in both; measures neither."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.text import Annotation, Text
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator
from numpy.typing import NDArray

from benchmark.figures.error_scale import ERROR_SCALE, set_error_scale
from benchmark.figures.labels import covered, place
from benchmark.figures.style import DPI, GREY, SMALL, SPLIT_NAMES, add_legend, draw_estimates, look, new_figure, shown
from benchmark.metrics import Estimate
from benchmark.records import Split
from benchmark.wording import count

KINDS = ("default", "tuned", "ensemble")
"""Kinds that look the same in every figure; others come after."""
MOST_LABELS = 8
ROOM = 1.7
"""Factor of latency that the axis goes on beyond the fastest and the slowest: a label fits beside them."""
LEAST_SPAN = 5.0
"""Factor of latency from end to end of the axis: of ticks at 1, 2 and 5 it has two, and one tick gives no scale."""
GAPS = tuple(range(4, 101, 8))
"""Distances tried between a point and its label, in points; from the second on a line leads to it."""
MOST_COVERED = 0.05
"""Share of a label's area that may lie on points and lines; one that covers more is left out."""


@dataclass(frozen=True)
class Contender:
    """A model or an ensemble: its accuracy, and what it costs to ask it."""

    name: str
    kind: str
    """default, tuned, ensemble, or another word."""
    inference_ms: float
    """Milliseconds per image, above 0."""
    accuracy: Estimate
    """In [0, 1]."""
    parameters: int

    def __post_init__(self) -> None:
        if not 0 < self.inference_ms < math.inf:
            raise ValueError(f"{self.name}: {self.inference_ms} ms per image has no place on a logarithmic axis")


def pareto_front(contenders: Sequence[Contender]) -> list[Contender]:
    """Those to which no other is as fast and more accurate, or faster and as accurate; the fastest first.

    Of several that are equal in both, each belongs to the front. Accuracy is the estimate, without its interval.
    """
    front: list[Contender] = []
    for contender in sorted(contenders, key=lambda one: (one.inference_ms, -one.accuracy.value)):
        if (
            not front
            or contender.accuracy.value > front[-1].accuracy.value
            or _standing(contender) == _standing(front[-1])
        ):
            front.append(contender)
    return front


def accuracy_against_latency(contenders: Sequence[Contender], *, split: Split, subject: str) -> Figure:
    """Accuracy on `split` over milliseconds per image, kinds apart, with the Pareto front and names on it.

    `subject` is what the title says was studied. At most 8 names are shown, evenly spread over the front, and of these
    only the ones that find a place where they overlap no other and hardly any point or line. Raises ValueError without
    contenders.
    """
    if not contenders:
        raise ValueError("there is nothing to draw: no contenders")
    front = pareto_front(contenders)
    measure = f"{SPLIT_NAMES[split].capitalize()} accuracy"
    with new_figure("Accuracy against inference time", subject, height=5.4) as figure:
        axes = figure.subplots()
        axes.set_title("Vertical bars: 95 % intervals. What is on the line is right more often than anything faster.")
        axes.set_xlabel("Inference time (ms per image in batches of 256 at most, log scale)")
        axes.set_ylabel(f"{measure} ({ERROR_SCALE})")
        _set_latency_axis(axes, contenders)
        accuracies = [contender.accuracy for contender in contenders]
        set_error_scale(axes, (share for one in accuracies for share in (one.low, one.value, one.high)))
        kinds = _draw_kinds(axes, contenders)
        add_legend(figure, [*kinds.values(), _draw_front(axes, front)], [*map(shown, kinds), "Pareto front"])
        _label_front(figure, axes, contenders, front)
    return figure


def _standing(contender: Contender) -> tuple[float, float]:
    return contender.inference_ms, contender.accuracy.value


def _set_latency_axis(axes: Axes, contenders: Sequence[Contender]) -> None:
    latencies = [contender.inference_ms for contender in contenders]
    axes.set_xscale("log")
    room = max(ROOM, math.sqrt(LEAST_SPAN * min(latencies) / max(latencies)))
    axes.set_xlim(min(latencies) / room, max(latencies) * room)
    axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))


def _draw_kinds(axes: Axes, contenders: Sequence[Contender]) -> dict[str, Line2D]:
    """The markers of each kind that there is."""
    lines = {}
    for index, kind in enumerate(dict.fromkeys([*KINDS, *(contender.kind for contender in contenders)])):
        of_kind = [contender for contender in contenders if contender.kind == kind]
        if of_kind:
            latencies = [contender.inference_ms for contender in of_kind]
            accuracies = [contender.accuracy for contender in of_kind]
            lines[kind] = draw_estimates(axes, latencies, accuracies, look(index), joined=False)
    return lines


def _draw_front(axes: Axes, front: Sequence[Contender]) -> Line2D:
    latencies = [contender.inference_ms for contender in front]
    accuracies = [100 * contender.accuracy.value for contender in front]
    # More time than the slowest takes buys nothing further: the line goes on to the edge.
    (line,) = axes.plot(
        [*latencies, axes.get_xlim()[1]],
        [*accuracies, accuracies[-1]],
        color=GREY,
        linewidth=1.2,
        drawstyle="steps-post",
        zorder=1.5,
    )
    return line


def _label_front(figure: Figure, axes: Axes, contenders: Sequence[Contender], front: Sequence[Contender]) -> None:
    """Name the points of the front; all arithmetic is in pixels."""
    chosen = [front[index] for index in _spread(len(front), MOST_LABELS)]
    # Axes have their size only once the rest of the figure is laid out.
    figure.draw_without_rendering()
    notes = [_annotate(axes, contender) for contender in chosen]
    pixel = DPI / 72
    anchors = _pixels(axes, [(one.inference_ms, one.accuracy.value) for one in chosen])
    obstacles = _obstacles(axes, contenders, front)
    boxes = place(
        anchors,
        # The extent of the text alone, without the line to its point.
        np.array([Text.get_window_extent(note).size for note in notes]) + np.array([10, 3]) * pixel,
        obstacles,
        np.array(axes.bbox.extents),
        [gap * pixel for gap in GAPS],
    )
    for note, anchor, box in zip(notes, anchors, boxes, strict=True):
        if box is None or covered(box, obstacles) > MOST_COVERED * (box[2:] - box[:2]).prod():
            note.remove()
            continue
        centre = (box[:2] + box[2:]) / 2
        note.set_position(((centre - anchor) / pixel).tolist())
        away = np.maximum(np.abs(centre - anchor) - (box[2:] - box[:2]) / 2, 0).max()
        if note.arrow_patch is not None:
            note.arrow_patch.set_visible(bool(away > (GAPS[0] + 1) * pixel))


def _annotate(axes: Axes, contender: Contender) -> Annotation:
    note = axes.annotate(
        f"{shown(contender.name)}\n{count(contender.parameters)} parameters",
        (contender.inference_ms, 100 * contender.accuracy.value),
        xytext=(0, 0),
        textcoords="offset points",
        horizontalalignment="center",
        verticalalignment="center",
        fontsize=SMALL,
        linespacing=1.15,
        arrowprops={"arrowstyle": "-", "color": GREY, "linewidth": 0.7, "shrinkA": 0.0, "shrinkB": 4.0},
    )
    # Labels fit into the axes as they are; they must not move them.
    note.set_in_layout(False)
    return note


def _obstacles(axes: Axes, contenders: Sequence[Contender], front: Sequence[Contender]) -> NDArray[np.float64]:
    """Boxes (B, 4) of markers, intervals and the front's steps."""
    pixel = DPI / 72
    points = _pixels(axes, [(one.inference_ms, one.accuracy.value) for one in contenders])
    lows = _pixels(axes, [(one.inference_ms, one.accuracy.low) for one in contenders])
    highs = _pixels(axes, [(one.inference_ms, one.accuracy.high) for one in contenders])
    corners = _pixels(axes, [(one.inference_ms, one.accuracy.value) for one in front])
    ends = np.append(corners[1:, 0], axes.bbox.x1)
    treads = np.column_stack([corners, ends, corners[:, 1]])
    risers = np.column_stack([ends[:-1], corners[:-1, 1], ends[:-1], corners[1:, 1]])
    grown = pixel * np.array([-1.0, -1.0, 1.0, 1.0])
    return np.concatenate(
        [np.hstack([points, points]) + 4 * grown, np.vstack([np.hstack([lows, highs]), treads, risers]) + grown]
    )


def _pixels(axes: Axes, points: Sequence[tuple[float, float]]) -> NDArray[np.float64]:
    """Places (P, 2) on the canvas of latency and accuracy in [0, 1]."""
    return np.asarray(axes.transData.transform(np.array(points) * [1, 100]), np.float64)


def _spread(length: int, most: int) -> list[int]:
    """At most `most` of the numbers below `length`, evenly spread, both ends among them."""
    return sorted({round(number) for number in np.linspace(0, length - 1, min(length, most)).tolist()})
