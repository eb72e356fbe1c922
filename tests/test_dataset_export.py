"""Exported data sets, read back by what would read them; folders that are there whole, and nothing else lost."""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmark import cli
from benchmark.dataset_export import FORMS, MANIFEST, export, folder_names
from benchmark.datasets import DATASETS
from benchmark.datasets._cifar10_forms import BINARY
from benchmark.errors import BenchError, UnknownNameError
from benchmark.records import Dataset, Images

CLASSES = ("cat", 'a "dog", or so', "frog")


def noise(size: tuple[int, int, int] = (4, 5, 3), classes: tuple[str, ...] = CLASSES) -> Dataset:
    rng = np.random.default_rng(0)

    def part(rows: int) -> Images:
        return Images(rng.integers(0, 256, (rows, *size), np.uint8), rng.integers(0, 3, rows))

    return Dataset("noise", classes, part(23), part(7), "f" * 64)


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Several chunks, the last one smaller."""
    monkeypatch.setattr("benchmark.records.CHUNK_BYTES", 10 * 60)


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_csv_has_a_line_for_every_image_with_pixels_in_order(tmp_path: Path, channels: int) -> None:
    dataset = noise((4, 5, channels))
    folder = export(dataset, "csv", tmp_path / "out")
    with (folder / "images.csv").open(newline="", encoding="utf-8") as file:
        lines = list(csv.DictReader(file))
    assert [(line["split"], int(line["row"])) for line in lines] == [
        *(("train", row) for row in range(23)),
        *(("test", row) for row in range(7)),
    ]
    for line in lines:
        part = dataset.train if line["split"] == "train" else dataset.test
        row = int(line["row"])
        assert int(line["label"]) == part.labels[row]
        assert line["class"] == CLASSES[part.labels[row]]
    y, x, channel = 3, 1, channels - 1
    assert int(lines[2][f"pixel_{(y * 5 + x) * channels + channel}"]) == dataset.train.pixels[2, y, x, channel]
    values = [[int(line[f"pixel_{number}"]) for number in range(20 * channels)] for line in lines]
    np.testing.assert_array_equal(values[:23], dataset.train.pixels.reshape(23, -1))
    np.testing.assert_array_equal(values[23:], dataset.test.pixels.reshape(7, -1))


@pytest.mark.parametrize("channels", [1, 3])
def test_png_has_a_file_for_every_image_in_the_folder_of_its_class(tmp_path: Path, channels: int) -> None:
    dataset = noise((4, 5, channels))
    folder = export(dataset, "png", tmp_path / "out")
    for split, part in (("train", dataset.train), ("test", dataset.test)):
        assert len(list((folder / split).rglob("*.png"))) == len(part)
        for row, (pixels, label) in enumerate(zip(part.pixels, part.labels, strict=True)):
            path = folder / split / ("cat", "a _dog_, or so", "frog")[label] / f"{row:05}.png"
            with Image.open(path) as image:
                assert image.mode == {1: "L", 3: "RGB"}[channels]
                np.testing.assert_array_equal(np.asarray(image).reshape(pixels.shape), pixels)


def test_png_has_a_folder_for_a_class_without_images(tmp_path: Path) -> None:
    folder = export(noise(classes=(*CLASSES, "yak")), "png", tmp_path / "out")
    assert list((folder / "train" / "yak").iterdir()) == list((folder / "test" / "yak").iterdir()) == []


def test_npz_loads_without_pickle(tmp_path: Path) -> None:
    dataset = noise()
    folder = export(dataset, "npz", tmp_path / "out")
    with np.load(folder / "images.npz", allow_pickle=False) as arrays:
        for name, part in (("train", dataset.train), ("test", dataset.test)):
            np.testing.assert_array_equal(arrays[f"x_{name}"], part.pixels)
            np.testing.assert_array_equal(arrays[f"y_{name}"], part.labels)
        assert tuple(arrays["classes"]) == CLASSES


def test_binary_is_read_back_by_the_reader_of_cifar10(tmp_path: Path) -> None:
    dataset = noise((32, 32, 3))
    folder = export(dataset, "binary", tmp_path / "out")
    assert BINARY.find(folder) == folder
    train, test = BINARY.read(folder)
    for found, part in ((train, dataset.train), (test, dataset.test)):
        np.testing.assert_array_equal(found.pixels, part.pixels)
        np.testing.assert_array_equal(found.labels, part.labels)
    assert (folder / "batches.meta.txt").read_text().splitlines() == list(CLASSES)


def test_binary_takes_images_of_any_size(tmp_path: Path) -> None:
    dataset = noise((2, 3, 1))
    folder = export(dataset, "binary", tmp_path / "out")
    sizes = [(folder / f"data_batch_{number}.bin").stat().st_size for number in range(1, 6)]
    assert sizes == [7 * rows for rows in (4, 5, 4, 5, 5)]
    first = (folder / "data_batch_1.bin").read_bytes()[:7]
    assert first == bytes([dataset.train.labels[0], *dataset.train.pixels[0].ravel()])


@pytest.mark.parametrize("form", FORMS)
def test_the_manifest_says_what_the_files_do_not(tmp_path: Path, form: str) -> None:
    facts = json.loads((export(noise(), form, tmp_path / "out") / MANIFEST).read_text("utf-8"))
    assert facts["format"] == form
    assert (facts["height"], facts["width"], facts["channels"]) == (4, 5, 3)
    assert (facts["train_rows"], facts["test_rows"], facts["fingerprint"]) == (23, 7, "f" * 64)
    assert facts["classes"] == list(CLASSES)


def test_what_a_form_cannot_hold_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(BenchError, match="png holds images of 1 or 3 channels, not of 4"):
        export(noise((4, 5, 4)), "png", tmp_path / "out")
    many = Dataset("many", tuple(map(str, range(257))), *(noise().train, noise().test), "f" * 64)
    with pytest.raises(BenchError, match="one byte for 256 classes, not 257"):
        export(many, "binary", tmp_path / "out")
    with pytest.raises(UnknownNameError, match="unknown format 'pgn'; did you mean 'png'"):
        export(noise(), "pgn", tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_only_an_earlier_export_is_replaced_and_only_when_asked(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    export(noise(), "npz", folder)
    with pytest.raises(BenchError, match=r"has files in it; .* replace an earlier export: --overwrite"):
        export(noise(), "csv", folder)
    export(noise(), "csv", folder, overwrite=True)
    assert sorted(path.name for path in folder.iterdir()) == ["images.csv", MANIFEST]
    (folder / MANIFEST).write_text("[]")
    with pytest.raises(BenchError, match="not of an earlier export, and is not replaced"):
        export(noise(), "npz", folder, overwrite=True)
    with pytest.raises(BenchError, match="is not a folder"):
        export(noise(), "npz", folder / "images.csv", overwrite=True)
    assert sorted(path.name for path in folder.iterdir()) == ["images.csv", MANIFEST]
    assert list(tmp_path.iterdir()) == [folder], "nothing stays beside it"


def test_what_fails_halfway_leaves_the_earlier_export(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = export(noise(), "npz", tmp_path / "out")
    before = (folder / "images.npz").read_bytes()

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Image.Image, "save", full)
    with pytest.raises(BenchError, match=r"cannot write .*: No space left on device"):
        export(noise(), "png", folder, overwrite=True)
    assert (folder / "images.npz").read_bytes() == before
    assert list(tmp_path.iterdir()) == [folder]


@pytest.mark.parametrize(("has_earlier", "moved"), [(True, "ready"), (True, "out"), (False, "ready")])
def test_an_export_that_cannot_take_its_place_leaves_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, has_earlier: bool, moved: str
) -> None:
    folder = tmp_path / "out"
    if has_earlier:
        export(noise(), "npz", folder)
    before = sorted(path.read_bytes() for path in folder.iterdir()) if has_earlier else None
    rename = Path.rename

    def interrupted(path: Path, target: Path) -> Path:
        if path.name != moved:
            return rename(path, target)
        monkeypatch.undo()
        if moved == "out":
            # The signal comes when it is done.
            rename(path, target)
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "rename", interrupted)
    with pytest.raises(KeyboardInterrupt):
        export(noise(), "npz", folder, overwrite=True)
    if before is None:
        assert list(tmp_path.iterdir()) == []
        return
    assert sorted(path.read_bytes() for path in folder.iterdir()) == before
    assert list(tmp_path.iterdir()) == [folder]


def test_names_of_folders_are_safe_and_differ() -> None:
    names = ["a/b", "a\\b", "A_B", "..", ".hidden", "con", "a b", "Größe", "x" * 300, "tab\there", ""]
    safe = folder_names(names)
    assert safe[:3] == ["a_b", "a_b_", "A_B__"]
    assert safe[3:8] == ["_", "hidden", "_con", "a b", "Größe"]
    assert safe[8:] == ["x" * 100, "tab_here", "__"]


def test_the_command_says_where_the_files_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["bench", "data", "export", "digits"])
    with pytest.raises(SystemExit) as end:
        cli.main()
    assert not end.value.code
    assert f"digits: 1,297 + 500 images written to {tmp_path / 'digits-npz'}" in capfd.readouterr().out
    digits = DATASETS["digits"].build(None, lambda line: None)
    with np.load("digits-npz/images.npz") as arrays:
        np.testing.assert_array_equal(arrays["x_train"], digits.train.pixels)


def test_a_folder_that_cannot_be_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: Path) -> None:
        raise PermissionError(13, "Permission denied")

    dataset = DATASETS["digits"].build(None, lambda _: None)
    monkeypatch.setattr(Path, "iterdir", refuse)
    with pytest.raises(BenchError, match=r"cannot read .*: Permission denied; choose another folder with --to"):
        export(dataset, "npz", tmp_path)
