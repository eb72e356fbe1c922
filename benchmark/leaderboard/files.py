"""A leaderboard as CSV, as strict JSON, and as files in a folder; ranks and scores nothing."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from benchmark.columns import COLUMNS, Column, Plain, Row
from benchmark.errors import BenchError
from benchmark.files import replace_files
from benchmark.leaderboard.across import GENERATED, index_page, result_of
from benchmark.leaderboard.board import Leaderboard
from benchmark.leaderboard.markdown import to_markdown
from benchmark.records import as_jsonable

_CALLED = "the leaderboard"


def to_csv(board: Leaderboard) -> str:
    """One line per row under the columns' keys, numbers unrounded, shares in [0, 1], members as `3 7 12`.

    Members are trials of the search, or where `part` is not empty runs of that part.
    """
    text = io.StringIO()
    lines = [
        {**cells, "part": row.entrant.part, "trials": " ".join(map(str, row.entrant.members))}
        for row, cells in _ranked(board)
    ]
    writer = csv.DictWriter(text, list(lines[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    return text.getvalue()


def to_json(board: Leaderboard) -> str:
    """The whole board as strict JSON (RFC 8259, no NaN), numbers unrounded; ends in a newline."""
    winner, summary = board.winner, board.summary
    whole: dict[str, Any] = {
        "recommendation": as_jsonable(board.recommendation),
        "chosen_single": as_jsonable(board.chosen),
        "same_cost_single": as_jsonable(board.peer),
        "test_scored": board.scored,
        "sizes": as_jsonable(board.sizes),
        "origin": as_jsonable(board.origin),
        "interval": board.interval,
        "columns": [
            {"key": column.key, "title": column.title, "help": column.help, "higher_is_better": column.higher_is_better}
            for column in COLUMNS
        ],
        "rows": [
            {
                **cells,
                "part": row.entrant.part,
                "trials": list(row.entrant.members),
                "weights": as_jsonable(row.entrant.weights),
            }
            for row, cells in _ranked(board)
        ],
        "winner": {
            "name": winner.name,
            "classes": list(winner.classes),
            "precision": winner.scores.precision.tolist(),
            "recall": winner.scores.recall.tolist(),
            "f1": winner.scores.f1.tolist(),
            "support": winner.scores.support.tolist(),
            "confusion": winner.confusion.tolist(),
        },
        "importances": {
            one.family: {
                "complete_trials": one.trials,
                "shares": as_jsonable(one.shares),
                "chance": one.chance,
                "unassessed": list(one.unassessed),
                "left_out": one.left_out,
            }
            for one in board.importances
        },
        "study": as_jsonable(summary),
        "confirmation": as_jsonable(board.confirming),
    }
    return json.dumps(whole, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def write(board: Leaderboard, folder: Path, columns: Sequence[Column] = ()) -> list[Path]:
    """Write STUDY.md, STUDY.csv and STUDY.json into `folder`, made where missing; the paths in that order.

    `columns` are those of the page's short table, where they are not the usual ones.

    Each file is replaced whole or not at all, and none is touched before all three are on disk. Raises BenchError
    where the folder cannot be written, or the study's name is not a file name.
    """
    study = board.origin.study
    if Path(study).name != study:
        raise BenchError(f"{study!r} cannot name a file: a study's name has no path in it")
    texts = {".md": to_markdown(board, columns), ".csv": to_csv(board), ".json": to_json(board)}
    return replace_files({folder / f"{study}{suffix}": text.encode() for suffix, text in texts.items()}, _CALLED)


def write_index(folder: Path) -> Path:
    """Write README.md beside the leaderboards of `folder`, from their JSON files. Raises BenchError as `write` does.

    Files that are no leaderboard's, or of an earlier version, are left out. A README.md of the user's own stays.
    """
    index = folder / "README.md"
    with suppress(OSError):
        if GENERATED not in index.read_text(encoding="utf-8", errors="replace"):
            return index
    results = []
    for path in sorted(folder.glob("*.json")):
        with suppress(BenchError, ValueError, OSError):
            results.append(result_of(json.loads(path.read_text(encoding="utf-8"))))
    replace_files({index: index_page(results).encode()}, _CALLED)
    return index


def _ranked(board: Leaderboard) -> list[tuple[Row, dict[str, Plain]]]:
    """Each row with its rank and plain cells by key."""
    ranked = []
    for rank, row in enumerate(board.rows, start=1):
        cells: dict[str, Plain] = {"rank": rank}
        for column in COLUMNS:
            cells |= column.plain(row)
        ranked.append((row, cells))
    return ranked
