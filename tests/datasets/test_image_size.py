"""Smaller images: of the size that was asked for, made once, and the same wherever a study looks at them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from filled_study import definition
from PIL import Image

from benchmark.datasets._fingerprint import fingerprint_of
from benchmark.datasets._shrinking import shrunk
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
    smaller = shrunk(whole, size, silent)
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
    first, again = (shrunk(noise(), 20, said.append) for _ in range(2))
    assert said == ["noise-20px: making images of 15 x 20 pixels"]
    assert first.fingerprint == again.fingerprint
    assert shrunk(noise(1), 20, said.append).fingerprint != first.fingerprint
    assert len(said) == 2, "other images of the same name"


@pytest.mark.parametrize("size", [40, 300])
def test_none_is_made_larger(size: int) -> None:
    whole = noise()
    assert shrunk(whole, size, silent) is whole


def test_what_becomes_too_small_is_refused() -> None:
    with pytest.raises(BenchError, match=r"image_size = 9 makes images of 7 x 9 pixels") as refusal:
        shrunk(noise(), 9, silent)
    assert "each side needs at least 8" in str(refusal.value)


@pytest.fixture
def pets(tmp_path: Path) -> Path:
    """Forty images of 96 x 72 pixels of each of two classes."""
    rng = np.random.default_rng(0)
    for name in ("cat", "dog"):
        folder = tmp_path / "pets" / name
        folder.mkdir(parents=True)
        for number in range(40):
            Image.fromarray(rng.integers(0, 256, (72, 96, 3), np.uint8)).save(folder / f"{number}.png")
    return tmp_path / "pets"


def asking(image_size: float | None) -> StudySpec:
    """A study of pets."""
    text = definition('dataset = "digits"', 'dataset = "folder"').replace("val = 297", "val = 16")
    return parse_study("tiny", text if image_size is None else f"image_size = {image_size}\n{text}", "here")


def test_a_study_sees_them_everywhere_and_keeps_to_their_size(tmp_path: Path, pets: Path) -> None:
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


@pytest.mark.parametrize(("size", "is_told"), [(None, True), (64, False), (96, False)])
def test_a_study_of_large_images_is_told_that_they_can_be_smaller(
    tmp_path: Path, pets: Path, size: int | None, is_told: bool
) -> None:
    said: list[str] = []
    open_for_search(asking(size), StudyLocation("tiny", tmp_path), pets, said.append)
    told = [line for line in said if "image_size" in line]
    assert bool(told) == is_told
    assert all("images of 72 x 96 pixels" in line for line in told)


@pytest.mark.parametrize(
    ("size", "message"), [(4, "image_size is at least 8 pixels"), (48.5, "image_size is of type int, not 48.5")]
)
def test_a_size_that_is_none_is_refused(size: float, message: str) -> None:
    with pytest.raises(BenchError, match=message):
        asking(size)
