"""Who runs a trial: a process told apart from all others, later ones of the same number too; knows no database."""

from __future__ import annotations

import os
import socket
from pathlib import Path

from benchmark.processes import process_exists


def this_process() -> str:
    """This process as "host:machine:pid:birth", where machine and birth are empty if the system does not tell them."""
    try:
        birth = _birth(os.getpid())
    except OSError:
        birth = None
    return f"{socket.gethostname()}:{_machine()}:{os.getpid()}:{birth or ''}"


def is_gone(owner: str) -> bool:
    """Whether the owner is a process of this very machine that no longer exists; False where that cannot be known.

    `owner`: what `this_process` said there, and perhaps more after another colon.
    Containers may share a host's name and not its processes: a machine is known by its boot and its process namespace.
    """
    host, machine, pid, birth, *_ = [*owner.split(":"), "", "", "", ""]
    if not machine or (host, machine) != (socket.gethostname(), _machine()):
        return False
    try:
        return _birth(int(pid)) != birth
    except OSError:
        # The system may hide the processes of other users (mount option hidepid of /proc), as if there were none.
        return not process_exists(int(pid))


def _machine() -> str:
    """This boot of this machine and its process namespace; empty where the system has no such thing."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        namespace = str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        return ""
    return f"{boot[:8]}-{''.join(filter(str.isdigit, namespace))}"


def _birth(pid: int) -> str | None:
    """When the process began, in clock ticks since the machine's start; None where it is dead. Raises OSError.

    A dead process may still be there, as one whose parent has not asked after it yet.
    """
    # The name, in brackets, may contain anything; the 22nd field of proc(5) is the 20th after it.
    after_name = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return None if after_name[0] in "ZX" else after_name[19]
