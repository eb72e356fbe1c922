"""Who is known to be gone, and who is not."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmark.store.owner import is_gone, this_process

ASK = "from benchmark.store.owner import this_process; print(this_process(), flush=True); input()"


def started() -> tuple[subprocess.Popen[str], str]:
    """Another process, and what it calls itself."""
    process = subprocess.Popen([sys.executable, "-c", ASK], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    return process, process.stdout.readline().strip()


def test_a_process_is_gone_once_it_has_ended_and_also_before_anybody_asks_after_it() -> None:
    process, owner = started()
    with process:
        assert not is_gone(owner)
        process.kill()
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        assert is_gone(owner), "a zombie"
    assert is_gone(owner)


def test_a_later_process_of_the_same_number_is_another() -> None:
    assert not is_gone(this_process())
    assert is_gone(f"{this_process().rpartition(':')[0]}:1")


@pytest.mark.parametrize("owner", ["", "nonsense", "elsewhere:machine:1:1", "elsewhere::1:1"])
def test_of_other_machines_nothing_is_known(owner: str) -> None:
    assert not is_gone(owner)


@pytest.mark.parametrize("hidden", [FileNotFoundError, PermissionError], ids=["as if it were none", "refused"])
@pytest.mark.parametrize("answer", ["exists, of another user", "exists", "does not exist"])
def test_a_process_that_the_system_hides_is_asked_for_by_a_signal(
    monkeypatch: pytest.MonkeyPatch, hidden: type[OSError], answer: str
) -> None:
    owner = this_process()
    read = Path.read_text

    def read_hidden(path: Path, *given: str) -> str:
        if path.name == "stat":
            raise hidden(str(path))
        return read(path, *given)

    def kill(pid: int, number: int) -> None:
        assert (pid, number) == (os.getpid(), 0)
        if answer == "exists, of another user":
            raise PermissionError
        if answer == "does not exist":
            raise ProcessLookupError

    monkeypatch.setattr(Path, "read_text", read_hidden)
    monkeypatch.setattr(os, "kill", kill)
    assert is_gone(owner) is (answer == "does not exist")
