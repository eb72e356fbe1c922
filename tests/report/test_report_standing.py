"""The leaderboard's cells, intervals and front, against the board that they show."""

from __future__ import annotations

import pytest
from reported_study import planted

from benchmark.columns import COLUMNS
from benchmark.figures import Contender, pareto_front
from benchmark.leaderboard import Leaderboard
from benchmark.report.standing import standing_of
from benchmark.study import leaderboard_of


@pytest.fixture(scope="module")
def board(tmp_path_factory: pytest.TempPathFactory) -> Leaderboard:
    return leaderboard_of(planted(tmp_path_factory.mktemp("planted"), trials=8))


def test_cells_say_and_sort_what_the_columns_have(board: Leaderboard) -> None:
    standing = standing_of(board)
    known = {column.key for column in COLUMNS if column.is_known(board.rows)}
    assert [column.key for column in standing.columns] == [one.key for one in COLUMNS if one.key in known]
    for line in standing.lines:
        for cell in line.cells:
            value = cell.column.plain(line.row)[cell.column.key]
            assert cell.text == cell.column.text(line.row)
            assert cell.sort == ("" if value is None else str(value))


def test_intervals_lie_on_one_scale_around_their_accuracies(board: Leaderboard) -> None:
    standing = standing_of(board)
    shown = [(line.row.test.accuracy.value, line.interval) for line in standing.lines if line.interval]
    assert len(shown) >= len(board.rows) / 2
    for _, interval in shown:
        assert 0 <= interval.low <= interval.value <= interval.high <= 1
    by_accuracy = [interval.value for _, interval in sorted(shown, key=lambda pair: pair[0])]
    assert by_accuracy == sorted(by_accuracy)


def test_rows_far_below_the_first_half_have_no_interval(board: Leaderboard) -> None:
    standing = standing_of(board)
    missing = [line.rank for line in standing.lines if line.interval is None]
    assert missing
    assert min(missing) > len(board.rows) / 2
    assert 0 < standing.single < 1


def test_the_line_is_the_front_of_accuracy_and_time(board: Leaderboard) -> None:
    chart = standing_of(board).accuracy_by_time
    assert chart is not None
    front = pareto_front(
        [
            Contender(
                row.entrant.name, row.entrant.kind, row.entrant.cost.inference_ms, row.test.accuracy,
                row.entrant.cost.parameters,
            )
            for row in board.rows
        ]
    )  # fmt: skip
    (line,) = chart.lines
    for one in front:
        assert chart.frame.at(one.inference_ms, one.accuracy.value) in line.points
    assert len(chart.dots) == len(board.rows)
    assert {key.name for key in chart.legend} == {row.entrant.kind for row in board.rows}
    for row, dot in zip(board.rows, chart.dots, strict=True):
        assert dot.tip.startswith(f"{row.entrant.name}: ")
        assert dot.span is not None
        assert dot.span[0] <= dot.at[1] <= dot.span[1]
