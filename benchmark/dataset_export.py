"""A data set written to files that other programs read: CSV, PNG, NPZ and CIFAR-10's binary form; reads none."""

from __future__ import annotations

import csv
import itertools
import json
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from benchmark.errors import BenchError, UnknownNameError
from benchmark.records import Dataset, Images, Split

MANIFEST = "manifest.json"
MAKER = "bench data export"
_LEVELS = tuple(map(str, range(256)))
BATCHES = 5
"""Files into which CIFAR-10's binary form divides the training part."""


def export(dataset: Dataset, form: str, folder: Path, *, overwrite: bool = False) -> Path:
    """Write the whole data set into `folder` in one of `FORMS`, with a manifest beside it; the folder's whole path.

    It is written beside the folder and takes its place when complete, so that a folder is there whole or not at all.
    Raises BenchError where the form cannot hold the data set, the folder cannot be written, or it has files: unless
    `overwrite` is given and they are an earlier export's.
    """
    if form not in FORMS:
        raise UnknownNameError("format", form, FORMS)
    write, layout = FORMS[form]
    folder = folder.resolve()
    _refuse_other_files(folder, overwrite)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(prefix=f".{folder.name}.partial-", dir=folder.parent))
        try:
            draft = scratch / "ready"
            draft.mkdir()
            write(dataset, draft)
            (draft / MANIFEST).write_text(_manifest(dataset, form, layout), "utf-8")
            earlier = scratch / "replaced"
            try:
                if folder.exists():
                    folder.rename(earlier)
                draft.rename(folder)
            finally:
                if earlier.exists() and not folder.exists():
                    earlier.rename(folder)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
    except OSError as error:
        raise BenchError(
            f"cannot write {folder}: {error.strerror or error}; choose another folder with --to"
        ) from error
    return folder


def _refuse_other_files(folder: Path, overwrite: bool) -> None:
    if folder.exists() and not folder.is_dir():
        raise BenchError(f"{folder} is not a folder; choose another with --to")
    try:
        if not folder.exists() or not any(folder.iterdir()):
            return
    except OSError as error:
        raise BenchError(f"cannot read {folder}: {error.strerror}; choose another folder with --to") from error
    if not overwrite:
        raise BenchError(f"{folder} has files in it; choose another folder, or replace an earlier export: --overwrite")
    try:
        is_ours = json.loads((folder / MANIFEST).read_text("utf-8"))["made_by"] == MAKER
    except (OSError, ValueError, KeyError, TypeError):
        is_ours = False
    if not is_ours:
        raise BenchError(f"{folder} has files that are not of an earlier export, and is not replaced; choose another")


def _manifest(dataset: Dataset, form: str, layout: str) -> str:
    shape = dataset.image_shape
    facts = {
        "made_by": MAKER,
        "dataset": dataset.name,
        "fingerprint": dataset.fingerprint,
        "format": form,
        "layout": layout,
        "height": shape.height,
        "width": shape.width,
        "channels": shape.channels,
        "classes": dataset.classes,
        "train_rows": len(dataset.train),
        "test_rows": len(dataset.test),
    }
    return json.dumps(facts, indent=1, ensure_ascii=False) + "\n"


def _parts(dataset: Dataset) -> tuple[tuple[Split, Images], ...]:
    return (Split.TRAIN, dataset.train), (Split.TEST, dataset.test)


def _numbered(images: Images) -> Iterator[tuple[int, int, NDArray[np.uint8]]]:
    """Row, label and pixels of each image."""
    start = 0
    for chunk in images.chunks():
        yield from zip(itertools.count(start), chunk.labels.tolist(), chunk.pixels, strict=False)
        start += len(chunk)


def _write_csv(dataset: Dataset, folder: Path) -> None:
    values = int(np.prod(dataset.train.pixels.shape[1:]))
    with (folder / "images.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="")
        writer.writerow(["split", "row", "label", "class", *(f"pixel_{number}" for number in range(values))])
        for split, images in _parts(dataset):
            for row, label, pixels in _numbered(images):
                file.write("\n")
                writer.writerow([split, row, label, dataset.classes[label]])
                # a third of the time that the writer takes to turn numbers into words
                file.write("," + ",".join(map(_LEVELS.__getitem__, pixels.tobytes())))
        file.write("\n")


def _write_png(dataset: Dataset, folder: Path) -> None:
    channels = dataset.image_shape.channels
    if channels not in (1, 3):
        raise BenchError(f"png holds images of 1 or 3 channels, not of {channels}; choose --format npz")
    names = folder_names(dataset.classes)
    for split, images in _parts(dataset):
        digits = max(5, len(str(len(images) - 1)))
        for name in names:
            (folder / split / name).mkdir(parents=True)
        for row, label, pixels in _numbered(images):
            image = Image.fromarray(pixels[..., 0] if channels == 1 else pixels)
            image.save(folder / split / names[label] / f"{row:0{digits}}.png")


def _write_npz(dataset: Dataset, folder: Path) -> None:
    np.savez_compressed(
        folder / "images.npz",
        x_train=dataset.train.pixels,
        y_train=dataset.train.labels,
        x_test=dataset.test.pixels,
        y_test=dataset.test.labels,
        classes=np.asarray(dataset.classes),
    )


def _write_binary(dataset: Dataset, folder: Path) -> None:
    if len(dataset.classes) > 256:
        raise BenchError(f"binary has one byte for 256 classes, not {len(dataset.classes)}; choose --format npz")
    edges = [len(dataset.train) * number // BATCHES for number in range(BATCHES + 1)]
    batches = [(f"data_batch_{number}", *between) for number, between in enumerate(itertools.pairwise(edges), start=1)]
    for name, start, end in batches:
        _write_planes(dataset.train, np.arange(start, end), folder / f"{name}.bin")
    _write_planes(dataset.test, np.arange(len(dataset.test)), folder / "test_batch.bin")
    lines = [" ".join(name.split()) for name in dataset.classes]
    (folder / "batches.meta.txt").write_text("\n".join(lines) + "\n", "utf-8")


def _write_planes(images: Images, rows: NDArray[np.int64], path: Path) -> None:
    with path.open("wb") as file:
        for chunk in images.chunks(rows):
            planes = chunk.pixels.transpose(0, 3, 1, 2).reshape(len(chunk), -1)
            file.write(np.column_stack([chunk.labels.astype(np.uint8), planes]).tobytes())


def folder_names(classes: Sequence[str]) -> list[str]:
    """Class names as names of folders on any usual file system, each its own; hidden ones and paths are none."""
    names: list[str] = []
    for name in classes:
        safe = re.sub(r"[^\w ()+,=.-]", "_", name)[:100].strip(" .") or "_"
        if re.fullmatch(r"(?i)(con|prn|aux|nul|com\d|lpt\d)(\..*)?", safe):
            safe = f"_{safe}"
        while safe.casefold() in map(str.casefold, names):
            safe += "_"
        names.append(safe)
    return names


FORMS: Mapping[str, tuple[Callable[[Dataset, Path], None], str]] = MappingProxyType(
    {
        "csv": (
            _write_csv,
            "images.csv: one line per image with its part, its row there from 0, label, class, and pixel values "
            "0..255, from the top row of pixels to the bottom one, in it from left to right, channels of a pixel "
            "together: that of row y, column x and channel c is pixel_((y * width + x) * channels + c).",
        ),
        "png": (
            _write_png,
            "PART/CLASS/ROW.png with the row in the part from 0; names of classes are made safe for file systems.",
        ),
        "npz": (
            _write_npz,
            "images.npz for numpy.load: x_train and x_test uint8 (rows, height, width, channels), y_train and y_test "
            "int64 in the order of classes.",
        ),
        "binary": (
            _write_binary,
            "CIFAR-10's binary form: of each image a byte with its label, then its channels one after another, each "
            "from the top row of pixels to the bottom one; data_batch_1.bin to data_batch_5.bin are the training part "
            "in order; batches.meta.txt has the names of the labels, from 0.",
        ),
    }
)
"""By name: what writes a data set into a folder, and what the files hold."""
