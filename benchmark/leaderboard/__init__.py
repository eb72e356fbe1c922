"""Rank entrants and render the table: pure functions of stored predictions; trains nothing and asks no database.

`make_board` ranks by validation and scores test once; `to_markdown`, `to_csv`, `to_json` and `to_rich` render a board,
`write` puts the first three into a folder, and `draw` its figures. All of them show the same numbers.
"""

from benchmark.leaderboard.across import Across, StudyResult, compare_studies, result_of
from benchmark.leaderboard.board import (
    FamilySummary,
    Leaderboard,
    SizeScore,
    StudySummary,
    Winner,
    make_board,
    select_singles,
    summarise,
)
from benchmark.leaderboard.files import to_csv, to_json, write, write_index
from benchmark.leaderboard.markdown import to_markdown
from benchmark.leaderboard.pictures import draw, figure_of, pictures_of
from benchmark.leaderboard.terminal import across_to_rich, to_rich

__all__ = [
    "Across",
    "FamilySummary",
    "Leaderboard",
    "SizeScore",
    "StudyResult",
    "StudySummary",
    "Winner",
    "across_to_rich",
    "compare_studies",
    "draw",
    "figure_of",
    "make_board",
    "pictures_of",
    "result_of",
    "select_singles",
    "summarise",
    "to_csv",
    "to_json",
    "to_markdown",
    "to_rich",
    "write",
    "write_index",
]
