"""A study's open database: Optuna's study in it, transactions, its clock, and a lock that all its processes share."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass

import optuna
import sqlalchemy
from sqlalchemy import Connection

from benchmark.store.connection import lock_key
from benchmark.store.location import StudyLocation


@dataclass(frozen=True, eq=False)
class Database:
    """What every part of the store works with."""

    location: StudyLocation
    study: optuna.Study
    engine: sqlalchemy.Engine

    @property
    def name(self) -> str:
        """The study's key, under which rows of our tables are its."""
        return self.location.key

    def begin(self) -> AbstractContextManager[Connection]:
        """A transaction: committed at the end, rolled back on an error."""
        return self.engine.begin()

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """One process at a time: by a lock file beside an SQLite database, by an advisory lock in PostgreSQL.

        Of all that work on the study or one of its parts.
        """
        if self.engine.dialect.name != "postgresql":
            with self.location.lock():
                yield
            return
        with self.begin() as connection:
            connection.execute(
                sqlalchemy.text("SELECT pg_advisory_xact_lock(:key)"), {"key": lock_key(self.location.name)}
            )
            yield

    def now(self) -> float:
        """Seconds since 1970 by the one clock that all processes of this database read."""
        if self.engine.dialect.name != "postgresql":
            return time.time()
        with self.begin() as connection:
            seconds = connection.execute(sqlalchemy.text("SELECT extract(epoch FROM clock_timestamp())")).scalar_one()
        return float(seconds)
