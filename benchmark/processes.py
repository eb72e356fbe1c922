"""Whether a process is there; knows nothing of what it does."""

from __future__ import annotations

import os


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
