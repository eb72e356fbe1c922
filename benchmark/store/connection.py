"""How a study's database is spoken to: opened for many processes, and its errors in words; knows no tables of ours."""

from __future__ import annotations

import hashlib
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import optuna
import sqlalchemy
from optuna.exceptions import StorageInternalError
from optuna.storages import RDBStorage

from benchmark.errors import BenchError, UnreachableError
from benchmark.store.location import BUSY_SECONDS, StudyLocation, parsed_url, visible_url, without_secrets
from benchmark.store.wholeness import check_whole, copy_at_rest

_PATIENT_CONNECTION = {
    "connect_timeout": 10,
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "tcp_user_timeout": 60_000,
}
"""libpq's: a server that no longer answers is noticed within a minute, also where no word comes that it is gone."""
_IDLE_TRANSACTION_SECONDS = 60.0
"""A PostgreSQL server ends a transaction that says nothing for so long, and the locks of a process that was paused."""
_PASSING_WORDS = (
    "refused",
    "starting up",
    "not yet accepting connections",
    "in recovery mode",
    "shutting down",
    "closed the connection",
    "terminating connection",
)
"""What a server that is just starting or stopping says: the driver gives no code for it."""
_SCHEMA_LOCK = "ensemble-bench: schema"


def connect(location: StudyLocation) -> RDBStorage:
    """Optuna's storage on the location's database, made safe for many processes. Raises BenchError."""
    database = location.database
    if database is None and parsed_url(location.url).get_backend_name() == "sqlite":
        raise BenchError("--storage names a database in memory, which is lost with the program; name a file")
    if database is not None:
        check_whole(database)
    is_new = database is not None and not database.exists()
    try:
        with _told_without_url(location):
            storage = RDBStorage(location.url, engine_kwargs=_engine_options(location.url))
    except BenchError:
        if database is not None and is_new and database.exists() and database.stat().st_size == 0:
            # There was no room for anything in it: left behind, it would be refused as an empty one.
            database.unlink()
        raise
    if storage.engine.dialect.name == "sqlite":
        _tune_sqlite(storage.engine)
    elif storage.engine.dialect.name == "postgresql":
        _tune_postgresql(storage.engine)
    return storage


def connect_to_copy(location: StudyLocation) -> RDBStorage:
    """Optuna's storage on a copy in memory of an SQLite file whose folder cannot be written. Raises BenchError.

    SQLite keeps two more files beside a database that is in use, also to read it.
    """
    database = location.database
    assert database is not None
    memory = sqlite3.connect(":memory:", check_same_thread=False)
    with tempfile.TemporaryDirectory() as folder:
        copied = Path(folder) / database.name
        copy_at_rest(database, copied)
        check_whole(copied, shown=database)
        with closing(sqlite3.connect(copied)) as connection:
            connection.backup(memory)
    return RDBStorage("sqlite://", engine_kwargs={"creator": lambda: memory, "poolclass": sqlalchemy.StaticPool})


@contextmanager
def making(location: StudyLocation) -> Iterator[None]:
    """Held by one process at a time while it looks for schema and study, and makes what is missing.

    In PostgreSQL it is an advisory lock, so that it holds between machines. Raises BenchError.
    """
    if parsed_url(location.url).get_backend_name() != "postgresql":
        with location.lock():
            yield
        return
    with _told_without_url(location):
        engine = sqlalchemy.create_engine(location.url, poolclass=sqlalchemy.NullPool)
        _tune_postgresql(engine)
        connection = engine.connect()
    try:
        with _told_without_url(location):
            connection.execute(sqlalchemy.text("SELECT pg_advisory_xact_lock(:key)"), {"key": lock_key(_SCHEMA_LOCK)})
        yield
        with _told_without_url(location):
            connection.commit()
    finally:
        # Where the server went away, giving up the lock fails too, and says less than what failed first.
        with suppress(sqlalchemy.exc.SQLAlchemyError):
            connection.close()


def lock_key(name: str) -> int:
    """The number of PostgreSQL's advisory lock of that name."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big", signed=True)


def storage_trouble(error: Exception) -> str | None:
    """What went wrong with the database, in one line and without its URL; None for any other error."""
    if not isinstance(error, sqlalchemy.exc.SQLAlchemyError | StorageInternalError | sqlite3.Error):
        return None
    return f"the database failed: {_root_words(error)}; when that is mended, the same command goes on"


@contextmanager
def _told_without_url(location: StudyLocation) -> Iterator[None]:
    """What goes wrong with opening a database as BenchError: the error itself may quote the URL with its password.

    It is an UnreachableError where a server may be starting or stopping.
    """
    try:
        yield
    except ImportError as error:
        driver = f"the driver {error.name!r} is missing; for PostgreSQL: pip install 'psycopg[binary]'"
        raise BenchError(f"cannot open {visible_url(location.url)}: {driver}") from None
    except Exception as error:
        told = without_secrets(_root_words(error), location.url)
        kind = UnreachableError if any(words in told for words in _PASSING_WORDS) else BenchError
        raise kind(f"cannot open {visible_url(location.url)}: {told}") from None


def _engine_options(url: str) -> dict[str, Any]:
    if parsed_url(url).get_backend_name() == "sqlite":
        return {"connect_args": {"timeout": BUSY_SECONDS}}
    found: dict[str, Any] = {"pool_pre_ping": True}
    if parsed_url(url).drivername == "postgresql+psycopg":
        found["connect_args"] = dict(_PATIENT_CONNECTION)
    return found


def _tune_sqlite(engine: sqlalchemy.Engine) -> None:
    """WAL, and transactions that take the write lock at once.

    A transaction that reads first and asks for the write lock later fails under concurrency however long it waits, and
    lets two workers take the same queued trial. This has to come after Optuna has made its tables, where it deadlocks.
    """

    @sqlalchemy.event.listens_for(engine, "connect")
    def _on_connect(connection: Any, _: Any) -> None:
        connection.isolation_level = None
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")

    @sqlalchemy.event.listens_for(engine, "begin")
    def _on_begin(connection: sqlalchemy.Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    engine.dispose()


def _tune_postgresql(engine: sqlalchemy.Engine) -> None:
    """Transactions that do not outlive the patience of those who wait for their locks.

    A process that is paused in the midst of one would hold up every other, for as long as it is paused.
    """

    @sqlalchemy.event.listens_for(engine, "connect")
    def _on_connect(connection: Any, _: Any) -> None:
        milliseconds = round(1000 * _IDLE_TRANSACTION_SECONDS)
        with connection.cursor() as cursor:
            cursor.execute(f"SET idle_in_transaction_session_timeout = {milliseconds}")
        connection.commit()

    engine.dispose()


def _root_words(error: Exception) -> str:
    """The first line of what an error came from."""
    root: BaseException = error
    while (cause := root.__cause__ or getattr(root, "orig", None)) is not None:
        root = cause
    told = str(root).strip().splitlines()
    return told[0] if told else type(root).__name__


optuna.logging.set_verbosity(optuna.logging.WARNING)
