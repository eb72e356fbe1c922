"""Rank entrants and render the table: pure functions of stored predictions; trains nothing and asks no database.

`make_board` ranks by validation and scores test once; `to_markdown`, `to_csv`, `to_json` and `to_rich` render a board,
and `write` puts the first three into a folder. All of them show the same numbers.
"""

from benchmark.leaderboard.board import (
    FamilySummary,
    Leaderboard,
    StudySummary,
    Winner,
    make_board,
    select_singles,
    summarise,
)
from benchmark.leaderboard.files import to_csv, to_json, write
from benchmark.leaderboard.markdown import main_table, refresh_between_markers, to_markdown
from benchmark.leaderboard.terminal import to_rich

__all__ = [
    "FamilySummary",
    "Leaderboard",
    "StudySummary",
    "Winner",
    "main_table",
    "make_board",
    "refresh_between_markers",
    "select_singles",
    "summarise",
    "to_csv",
    "to_json",
    "to_markdown",
    "to_rich",
    "write",
]
