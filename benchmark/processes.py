"""Whether a process is there, and what this one does when it is signalled; knows nothing of what either works at."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import FrameType

Handler = Callable[[int, FrameType | None], object]


@contextmanager
def hearing(handlers: Mapping[str, Handler]) -> Iterator[None]:
    """Handle signals, by name ("SIGHUP"), in the main thread and until the end; those that this system has.

    What was ignored stays so, as the end of the terminal under nohup and Ctrl-C by what a script put in the background.
    """
    known = signal.Signals.__members__
    numbers = {known[name]: handler for name, handler in handlers.items() if name in known}
    previous = {
        number: signal.signal(number, handler)
        for number, handler in numbers.items()
        if signal.getsignal(number) is not signal.SIG_IGN
    }
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def process_exists(pid: int) -> bool:
    """Whether there is a process of that number, at least 1, of whatever user; a dead one counts until it is buried.

    Not for Windows, where asking would interrupt it. The system may hide the processes of other users in /proc (its
    mount option hidepid); asked so, it tells.
    """
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        pass
    return True
