"""Which source and which library versions are running; knows nothing of studies."""

from __future__ import annotations

import platform
import subprocess
from importlib import metadata
from pathlib import Path

from benchmark import __version__

_LIBRARIES = ("torch", "torchvision", "timm", "optuna", "scikit-learn", "numpy")


def source_commit() -> str:
    """The commit of this program's checkout, "+changes" appended where the package was altered; else "unknown"."""
    package = Path(__file__).parent
    commit = _git(package, "rev-parse", "--short=12", "HEAD")
    # A package installed inside some other checkout is not that checkout's source.
    if not commit or not _git(package, "ls-files", "--", "origin.py"):
        return "unknown"
    return commit + ("+changes" if _git(package, "status", "--porcelain", "--", ".") else "")


def running_versions(*more: str) -> dict[str, str]:
    """Versions of the program, Python and the libraries that results depend on, by name; of `more` libraries too."""
    versions = {"ensemble-bench": __version__, "python": platform.python_version()}
    return versions | {name: metadata.version(name) for name in (*_LIBRARIES, *more)}


def _git(folder: Path, *arguments: str) -> str:
    try:
        run = subprocess.run(["git", "-C", str(folder), *arguments], capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return run.stdout.strip() if run.returncode == 0 else ""
