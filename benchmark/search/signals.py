"""What a search hears from a terminal and the system: to end, to pause, to go on; knows no trial."""

from __future__ import annotations

import math
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from benchmark.processes import Handler, hearing
from benchmark.workers import Child

_CONTINUED_SECONDS = 0.1
"""Of two signals that are handled together, the one to continue may come first though it was sent last."""


class Signals:
    """What was asked of this process by signals, while it heard them."""

    def __init__(self) -> None:
        self.end_requested = False
        """Whether one to end came: SIGINT (Ctrl-C), SIGTERM or SIGHUP."""
        self.pause_requested = False
        """Whether one to stop until further notice came: SIGTSTP (Ctrl-Z)."""
        self._continued = -math.inf

    @contextmanager
    def heard(self) -> Iterator[None]:
        """Have signals noted that are not ignored, and not end the process: a second one to end raises.

        In another thread than the main one nothing is heard: signals belong to whoever runs there.
        """
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        ending: dict[str, Handler] = dict.fromkeys(("SIGINT", "SIGTERM", "SIGHUP"), self._request_end)
        with hearing(ending | {"SIGTSTP": self._request_pause, "SIGCONT": self._go_on}):
            yield

    def pause(self, children: Sequence[Child]) -> float:
        """Stop here until the shell continues the process; seconds that it took.

        The children stop with it. Where no shell is there to continue it, the system lets it go on.
        """
        self.pause_requested = False
        paused = time.monotonic()
        handler = signal.signal(signal.SIGTSTP, signal.SIG_DFL)
        try:
            for child in children:
                child.send_signal(signal.SIGSTOP)
            signal.raise_signal(signal.SIGTSTP)
        finally:
            for child in children:
                child.send_signal(signal.SIGCONT)
            signal.signal(signal.SIGTSTP, handler)
        return time.monotonic() - paused

    def _request_end(self, number: int, _: Any) -> None:
        if self.end_requested and number in (signal.SIGINT, signal.SIGTERM):
            # It did not come to an end, as where it waits for a database: now at once. A terminal that is closed
            # says so more than once.
            raise KeyboardInterrupt(number)
        self.end_requested = True

    def _request_pause(self, *_: Any) -> None:
        self.pause_requested = time.monotonic() - self._continued > _CONTINUED_SECONDS

    def _go_on(self, *_: Any) -> None:
        # One that is continued before it came to stopping does not stop.
        self.pause_requested, self._continued = False, time.monotonic()
