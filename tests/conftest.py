"""Fixtures of all tests."""

from __future__ import annotations

import os
import signal
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from filelock import FileLock

if TYPE_CHECKING:
    from postgres_server import PostgresServer


def pytest_configure() -> None:
    """Have Ctrl-C heard, which tests send to what they start, also where a script put them in the background."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the tests that need the whole machine first: one process then has them all, and none waits for its turn."""
    items.sort(key=lambda item: "_whole_machine" not in getattr(item, "fixturenames", ()))


@pytest.fixture
def _whole_machine() -> Iterator[None]:
    """No other test that needs or takes the whole machine runs meanwhile, in whichever process of the tests.

    A crowd of workers starves a command that has to keep to the clock.
    """
    with FileLock(Path(tempfile.gettempdir()) / f"bench-tests-{os.getuid()}.lock"):
        yield


@pytest.fixture
def deaf_port() -> Iterator[int]:
    """A port of this machine where nobody listens; it is taken, so that nobody else comes to."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """A PostgreSQL server for all tests of this process; tests ask for `postgres`."""
    from postgres_server import NoServerError, PostgresServer

    try:
        server = PostgresServer()
    except NoServerError as error:
        pytest.fail(str(error), pytrace=False)
    yield server
    server.close()


@pytest.fixture
def postgres(postgres_server: PostgresServer) -> Iterator[PostgresServer]:
    """A running PostgreSQL server; the connections that a test opened to it are closed at its end."""
    import sqlalchemy

    engines: set[sqlalchemy.Engine] = set()

    def note(connection: sqlalchemy.Connection) -> None:
        engines.add(connection.engine)

    postgres_server.start()
    sqlalchemy.event.listen(sqlalchemy.Engine, "engine_connect", note)
    yield postgres_server
    sqlalchemy.event.remove(sqlalchemy.Engine, "engine_connect", note)
    for engine in engines:
        engine.dispose()
    postgres_server.start()
