"""Processes that stand ready and do the same work at the same time; knows nothing of what the work is.

Both sides of a comparison stay loaded while they take turns, so that neither pays for imports in its measurement.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing import get_context, get_start_method, set_start_method
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Any

Task = Callable[..., Any]
Prepare = Callable[..., Task]
"""Called once in every process as prepare(member, *arguments); returns what is called with each order."""

_END_SECONDS = 10.0


def seed_of(member: int, turn: int) -> int:
    """Runs side by side are runs of different seeds, and so are those of another turn."""
    return 100 * member + turn


class CrewError(Exception):
    """A process of a crew raised or died; carries its traceback."""


@dataclass(frozen=True)
class _Raised:
    """What went wrong inside a process, as text: an exception itself may not survive pickling."""

    text: str


class Crew:
    """`size` processes, spawned, each with `threads` threads inside an operation (None: as many as torch likes)."""

    def __init__(self, size: int, threads: int | None, prepare: Prepare, *arguments: object) -> None:
        context, method = get_context("spawn"), get_start_method()
        self._connections: list[Connection] = []
        self._processes = []
        for member in range(size):
            ours, theirs = context.Pipe()
            # Not daemonic: the user's script has DataLoader workers, which are children of such a process.
            process = context.Process(target=_serve, args=(theirs, method, threads, prepare, member, arguments))
            process.start()
            theirs.close()
            self._connections.append(ours)
            self._processes.append(process)
        try:
            _answers(self._connections)
        except BaseException:
            self._end()
            raise

    def run(self, *order: object, members: int | None = None) -> list[Any]:
        """Have every process do the order, all at once; their answers in order of membership. Raises CrewError.

        With `members` only the first so many do it, while the others wait.
        """
        chosen = self._connections[:members]
        for connection in chosen:
            connection.send(order)
        return _answers(chosen)

    def __enter__(self) -> Crew:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    def _end(self) -> None:
        # A process that is listened to no more ends by itself, and ends its own children on the way.
        for connection in self._connections:
            connection.close()
        for process in self._processes:
            process.join(_END_SECONDS)
            if process.is_alive():
                process.kill()
                process.join()


def _answers(connections: Sequence[Connection]) -> list[Any]:
    answers = []
    for connection in connections:
        try:
            answer = connection.recv()
        except EOFError:
            raise CrewError("a measuring process died; its messages are above") from None
        if isinstance(answer, _Raised):
            raise CrewError(answer.text)
        answers.append(answer)
    return answers


def _serve(
    connection: Connection,
    method: str,
    threads: int | None,
    prepare: Prepare,
    member: int,
    arguments: tuple[object, ...],
) -> None:
    import torch

    # A spawned process would spawn its own children too, and DataLoader workers would import torch anew in every epoch:
    # the user's script gets what its platform gives it.
    set_start_method(method, force=True)
    try:
        if threads is not None:
            torch.set_num_threads(threads)
        task = prepare(member, *arguments)
        connection.send(None)
        while True:
            connection.send(task(*connection.recv()))
    except (EOFError, BrokenPipeError, ConnectionResetError, KeyboardInterrupt):
        pass  # The parent is gone or done.
    except Exception:
        connection.send(_Raised(traceback.format_exc()))
