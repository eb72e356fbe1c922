"""Fixtures of the tests of searching."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from scripted_search import Script, ScriptedProcess

from benchmark.search import slots
from benchmark.store import StudyLocation, StudyStore, create_study


@pytest.fixture(autouse=True)
def _hears_the_terminal() -> Iterator[None]:
    """The end of the terminal, which tests here send, is not ignored, though nohup may have started them."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.fixture
def store(tmp_path: Path) -> StudyStore:
    return create_study(StudyLocation("mine", tmp_path))


@pytest.fixture
def scripts(monkeypatch: pytest.MonkeyPatch) -> list[Script]:
    """Scripts of the next jobs, in order; the last one is for all further jobs."""
    scripts: list[Script] = []
    lock = threading.Lock()

    def next_script(*given: Any) -> None:
        with lock:
            script = scripts.pop(0) if len(scripts) > 1 else scripts[0]
        script(*given)

    monkeypatch.setattr(slots, "start_child", lambda setup: ScriptedProcess(next_script, setup).child)
    return scripts
