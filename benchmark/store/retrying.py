"""Try again while a database server restarts or a connection breaks; bounded, and only where trying again can help."""

from __future__ import annotations

import functools
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Concatenate, ParamSpec, TypeVar, cast

import sqlalchemy
from optuna.exceptions import StorageInternalError

from benchmark.errors import UnreachableError

PATIENCE_SECONDS = 60.0
"""So long a database server may be away."""
OPENING_SECONDS = 10.0
"""So long it may be away when a study is opened: one that restarts is back by then, and a wrong port is told."""
_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 5.0
_SERVER_AWAY = ("08", "57P", "25P03", "40001", "40P01", "53300")
"""SQLSTATE: connection exceptions, operator intervention, a transaction that was idle for too long, serialization
failure, deadlock, too many connections."""

_CALLS = threading.local()
"""`once`: whether this thread's calls are made once, as those within a retried one."""

Self = TypeVar("Self")
P = ParamSpec("P")
R = TypeVar("R")


def retried(method: Callable[Concatenate[Self, P], R]) -> Callable[Concatenate[Self, P], R]:
    """The method, called again while the database cannot be reached; it has to bear being cut off anywhere.

    Raises the last error once PATIENCE_SECONDS have passed, or OPENING_SECONDS where it could not be opened, and any
    other error at once. Of calls within calls only the outermost is repeated, so that patience does not add up and a
    broken lock is taken again.
    """

    @functools.wraps(method)
    def patiently(self: Self, /, *args: P.args, **kwargs: P.kwargs) -> R:
        if getattr(_CALLS, "once", False):
            return method(self, *args, **kwargs)
        began, pause = time.monotonic(), _FIRST_PAUSE
        while True:
            try:
                _CALLS.once = True
                return method(self, *args, **kwargs)
            except (sqlalchemy.exc.SQLAlchemyError, StorageInternalError) as error:
                if not is_passing(error) or time.monotonic() + pause > began + PATIENCE_SECONDS:
                    raise
            except UnreachableError:
                if time.monotonic() + pause > began + OPENING_SECONDS:
                    raise
            finally:
                _CALLS.once = False
            time.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)

    return cast(Callable[Concatenate[Self, P], R], patiently)


@contextmanager
def impatiently() -> Iterator[None]:
    """Calls of this thread are made once: who wants to end at once does not wait for a server."""
    before, _CALLS.once = getattr(_CALLS, "once", False), True
    try:
        yield
    finally:
        _CALLS.once = before


def is_passing(error: BaseException) -> bool:
    """Whether the error says that a database server cannot be reached for now. A file does not come back by waiting."""
    found: BaseException | None = error
    while found is not None and not isinstance(found, sqlalchemy.exc.DBAPIError):
        if isinstance(found, sqlalchemy.exc.PendingRollbackError):
            # The connection broke before, and Optuna went on with the same session; it rolls back before it raises.
            return True
        found = found.__cause__
    if found is None or found.orig is None or not type(found.orig).__module__.startswith("psycopg"):
        return False
    state = getattr(found.orig, "sqlstate", None)
    if state is None:
        # The connection was refused or broke before the server could say why.
        return found.connection_invalidated or isinstance(found, sqlalchemy.exc.OperationalError)
    return str(state).startswith(_SERVER_AWAY)
