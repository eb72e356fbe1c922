"""Signals are handled for a while and no longer, those that were ignored are not; a process is there or it is not."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from benchmark.processes import hearing, process_exists


def test_signals_are_handled_until_the_end() -> None:
    heard: list[int] = []
    before = signal.getsignal(signal.SIGTERM)
    with hearing({"SIGTERM": lambda number, _: heard.append(number), "SIGNOWHERE": lambda *_: None}):
        os.kill(os.getpid(), signal.SIGTERM)
    assert heard == [signal.SIGTERM]
    assert signal.getsignal(signal.SIGTERM) is before


def test_handlers_go_where_an_error_comes() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(ValueError, match="x"), hearing({"SIGTERM": lambda *_: None}):
        raise ValueError("x")
    assert signal.getsignal(signal.SIGTERM) is before


def test_what_was_ignored_stays_so() -> None:
    heard: list[int] = []
    before = signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    try:
        with hearing({"SIGUSR1": lambda number, _: heard.append(number)}):
            os.kill(os.getpid(), signal.SIGUSR1)
        assert signal.getsignal(signal.SIGUSR1) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert heard == []


def test_whether_a_process_exists() -> None:
    assert process_exists(os.getpid())
    assert process_exists(1), "of another user, perhaps"
    assert not process_exists(2**31 - 1)
    assert not process_exists(2**63)
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as started:
        assert process_exists(started.pid)
        started.communicate(b"\n")
    assert not process_exists(started.pid)
