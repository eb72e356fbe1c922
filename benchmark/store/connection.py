"""Where a study's database is, whether it is whole, and how it is spoken to; knows no tables of ours."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sqlite3
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

import optuna
import sqlalchemy
from filelock import FileLock
from optuna.exceptions import StorageInternalError
from optuna.storages import RDBStorage

from benchmark.errors import BenchError, UnreachableError

_BUSY_SECONDS = 60
_LOCK_POLL_SECONDS = 0.01
_COPIES, _COPY_AGAIN_SECONDS = 10, 0.1
"""Attempts to copy a database that somebody else writes to; the last one is taken as it is."""
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
_SECRET_OPTIONS = ("password", "sslpassword", "passfile")


@dataclass(frozen=True)
class StudyLocation:
    """Where a study, or a part of it, lives: its database URL, and the folder for its weights."""

    name: str
    root: Path
    storage: str | None = field(default=None, repr=False)
    """A database URL, perhaps with a password; None is the SQLite file `root/studies/NAME.db`."""
    part: str = ""
    """Empty for the search itself; else what else is trained for the study and kept beside it: confirmations."""

    @property
    def key(self) -> str:
        """What the database calls it: `+` is in no study's name, so that parts meet no other study."""
        return f"{self.name}+{self.part}" if self.part else self.name

    @property
    def database(self) -> Path | None:
        """The SQLite file; None for any other database."""
        if self.storage is None:
            return self.root / "studies" / f"{self.name}.db"
        url = _parsed(self.storage)
        named = url.get_backend_name() == "sqlite" and url.database not in (None, "", ":memory:")
        return Path(str(url.database)) if named else None

    @property
    def is_usual(self) -> bool:
        """Whether it is the SQLite file `root/studies/NAME.db`, also where a URL says so."""
        usual = self.root / "studies" / f"{self.name}.db"
        return self.storage is None or (self.database is not None and self.database.resolve() == usual.resolve())

    @property
    def url(self) -> str:
        """The database URL, password included: never print it.

        PostgreSQL without a driver's name means the one of our extra, whatever SQLAlchemy's own default is.
        """
        if self.storage is None:
            # Not put together by hand: a path may have characters that mean something in a URL.
            plain = sqlalchemy.URL.create("sqlite", database=str(self.database))
            return plain.render_as_string(hide_password=False)
        url = _parsed(self.storage)
        url = url.set(drivername="postgresql+psycopg") if url.drivername == "postgresql" else url
        return url.render_as_string(hide_password=False)

    @property
    def absolute(self) -> StudyLocation:
        """The same place for a process in any folder."""
        storage = self.storage
        if storage is not None and self.database is not None:
            storage = _parsed(storage).set(database=str(self.database.absolute())).render_as_string(hide_password=False)
        return replace(self, root=self.root.absolute(), storage=storage)

    @property
    def folder(self) -> Path:
        """The folder for the study's weights, beside the database."""
        folder = self.root / "studies" / self.name
        if self.storage is None or self.is_usual:
            return folder
        # A study of the same name in another database keeps its hands off these weights.
        where = visible_url(self.storage) if self.database is None else str(self.database.resolve())
        return folder.with_name(f"{self.name}-{hashlib.sha256(where.encode()).hexdigest()[:8]}")

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Held by one process at a time, by all that share an SQLite file; else by those that share the folder.

        Raises BenchError where the folder cannot be written.
        """
        database = self.database
        path = self.folder / "study.lock" if database is None else database.with_name(f"{database.name}.lock")
        if self.storage is not None and database is not None and not path.parent.is_dir():
            raise BenchError(f"cannot open {visible_url(self.storage)}: there is no folder {path.parent}")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            lock = FileLock(path, poll_interval=_LOCK_POLL_SECONDS)
            lock.acquire()
        except OSError as error:
            raise BenchError(f"cannot write in {path.parent}: {error.strerror}; choose another --root") from error
        try:
            yield
        finally:
            lock.release()


def visible_url(url: str) -> str:
    """The URL without its password, for people to read."""
    parsed = _parsed(url)
    secrets = {key: "***" for key in parsed.query if key.lower() in _SECRET_OPTIONS}
    return parsed.update_query_dict(secrets).render_as_string(hide_password=True)


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
            sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=_BUSY_SECONDS)
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


def connect(location: StudyLocation) -> RDBStorage:
    """Optuna's storage on the location's database, made safe for many processes. Raises BenchError."""
    database = location.database
    if database is None and _parsed(location.url).get_backend_name() == "sqlite":
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


@contextmanager
def making(location: StudyLocation) -> Iterator[None]:
    """Held by one process at a time while it looks for schema and study, and makes what is missing.

    In PostgreSQL it is an advisory lock, so that it holds between machines. Raises BenchError.
    """
    if _parsed(location.url).get_backend_name() != "postgresql":
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


def can_write(location: StudyLocation) -> bool:
    """Whether this process may write where the study's SQLite file is; True for any other database."""
    database = location.database
    if database is None or not database.exists():
        return True
    return os.access(database.parent, os.W_OK) and os.access(database, os.W_OK)


def connect_to_copy(location: StudyLocation) -> RDBStorage:
    """Optuna's storage on a copy in memory of an SQLite file whose folder cannot be written. Raises BenchError.

    SQLite keeps two more files beside a database that is in use, also to read it.
    """
    database = location.database
    assert database is not None
    memory = sqlite3.connect(":memory:", check_same_thread=False)
    with tempfile.TemporaryDirectory() as folder:
        copied = Path(folder) / database.name
        _copy_at_rest(database, copied)
        check_whole(copied, shown=database)
        with closing(sqlite3.connect(copied)) as connection:
            connection.backup(memory)
    return RDBStorage("sqlite://", engine_kwargs={"creator": lambda: memory, "poolclass": sqlalchemy.StaticPool})


def _copy_at_rest(database: Path, copied: Path) -> None:
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
        told = _cleaned(error, location.url)
        kind = UnreachableError if any(words in told for words in _PASSING_WORDS) else BenchError
        raise kind(f"cannot open {visible_url(location.url)}: {told}") from None


def lock_key(name: str) -> int:
    """The number of PostgreSQL's advisory lock of that name."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big", signed=True)


def _engine_options(url: str) -> dict[str, Any]:
    if _parsed(url).get_backend_name() == "sqlite":
        return {"connect_args": {"timeout": _BUSY_SECONDS}}
    found: dict[str, Any] = {"pool_pre_ping": True}
    if _parsed(url).drivername == "postgresql+psycopg":
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


def storage_trouble(error: Exception) -> str | None:
    """What went wrong with the database, in one line and without its URL; None for any other error."""
    if not isinstance(error, sqlalchemy.exc.SQLAlchemyError | StorageInternalError | sqlite3.Error):
        return None
    return f"the database failed: {_root_words(error)}; when that is mended, the same command goes on"


def _root_words(error: Exception) -> str:
    """The first line of what an error came from."""
    root: BaseException = error
    while (cause := root.__cause__ or getattr(root, "orig", None)) is not None:
        root = cause
    told = str(root).strip().splitlines()
    return told[0] if told else type(root).__name__


def _cleaned(error: Exception, url: str) -> str:
    """What an error came from, without the password and without the URL."""
    parsed, words = _parsed(url), _root_words(error)
    options = [value for key, value in parsed.query.items() if key.lower() in _SECRET_OPTIONS]
    for secret in filter(None, (url, parsed.password, *options)):
        for form in (str(secret), quote(str(secret)), quote_plus(str(secret))):
            words = words.replace(form, "***")
    return words


def _parsed(url: str) -> sqlalchemy.URL:
    try:
        parsed = sqlalchemy.make_url(url)
    except (sqlalchemy.exc.ArgumentError, ValueError):
        raise BenchError("--storage is not a database URL such as sqlite:///file.db or postgresql://host/db") from None
    if "@" in (parsed.host or ""):
        # What stands before it is the rest of a password, which would be shown as part of the host.
        raise BenchError("--storage has an @ too many: in a user's name or a password it is written %40")
    return parsed


optuna.logging.set_verbosity(optuna.logging.WARNING)
