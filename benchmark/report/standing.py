"""The leaderboard as a page shows it: cells that sort, intervals on one scale, accuracy against time; ranks nothing."""

from __future__ import annotations

import math
from dataclasses import dataclass

from benchmark.columns import COLUMNS, Column, Row
from benchmark.figures import Contender, pareto_front
from benchmark.figures.accuracy_latency import KINDS
from benchmark.leaderboard import Leaderboard
from benchmark.report.axes import Axis, error_axis, log_axis
from benchmark.report.chart import Chart, Dot, Frame, Key, Line, stepped
from benchmark.wording import count, percent_with_interval, significant

_ROOM = 1.3
"""Factor of time that the axis goes on beyond the fastest and the slowest."""


@dataclass(frozen=True)
class TableCell:
    """What a cell says, and what it sorts by: its text, or a number; a number that is not known is empty."""

    column: Column
    text: str
    sort: str


@dataclass(frozen=True)
class Interval:
    """An estimate with its interval as places in [0, 1] on a scale that all rows share."""

    low: float
    value: float
    high: float


@dataclass(frozen=True, eq=False)
class StandingLine:
    """One row: its cells in the order of the columns."""

    rank: int
    row: Row
    cells: tuple[TableCell, ...]
    interval: Interval | None
    """Of test accuracy; None where it lies below the scale."""


@dataclass(frozen=True, eq=False)
class Standing:
    """The table, and the accuracy that each row buys with its inference time."""

    columns: tuple[Column, ...]
    lines: tuple[StandingLine, ...]
    single: float
    """Place of the best single model's test accuracy on the scale of the intervals, which is made for it and for the
    first half of the rows: the last would squeeze these together."""
    accuracy_by_time: Chart | None
    """None where no inference time was measured."""


def standing_of(board: Leaderboard) -> Standing:
    """The whole board, its rows in their order, without columns of which no row knows anything."""
    single = board.best_single
    compared = [row.test.accuracy for row in (single, *board.rows[: -(-len(board.rows) // 2)])]
    scale = error_axis("", (share for one in compared for share in (one.low, one.high)))
    columns = tuple(column for column in COLUMNS if column.is_known(board.rows))
    return Standing(
        columns,
        tuple(
            StandingLine(rank, row, tuple(_cell(column, row) for column in columns), _interval(row, scale))
            for rank, row in enumerate(board.rows, start=1)
        ),
        round(scale.place(single.test.accuracy.value), 4),
        _accuracy_by_time(board),
    )


def _cell(column: Column, row: Row) -> TableCell:
    value = column.plain(row)[column.key]
    return TableCell(column, column.text(row), "" if value is None else str(value))


def _interval(row: Row, scale: Axis) -> Interval | None:
    accuracy = row.test.accuracy
    low, value, high = (round(scale.place(share), 4) for share in (accuracy.low, accuracy.value, accuracy.high))
    return Interval(max(low, 0.0), value, high) if value > 0 else None


def _accuracy_by_time(board: Leaderboard) -> Chart | None:
    timed = [row for row in board.rows if 0 < row.entrant.cost.inference_ms < math.inf]
    if not timed:
        return None
    times = [row.entrant.cost.inference_ms for row in timed]
    shares = [share for row in timed for share in (row.test.accuracy.low, row.test.accuracy.high)]
    frame = Frame(
        log_axis("Inference time (ms per image)", min(times) / _ROOM, max(times) * _ROOM),
        error_axis("Test accuracy (%)", shares),
        width=960.0,
        height=360.0,
    )
    front = pareto_front([_contender(row) for row in timed])
    steps = stepped(frame.at(one.inference_ms, one.accuracy.value) for one in front)
    kinds = list(dict.fromkeys([*KINDS, *(row.entrant.kind for row in timed)]))
    return Chart(
        "Test accuracy against inference time",
        "Bars are 95 % intervals. What is on the line is right more often than anything faster. Time and errors are on "
        "log scales.",
        frame,
        lines=(Line((*steps, (frame.right, steps[-1][1])), None, "Pareto front"),),
        dots=tuple(_dot(row, frame, kinds.index(row.entrant.kind)) for row in timed),
        legend=tuple(
            Key(look, kind) for look, kind in enumerate(kinds) if any(row.entrant.kind == kind for row in timed)
        ),
    )


def _contender(row: Row) -> Contender:
    cost = row.entrant.cost
    return Contender(row.entrant.name, row.entrant.kind, cost.inference_ms, row.test.accuracy, cost.parameters)


def _dot(row: Row, frame: Frame, look: int) -> Dot:
    accuracy, cost = row.test.accuracy, row.entrant.cost
    span = tuple(frame.up(frame.y.place(share)) for share in (accuracy.high, accuracy.low))
    tip = (
        f"{row.entrant.name}: {percent_with_interval(accuracy)} %, {significant(cost.inference_ms)} ms/image, "
        f"{count(cost.parameters)} parameters"
    )
    return Dot(frame.at(cost.inference_ms, accuracy.value), look, tip, span=(span[0], span[1]))
