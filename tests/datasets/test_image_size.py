"""Smaller images: of the size that was asked for, made once, and the same wherever a study looks at them."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from filled_study import complete_trial, definition
from PIL import Image

from benchmark import cli
from benchmark.datasets import dataset_of_size, inspect_dataset
from benchmark.datasets._fingerprint import fingerprint_of
from benchmark.datasets._shrinking import shrunk, shrunk_once
from benchmark.definition import StudySpec, parse_study
from benchmark.errors import BenchError
from benchmark.records import Dataset, Images, ImageShape
from benchmark.store import StudyLocation
from benchmark.study import open_for_search
from benchmark.study_data import load_study_images
from benchmark.workers import worker_setups
from benchmark.workers.child import load_data


def silent(_: str) -> None:
    """Say nothing."""


def noise(channels: int = 3) -> Dataset:
    """Six images of 30 x 40 pixels in training and four in test, of two classes."""
    rng = np.random.default_rng(channels)

    def part(count: int) -> Images:
        pixels = rng.integers(0, 256, (count, 30, 40, channels), np.uint8)
        return Images(pixels, np.arange(count, dtype=np.int64) % 2)

    train, test = part(6), part(4)
    return Dataset("noise", ("one", "other"), train, test, fingerprint_of(train, test))


@pytest.mark.parametrize(("size", "height", "width"), [(20, 15, 20), (39, 29, 39), (11, 8, 11)])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_images_are_shrunk_in_their_proportions(size: int, height: int, width: int, channels: int) -> None:
    whole = noise(channels)
    smaller = shrunk(whole, size)
    assert smaller.image_shape == ImageShape(channels, height, width)
    assert (smaller.name, smaller.classes) == (f"noise-{size}px", whole.classes)
    assert smaller.fingerprint == fingerprint_of(smaller.train, smaller.test)
    for part, before in ((smaller.train, whole.train), (smaller.test, whole.test)):
        np.testing.assert_array_equal(part.labels, before.labels)
        for row, pixels in enumerate(before.pixels):
            for channel in range(channels):
                wanted = Image.fromarray(pixels[:, :, channel]).resize((width, height), Image.Resampling.BILINEAR)
                np.testing.assert_array_equal(part.pixels[row, :, :, channel], np.asarray(wanted))


def test_they_are_made_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ENSEMBLE_BENCH_CACHE", str(tmp_path))
    said: list[str] = []
    first, again = (shrunk_once(noise(), 20, said.append) for _ in range(2))
    assert said == ["noise-20px: making smaller images"]
    assert first.fingerprint == again.fingerprint == shrunk(noise(), 20).fingerprint
    np.testing.assert_array_equal(again.test.pixels, shrunk(noise(), 20).test.pixels)
    assert shrunk_once(noise(1), 20, said.append).fingerprint == shrunk(noise(1), 20).fingerprint
    assert len(said) == 2, "other images of the same name"
    assert [path.name for path in (tmp_path / "smaller").iterdir() if path.is_dir()] == ["noise-20px"]


def test_every_pixel_is_of_all_that_it_covers() -> None:
    """A fine checkerboard becomes grey, where every other pixel taken alone would make it black or white."""
    board = (255 * (np.indices((16, 16)).sum(0) % 2)).astype(np.uint8)
    images = Images(np.repeat(board[None, :, :, None], 3, axis=0), np.zeros(3, np.int64))
    smaller = shrunk(Dataset("board", ("one",), images, images, "0" * 64), 8)
    assert set(np.unique(smaller.train.pixels[:, 1:-1, 1:-1])) <= {127, 128}


@pytest.mark.parametrize("size", [40, 300])
def test_none_is_made_larger(size: int) -> None:
    whole = noise()
    assert shrunk(whole, size) is whole
    assert shrunk_once(whole, size, silent) is whole


def test_what_becomes_too_small_is_refused() -> None:
    with pytest.raises(BenchError, match=r"image_size = 9 makes images of 7 x 9 pixels") as refusal:
        shrunk(noise(), 9)
    assert "each side needs at least 8" in str(refusal.value)


def filled(root: Path, height: int, width: int) -> Path:
    """Forty images of that size of each of two classes."""
    rng = np.random.default_rng(0)
    for name in ("cat", "dog"):
        (root / name).mkdir(parents=True)
        for number in range(40):
            Image.fromarray(rng.integers(0, 256, (height, width, 3), np.uint8)).save(root / name / f"{number}.png")
    return root


@pytest.fixture
def pets(tmp_path: Path) -> Path:
    return filled(tmp_path / "pets", 72, 96)


def asking(image_size: float | None) -> StudySpec:
    """A study of pets."""
    text = definition('dataset = "digits"', 'dataset = "folder"').replace("val = 297", "val = 16")
    return parse_study("tiny", text if image_size is None else f"image_size = {image_size}\n{text}", "here")


def test_a_study_its_workers_and_its_readers_see_the_same_and_keep_to_their_size(tmp_path: Path, pets: Path) -> None:
    asked = asking(16)
    store = open_for_search(asked, StudyLocation("tiny", tmp_path), pets, silent)
    assert store.fact("dataset") == "folder-pets-16px"
    seen = load_study_images(store, pets, silent).dataset
    assert seen.image_shape == ImageShape(3, 12, 16)
    assert seen.fingerprint == store.fact("fingerprint")
    (setup,) = worker_setups(["cpu"], 1, asked, pets)
    assert load_data(setup).image_shape == seen.image_shape
    with pytest.raises(BenchError, match="image_size: 16 in the database, 20 now"):
        open_for_search(asking(20), StudyLocation("tiny", tmp_path), pets, silent)


def test_what_is_only_looked_at_is_smaller_and_not_kept(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, pets: Path
) -> None:
    monkeypatch.setenv("ENSEMBLE_BENCH_CACHE", str(tmp_path / "cache"))
    looked = inspect_dataset("folder", pets, silent, 16).dataset
    assert not (tmp_path / "cache").exists()
    assert looked.fingerprint == dataset_of_size("folder", pets, silent, 16).fingerprint


def test_the_data_of_a_study_are_shown_as_it_sees_them(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, pets: Path
) -> None:
    store = open_for_search(asking(16), StudyLocation("tiny", tmp_path), pets, silent)
    for noise in range(2):
        complete_trial(store, noise)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["bench", "data", "show", "--study", "tiny", "--data", "pets"])
    with pytest.raises(SystemExit) as end:
        cli.main()
    assert not end.value.code
    assert "folder-pets-16px: 12 x 16 pixels" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("height", "width", "size", "is_told"),
    [
        (72, 96, None, True),
        (72, 96, 64, False),
        (72, 96, 96, False),
        (48, 64, None, False),
        (49, 65, None, True),
        (10, 100, None, False),
    ],
)
def test_a_new_study_of_large_images_is_told_once_that_they_can_be_smaller(
    tmp_path: Path, height: int, width: int, size: int | None, is_told: bool
) -> None:
    said: list[str] = []
    folder = filled(tmp_path / "images", height, width)
    for _ in range(2):
        open_for_search(asking(size), StudyLocation("tiny", tmp_path), folder, said.append)
    told = [line for line in said if "image_size" in line]
    assert len(told) == is_told
    assert all(f"images of {height} x {width} pixels; where" in line for line in told)


def test_a_size_that_changes_nothing_is_told(tmp_path: Path, pets: Path) -> None:
    said: list[str] = []
    open_for_search(asking(97), StudyLocation("tiny", tmp_path), pets, said.append)
    assert "image_size = 97 changes nothing: images of 72 x 96 pixels" in said


@pytest.mark.parametrize(
    ("size", "message"),
    [(4, "'tiny': image_size is at least 8 pixels, not 4"), (48.5, "image_size is of type int, not 48.5")],
)
def test_a_size_that_is_none_is_refused(size: float, message: str) -> None:
    with pytest.raises(BenchError, match=message):
        asking(size)
