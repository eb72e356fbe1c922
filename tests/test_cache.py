"""Arrays that are made once: nothing half-made is ever seen, and damage is noticed."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import platformdirs
import pytest

from benchmark.cache import MANIFEST, VARIABLE, Arrays, arrays_made_once, cache_folder, open_arrays
from benchmark.errors import BenchError

KEY = "key of these arrays"


def _arrays() -> dict[str, np.ndarray]:
    return {"pixels": np.arange(24, dtype=np.uint8).reshape(2, 3, 4), "labels": np.array([3, 1])}


def _silent(line: str) -> None:
    pass


def _make(scratch: Path) -> Arrays:
    (scratch / "download.tmp").write_bytes(b"half a download")
    return _arrays()


def _refuse(scratch: Path) -> Arrays:
    raise AssertionError("made again although it was there")


def test_made_arrays_are_published_and_opened_again_without_making(tmp_path: Path) -> None:
    folder = tmp_path / "home" / "arrays"
    made = arrays_made_once(folder, KEY, _make, _silent)
    again = arrays_made_once(folder, KEY, _refuse, _silent)
    for name, array in _arrays().items():
        for found in (made[name], again[name]):
            np.testing.assert_array_equal(found, array)
            assert isinstance(found, np.memmap)
            assert not found.flags.writeable
    assert sorted(path.name for path in folder.iterdir()) == ["labels.npy", MANIFEST, "pixels.npy"]
    assert not list(folder.parent.rglob("*.tmp"))


def _cut_short(folder: Path) -> None:
    path = folder / "pixels.npy"
    path.write_bytes(path.read_bytes()[:-1])


def _replaced(folder: Path) -> None:
    size_bytes = (folder / "pixels.npy").stat().st_size
    np.save(folder / "pixels.npy", np.arange(24, dtype=np.uint8).reshape(4, 3, 2))
    assert (folder / "pixels.npy").stat().st_size == size_bytes, "the point is an array of equal size"


def _missing(folder: Path) -> None:
    (folder / "labels.npy").unlink()


def _unreadable_manifest(folder: Path) -> None:
    (folder / MANIFEST).write_text("{")


def _foreign_manifest(folder: Path) -> None:
    (folder / MANIFEST).write_text("[]")


def _manifest_of_other_arrays(folder: Path) -> None:
    manifest = json.loads((folder / MANIFEST).read_text())
    (folder / MANIFEST).write_text(json.dumps(manifest | {"key": "another"}))


@pytest.mark.parametrize(
    "damage", [_cut_short, _replaced, _missing, _unreadable_manifest, _foreign_manifest, _manifest_of_other_arrays]
)
def test_damage_is_noticed_and_remade(tmp_path: Path, damage: Callable[[Path], None]) -> None:
    folder = tmp_path / "arrays"
    arrays_made_once(folder, KEY, _make, _silent)
    damage(folder)
    assert open_arrays(folder, KEY) is None
    remade = arrays_made_once(folder, KEY, _make, _silent)
    np.testing.assert_array_equal(remade["pixels"], _arrays()["pixels"])


class _InterruptedArrays(dict[str, np.ndarray]):
    """Gives its first array, then is interrupted: the moment between two files of a publication."""

    def items(self) -> Iterator[tuple[str, np.ndarray]]:  # type: ignore[override]
        yield "pixels", self["pixels"]
        raise KeyboardInterrupt


def test_an_interrupted_publication_is_never_visible(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        arrays_made_once(tmp_path / "arrays", KEY, lambda scratch: _InterruptedArrays(_arrays()), _silent)
    assert open_arrays(tmp_path / "arrays", KEY) is None
    assert [path.name for path in tmp_path.iterdir()] == [".arrays.lock"]


def test_what_a_killed_process_left_is_cleared_by_the_next(tmp_path: Path) -> None:
    leftover = tmp_path / ".arrays.partial-abc"
    leftover.mkdir()
    (leftover / "cifar.tar.gz").write_bytes(b"half")
    arrays_made_once(tmp_path / "arrays", KEY, _make, _silent)
    assert not leftover.exists()


def test_a_cache_that_cannot_be_written_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(BenchError, match=VARIABLE):
        arrays_made_once(tmp_path / "file" / "arrays", KEY, _refuse, _silent)


def test_the_variable_names_the_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    assert cache_folder() == tmp_path
    monkeypatch.delenv(VARIABLE)
    assert cache_folder() == platformdirs.user_cache_path("ensemble-bench", appauthor=False)
