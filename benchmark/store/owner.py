"""Who runs a trial: a process told apart from all others, later ones of the same number too; knows no database."""

from __future__ import annotations

import os
import socket
from pathlib import Path


def this_process() -> str:
    """This process as "host:machine:pid:birth", where machine and birth are empty if the system does not tell them."""
    return f"{socket.gethostname()}:{_machine()}:{os.getpid()}:{_birth(os.getpid()) or ''}"


def is_gone(owner: str) -> bool:
    """Whether the owner is a process of this very machine that no longer exists; False where that cannot be known.

    Containers may share a host's name and not its processes: a machine is known by its boot and its process namespace.
    """
    host, machine, pid, birth = owner.rsplit(":", 3) if owner.count(":") >= 3 else ("", "", "", "")
    if not machine or (host, machine) != (socket.gethostname(), _machine()):
        return False
    return _birth(int(pid)) != birth


def _machine() -> str:
    """This boot of this machine and its process namespace; empty where the system has no such thing."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        namespace = str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        return ""
    return f"{boot[:8]}-{''.join(filter(str.isdigit, namespace))}"


def _birth(pid: int) -> str | None:
    """When the process began, in clock ticks since the machine's start; None where there is no such process."""
    try:
        # The name, in brackets, may contain anything; the 22nd field of proc(5) is the 20th after it.
        after_name = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    # A dead process whose parent has not asked after it yet.
    return None if after_name[0] in "ZX" else after_name[19]
