"""Where a study is: its database, by a file or a URL, and its folder; opens no database."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from urllib.parse import quote, quote_plus

import sqlalchemy
from filelock import FileLock

from benchmark.errors import BenchError

BUSY_SECONDS = 60
"""That SQLite waits for others to be done."""
_LOCK_POLL_SECONDS = 0.01
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
        url = parsed_url(self.storage)
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
        url = parsed_url(self.storage)
        url = url.set(drivername="postgresql+psycopg") if url.drivername == "postgresql" else url
        return url.render_as_string(hide_password=False)

    @property
    def absolute(self) -> StudyLocation:
        """The same place for a process in any folder."""
        storage = self.storage
        if storage is not None and self.database is not None:
            storage = (
                parsed_url(storage).set(database=str(self.database.absolute())).render_as_string(hide_password=False)
            )
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
    parsed = parsed_url(url)
    secrets = {key: "***" for key in parsed.query if key.lower() in _SECRET_OPTIONS}
    return parsed.update_query_dict(secrets).render_as_string(hide_password=True)


def can_write(location: StudyLocation) -> bool:
    """Whether this process may write where the study's SQLite file is; True for any other database."""
    database = location.database
    if database is None or not database.exists():
        return True
    return os.access(database.parent, os.W_OK) and os.access(database, os.W_OK)


def without_secrets(text: str, url: str) -> str:
    """The text without the URL and its password, in any form in which they may be in it."""
    parsed = parsed_url(url)
    options = [value for key, value in parsed.query.items() if key.lower() in _SECRET_OPTIONS]
    for secret in filter(None, (url, parsed.password, *options)):
        for form in (str(secret), quote(str(secret)), quote_plus(str(secret))):
            text = text.replace(form, "***")
    return text


def parsed_url(url: str) -> sqlalchemy.URL:
    """A database URL in its parts. Raises BenchError where it is none."""
    try:
        parsed = sqlalchemy.make_url(url)
    except (sqlalchemy.exc.ArgumentError, ValueError):
        raise BenchError("--storage is not a database URL such as sqlite:///file.db or postgresql://host/db") from None
    if "@" in (parsed.host or ""):
        # What stands before it is the rest of a password, which would be shown as part of the host.
        raise BenchError("--storage has an @ too many: in a user's name or a password it is written %40")
    return parsed
