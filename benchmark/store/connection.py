"""Where a study's database is, whether it is whole, and how it is spoken to; knows no tables of ours."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
import sqlalchemy
from filelock import FileLock
from optuna.exceptions import StorageInternalError
from optuna.storages import RDBStorage

from benchmark.errors import BenchError

_BUSY_SECONDS = 60


@dataclass(frozen=True)
class StudyLocation:
    """Where a study lives: its database URL, and the folder for its lock and weights."""

    name: str
    root: Path
    storage: str | None = None
    """A database URL; None is the SQLite file `root/studies/NAME.db`."""

    @property
    def database(self) -> Path | None:
        """The SQLite file; None for any other database."""
        if self.storage is None:
            return self.root / "studies" / f"{self.name}.db"
        url = _parsed(self.storage)
        named = url.get_backend_name() == "sqlite" and url.database not in (None, "", ":memory:")
        return Path(str(url.database)) if named else None

    @property
    def url(self) -> str:
        """The database URL, password included: never print it.

        PostgreSQL without a driver's name means the one of our extra, whatever SQLAlchemy's own default is.
        """
        if self.storage is None:
            return f"sqlite:///{self.database}"
        url = _parsed(self.storage)
        url = url.set(drivername="postgresql+psycopg") if url.drivername == "postgresql" else url
        return url.render_as_string(hide_password=False)

    @property
    def folder(self) -> Path:
        """The folder for the study's weights, beside the database."""
        folder = self.root / "studies" / self.name
        if self.storage is None:
            return folder
        # A study of the same name in another database keeps its hands off these weights.
        where = visible_url(self.storage) if self.database is None else str(self.database.resolve())
        if where == str(folder.with_name(f"{self.name}.db").resolve()):
            return folder
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
            lock = FileLock(path)
            lock.acquire()
        except OSError as error:
            raise BenchError(f"cannot write in {path.parent}: {error.strerror}; choose another --root") from error
        try:
            yield
        finally:
            lock.release()


def visible_url(url: str) -> str:
    """The URL without its password, for people to read."""
    return _parsed(url).render_as_string(hide_password=True)


def check_whole(database: Path) -> None:
    """Raises BenchError where an existing file is not a whole study database; a missing file is fine."""
    if not database.exists():
        return
    if not database.is_file():
        raise BenchError(f"{database} is not a file; choose another --root or --storage")
    if database.stat().st_size == 0:
        raise BenchError(f"{database} is empty (0 bytes), not a study; remove it or restore it from a copy")
    # By SQLite alone: closing the file here would drop the locks of any connection this process has to it.
    try:
        with closing(
            sqlite3.connect(f"{database.absolute().as_uri()}?mode=ro", uri=True, timeout=_BUSY_SECONDS)
        ) as connection:
            verdict = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
            tables = {row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
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
    if tables and "studies" not in tables:
        raise BenchError(f"{database} is an SQLite database, but not one of a study; nothing was changed")


def connect(location: StudyLocation) -> RDBStorage:
    """Optuna's storage on the location's database, made safe for many processes. Raises BenchError."""
    database = location.database
    if database is None and _parsed(location.url).get_backend_name() == "sqlite":
        raise BenchError("--storage names a database in memory, which is lost with the program; name a file")
    if database is not None:
        check_whole(database)
    try:
        storage = RDBStorage(location.url, engine_kwargs=_engine_options(location.url))
    except ImportError as error:
        driver = f"the driver {error.name!r} is missing; for PostgreSQL: pip install 'ensemble-bench[postgresql]'"
        raise BenchError(f"cannot open {visible_url(location.url)}: {driver}") from None
    except Exception as error:
        # Whatever is raised here may quote the URL with its password, so its text is not passed on.
        raise BenchError(f"cannot open {visible_url(location.url)}: {type(error).__name__}") from None
    if database is not None:
        _tune_sqlite(storage.engine)
    return storage


def _engine_options(url: str) -> dict[str, Any]:
    if _parsed(url).get_backend_name() == "sqlite":
        return {"connect_args": {"timeout": _BUSY_SECONDS}}
    return {"pool_pre_ping": True}


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


def storage_trouble(error: Exception) -> str | None:
    """What went wrong with the database, in one line and without its URL; None for any other error."""
    if not isinstance(error, sqlalchemy.exc.SQLAlchemyError | StorageInternalError | sqlite3.Error):
        return None
    root: BaseException = error
    while (cause := root.__cause__ or getattr(root, "orig", None)) is not None:
        root = cause
    told = str(root).strip().splitlines()
    what = told[0] if told else type(root).__name__
    return f"the database failed: {what}; when that is mended, the same command goes on"


def _parsed(url: str) -> sqlalchemy.URL:
    try:
        return sqlalchemy.make_url(url)
    except sqlalchemy.exc.ArgumentError:
        raise BenchError("--storage is not a database URL such as sqlite:///file.db or postgresql://host/db") from None


optuna.logging.set_verbosity(optuna.logging.WARNING)
