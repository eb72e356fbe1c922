"""Which study is meant: by its name, or by what this machine and this folder have; opens it."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from benchmark.errors import BenchError, MissingStudyError, UnknownNameError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmark.definition import StudySpec
    from benchmark.store import StudyLocation, StudyStore


def default_study(devices: Sequence[str], console: Console) -> str:
    """The shipped study for what this machine has to train on, and says so."""
    name = "cifar10-cpu" if devices[0] == "cpu" else "cifar10"
    console.print(f"no study named: taking {name}, the one for a {'CPU' if name != 'cifar10' else 'GPU'}")
    return name


def read_definition(name: str, root: Path) -> StudySpec:
    """The study's definition, as the folder has it or else as it is shipped, without leaving a copy in the folder."""
    from benchmark.definition import load_study, shipped_studies, shipped_study

    if name in shipped_studies() and not (root / "studies" / f"{name}.toml").exists():
        return shipped_study(name)
    return load_study(name, root)


def location(name: str, root: Path, storage: str | None) -> StudyLocation:
    """Where a study of that name is. Raises BenchError where it is no name."""
    from benchmark.definition import check_study_name
    from benchmark.store import StudyLocation

    return StudyLocation(check_study_name(name), root, storage)


def open_named(
    study: str | None, root: Path, storage: str | None, console: Console, *, to_read: bool = False
) -> StudyStore:
    """The study to read; where none is named, the one whose database in this folder changed last.

    `to_read`: its folder need not be writable; what would be noted in it is then left out.
    """
    from benchmark.definition import check_study_name, shipped_studies
    from benchmark.store import open_study

    if study is None:
        if storage is not None:
            raise BenchError("name a study")
        return _opened_last(root, console, to_read=to_read)
    known = {path.stem for path in (root / "studies").glob("*.toml")} | set(shipped_studies()) | set(_databases(root))
    if storage is None and check_study_name(study) not in known:
        raise UnknownNameError("study", study, known)
    return open_study(location(study, root, storage), to_read=to_read)


def _opened_last(root: Path, console: Console, *, to_read: bool) -> StudyStore:
    """The study whose database changed last; a copy under another name, which holds none of that name, is none."""
    from benchmark.store import open_study

    names = searched_here(root)
    for name in names:
        with suppress(MissingStudyError):
            store = open_study(location(name, root, None), to_read=to_read)
            if len(names) > 1:
                console.print(f"no study named: taking {name}, the one used last", soft_wrap=True)
            return store
    # Says what is missing.
    return open_study(location(names[0], root, None), to_read=to_read)


def _changed(path: Path) -> float:
    """When a file was changed last, in seconds since 1970; 0 for a link to nowhere."""
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def searched_here(root: Path) -> list[str]:
    """Names of the databases in the folder, the one that changed last first. Raises BenchError where there is none."""
    names = _databases(root)
    if not names:
        raise BenchError("no study here yet; run: bench search")
    return names


def _databases(root: Path) -> list[str]:
    """Names of the databases in the folder, the one that changed last first; whatever could be no study is left out."""
    from benchmark.definition import is_study_name

    found = [path for path in (root / "studies").glob("*.db") if is_study_name(path.stem)]
    return [path.stem for path in sorted(found, key=lambda path: (-_changed(path), path.name))]
