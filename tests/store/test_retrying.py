"""What is tried again, how often, and when it is given up."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator

import psycopg
import pytest
import sqlalchemy
from optuna.exceptions import StorageInternalError
from psycopg import errors

from benchmark.store import retrying
from benchmark.store.retrying import impatiently, is_passing, retried

REFUSED = psycopg.OperationalError("connection failed: Connection refused")


def failing(cause: Exception, invalidated: bool = False) -> sqlalchemy.exc.DBAPIError:
    """The driver's error as SQLAlchemy raises it: in its class of the same name."""
    names = (base.__name__ for base in type(cause).__mro__)
    kind = next(getattr(sqlalchemy.exc, name) for name in names if hasattr(sqlalchemy.exc, name))
    error = kind("SELECT 1", {}, cause, connection_invalidated=invalidated)
    assert isinstance(error, sqlalchemy.exc.DBAPIError)
    return error


def as_optuna_tells_it(cause: Exception) -> StorageInternalError:
    error = StorageInternalError("An exception is raised during the commit.")
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    "cause",
    [
        REFUSED,
        errors.AdminShutdown("terminating connection due to administrator command"),
        errors.CrashShutdown("terminating connection because of crash of another server process"),
        errors.CannotConnectNow("the database system is starting up"),
        errors.ConnectionFailure("broken"),
        errors.IdleInTransactionSessionTimeout("terminating connection due to idle-in-transaction timeout"),
        errors.DeadlockDetected("deadlock detected"),
        errors.SerializationFailure("could not serialize access"),
        errors.TooManyConnections("sorry, too many clients already"),
    ],
    ids=lambda cause: type(cause).__name__,
)
def test_a_server_that_is_away_or_asks_for_another_attempt_is_passing(cause: Exception) -> None:
    assert is_passing(failing(cause))
    assert is_passing(as_optuna_tells_it(failing(cause)))


@pytest.mark.parametrize(
    "cause",
    [
        errors.SyntaxError("syntax error"),
        errors.UniqueViolation("duplicate key"),
        errors.DiskFull("could not extend file"),
        errors.InsufficientPrivilege("permission denied"),
        errors.UndefinedTable("no such table"),
        psycopg.InterfaceError("used wrongly"),
        sqlite3.OperationalError("database or disk is full"),
        sqlite3.OperationalError("database is locked"),
        sqlite3.DatabaseError("database disk image is malformed"),
    ],
    ids=str,
)
def test_what_waiting_does_not_mend_is_not_passing(cause: Exception) -> None:
    assert not is_passing(failing(cause))
    assert not is_passing(as_optuna_tells_it(failing(cause)))


def test_a_connection_that_broke_is_passing_whatever_the_driver_calls_it() -> None:
    assert is_passing(failing(psycopg.InterfaceError("the connection is closed"), invalidated=True))
    assert not is_passing(failing(sqlite3.ProgrammingError("the connection is closed"), invalidated=True))


def test_a_session_that_went_on_with_a_broken_connection_is_passing() -> None:
    """Optuna's storage answers a read that failed with another one in the same transaction."""
    assert is_passing(as_optuna_tells_it(sqlalchemy.exc.PendingRollbackError("Can't reconnect until ...")))


@pytest.mark.parametrize(
    "error", [RuntimeError("x"), StorageInternalError("x"), sqlalchemy.exc.InvalidRequestError("x")]
)
def test_an_error_that_no_driver_raised_is_not_passing(error: Exception) -> None:
    assert not is_passing(error)


# Trying again ---------------------------------------------------------------------------------------------------------


class Clock:
    """A clock that only sleeping moves."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.pauses: list[float] = []

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[Clock]:
    clock = Clock()
    with monkeypatch.context() as patch:
        patch.setattr(retrying, "time", clock)
        yield clock


class Server:
    """Raises the errors that it was given, one per call, then answers; each call takes `seconds`."""

    def __init__(self, clock: Clock, raised: list[Exception], seconds: float = 0.0) -> None:
        self.clock, self.raised, self.seconds = clock, raised, seconds
        self.calls = 0

    @retried
    def ask(self, word: str, *, loud: bool = False) -> str:
        """Echo."""
        self.calls += 1
        self.clock.now += self.seconds
        if self.raised:
            raise self.raised.pop(0)
        return word.upper() if loud else word

    @retried
    def ask_through(self, before: float) -> str:
        self.clock.now += before
        return self.ask("through")


def test_who_wants_to_end_at_once_does_not_wait(clock: Clock) -> None:
    server = Server(clock, [failing(REFUSED), failing(REFUSED)])
    with pytest.raises(sqlalchemy.exc.OperationalError), impatiently():
        server.ask("yes")
    assert (server.calls, clock.pauses) == (1, [])
    assert server.ask("yes") == "yes", "patient again"


def test_a_passing_error_is_tried_again_with_the_same_arguments(clock: Clock) -> None:
    server = Server(clock, [failing(REFUSED), as_optuna_tells_it(failing(REFUSED))])
    assert server.ask("yes", loud=True) == "YES"
    assert server.calls == 3
    assert (server.ask.__name__, server.ask.__doc__) == ("ask", "Echo.")


@pytest.mark.parametrize(
    "error",
    [
        failing(errors.UniqueViolation("duplicate key")),
        failing(sqlite3.OperationalError("database or disk is full")),
        ValueError("x"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_any_other_error_is_raised_at_once(clock: Clock, error: Exception) -> None:
    server = Server(clock, [error])
    with pytest.raises(type(error)) as caught:
        server.ask("x")
    assert caught.value is error
    assert (server.calls, clock.pauses) == (1, [])


def test_pauses_grow_and_are_bounded(clock: Clock) -> None:
    server = Server(clock, [failing(REFUSED)] * 12)
    server.ask("x")
    assert clock.pauses == sorted(clock.pauses)
    assert clock.pauses[0] <= 0.1
    assert clock.pauses[1] == 2 * clock.pauses[0]
    assert clock.pauses[-2:] == [5.0, 5.0]


@pytest.mark.parametrize("seconds", [0.0, 7.0])
def test_the_last_error_is_raised_once_patience_is_at_an_end(clock: Clock, seconds: float) -> None:
    raised: list[Exception] = [failing(REFUSED) for _ in range(1000)]
    server, began = Server(clock, list(raised), seconds), clock.now
    with pytest.raises(sqlalchemy.exc.OperationalError) as caught:
        server.ask("x")
    assert caught.value is raised[server.calls - 1]
    assert server.calls > 3
    waited = clock.now - began
    assert retrying.PATIENCE_SECONDS - 5 - seconds <= waited <= retrying.PATIENCE_SECONDS + seconds


def test_a_call_within_a_call_is_repeated_as_a_part_of_it(clock: Clock) -> None:
    server = Server(clock, [failing(REFUSED)])
    assert server.ask_through(before=1.0) == "through"
    assert clock.now >= 1002.0, "what is not repeated as a whole goes on without the lock that it had"
