"""Whether an SQLite file is a whole database of a study, and copies of one that is in use; knows no Optuna."""

from __future__ import annotations

import json
import shutil
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

from benchmark.errors import BenchError
from benchmark.store.location import BUSY_SECONDS

_COPIES, _COPY_AGAIN_SECONDS = 10, 0.1
"""Attempts to copy a database that somebody else writes to; the last one is taken as it is."""
_JSON_COLUMNS = (
    ("study_user_attributes", "value_json"),
    ("study_system_attributes", "value_json"),
    ("trial_user_attributes", "value_json"),
    ("trial_system_attributes", "value_json"),
    ("trial_params", "distribution_json"),
    ("bench_entrants", "record"),
    ("bench_files", "record"),
)
"""What Optuna and we read as JSON, by table. Nothing else in an SQLite file tells whether its text is what it was."""


def check_whole(path: Path, shown: Path | None = None) -> None:
    """Raises BenchError where an existing file is not a whole study database; a missing file is fine.

    `shown` is what the message calls it: the file that `path` is a copy of.
    """
    database = path if shown is None else shown
    if not path.exists():
        return
    if not path.is_file():
        raise BenchError(f"{database} is not a file; choose another --root or --storage")
    if path.stat().st_size == 0:
        raise BenchError(f"{database} is empty (0 bytes), not a study; remove it or restore it from a copy")
    # By SQLite alone: closing the file here would drop the locks of any connection this process has to it.
    try:
        with closing(
            sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=BUSY_SECONDS)
        ) as connection:
            verdict = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
            tables = {row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
            spoilt = next(_tables_with_unreadable_text(connection, tables), None) if verdict == "ok" else None
    except sqlite3.DatabaseError as error:
        if "unable to open" in str(error):
            # SQLite keeps two more files beside a database that is in use, also to read it.
            raise BenchError(
                f"{database} cannot be opened, since its folder cannot be written: copy it to one that can,"
                " and name that with --root"
            ) from error
        if "not a database" in str(error):
            raise BenchError(
                f"{database} is not an SQLite database, or its header is damaged; nothing was changed"
            ) from error
        raise BenchError(f"{database} is damaged or truncated ({error}); restore it from a copy") from error
    if verdict != "ok":
        raise BenchError(f"{database} is damaged ({verdict}); restore it from a copy")
    if spoilt is not None:
        raise BenchError(f"{database} is damaged (unreadable text in {spoilt}); restore it from a copy")
    if tables and "studies" not in tables:
        raise BenchError(f"{database} is an SQLite database, but not one of a study; nothing was changed")


def _tables_with_unreadable_text(connection: sqlite3.Connection, tables: set[str]) -> Iterator[str]:
    """Tables with something in them that should be JSON and is not."""
    for table, column in _JSON_COLUMNS:
        if table not in tables:
            continue
        for (text,) in connection.execute(f"SELECT {column} FROM {table} WHERE {column} IS NOT NULL"):
            try:
                json.loads(text)
            except ValueError:
                yield table


def copy_at_rest(database: Path, copied: Path) -> None:
    """Copy an SQLite file, and the log in which what was committed last is until it is moved into the file.

    Somebody may be at work in it: where anything moved meanwhile, the copy would be of two moments, and is made again.
    """
    log, copied_log = (file.with_name(f"{file.name}-wal") for file in (database, copied))
    for _ in range(_COPIES):
        before = _state_of(database), _state_of(log)
        shutil.copyfile(database, copied)
        copied_log.unlink(missing_ok=True)
        with suppress(FileNotFoundError):
            shutil.copyfile(log, copied_log)
        if before == (_state_of(database), _state_of(log)):
            return
        time.sleep(_COPY_AGAIN_SECONDS)


def _state_of(file: Path) -> tuple[int, int] | None:
    """Its size and when it was written last; None where there is none."""
    try:
        found = file.stat()
    except FileNotFoundError:
        return None
    return found.st_size, found.st_mtime_ns
