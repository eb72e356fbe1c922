"""Arrays that are made once, published whole, and memory-mapped afterwards; knows nothing of what they mean.

One folder holds one set of arrays: NAME.npy for each, and a manifest with the key they were made for. A folder appears
under its own name in one rename, after its last byte is on disk, so that whatever can be seen is complete.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import filelock
import numpy as np
import platformdirs
from numpy.typing import NDArray

from benchmark.errors import BenchError

VARIABLE = "ENSEMBLE_BENCH_CACHE"
MANIFEST = "manifest.json"

Arrays = Mapping[str, NDArray[Any]]


def cache_folder() -> Path:
    """Where downloads are kept: the folder named by $ENSEMBLE_BENCH_CACHE, else the platform's user cache."""
    named = os.environ.get(VARIABLE)
    return Path(named).expanduser() if named else platformdirs.user_cache_path("ensemble-bench", appauthor=False)


def arrays_made_once(folder: Path, key: str, make: Callable[[Path], Arrays], say: Callable[[str], None]) -> Arrays:
    """The arrays in `folder`, memory-mapped read-only; made by `make` where they are absent, damaged or of another key.

    `make` receives a scratch folder that is gone afterwards, and runs in one process at a time: the others wait, and
    then read what it made. Raises BenchError where the folder cannot be written, and whatever `make` raises.
    """
    arrays = open_arrays(folder, key)
    if arrays is not None:
        return arrays
    with _locked(folder, say):
        arrays = open_arrays(folder, key)  # another process may have made them while this one waited
        if arrays is None:
            _publish(folder, key, make)
            arrays = open_arrays(folder, key)
    if arrays is None:
        raise BenchError(f"{folder} cannot be read back; is its disk in order?")
    return arrays


def open_arrays(folder: Path, key: str) -> Arrays | None:
    """The arrays published in `folder` under `key`, memory-mapped read-only, or None.

    None also where a file is missing or has another size, dtype or shape than the manifest says. Contents are not
    hashed again: this takes milliseconds for any size.
    """
    try:
        manifest = json.loads((folder / MANIFEST).read_text("utf-8"))
        if manifest["key"] != key:
            return None
        return {name: _open_array(folder / f"{name}.npy", facts) for name, facts in manifest["arrays"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _open_array(path: Path, facts: Mapping[str, Any]) -> NDArray[Any]:
    if path.stat().st_size != facts["size_bytes"]:
        raise ValueError(f"{path} has another size than when it was written")
    array: NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
    if array.dtype.str != facts["dtype"] or list(array.shape) != facts["shape"]:
        raise ValueError(f"{path} holds another array than was written")
    return array


@contextmanager
def _locked(folder: Path, say: Callable[[str], None]) -> Iterator[None]:
    lock = filelock.FileLock(folder.with_name(f".{folder.name}.lock"))
    with _writing(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        try:
            lock.acquire(timeout=0)
        except filelock.Timeout:
            say(f"waiting for another process that is filling {folder}")
            lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _publish(folder: Path, key: str, make: Callable[[Path], Arrays]) -> None:
    prefix = f".{folder.name}.partial-"
    for leftover in folder.parent.glob(f"{prefix}*"):  # of a killed process: the lock is ours, so nobody uses it
        shutil.rmtree(leftover, ignore_errors=True)
    with _writing(folder):
        scratch = Path(tempfile.mkdtemp(prefix=prefix, dir=folder.parent))
    try:
        download, ready = scratch / "download", scratch / "ready"
        with _writing(folder):
            download.mkdir()
        arrays = make(download)
        with _writing(folder):
            _write(ready, key, arrays)
            if folder.exists():  # a folder cannot be renamed onto one that has files
                folder.rename(scratch / "replaced")
            ready.rename(folder)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _write(folder: Path, key: str, arrays: Arrays) -> None:
    folder.mkdir()
    facts = {}
    for name, array in arrays.items():
        path = folder / f"{name}.npy"
        with path.open("wb") as file:
            np.save(file, array, allow_pickle=False)
            file.flush()
            os.fsync(file.fileno())  # or a power cut may leave a published file of the right size, full of zeros
        facts[name] = {"size_bytes": path.stat().st_size, "dtype": array.dtype.str, "shape": list(array.shape)}
    (folder / MANIFEST).write_text(json.dumps({"key": key, "arrays": facts}, indent=1) + "\n", "utf-8")


@contextmanager
def _writing(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise BenchError(f"cannot write to the cache at {folder}: {error}; set {VARIABLE} to another folder") from error
