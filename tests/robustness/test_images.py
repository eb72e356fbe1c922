"""Corrupted images: made here, or read from a folder in the form of CIFAR-10-C."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmark.corruptions import SEVERITIES, corrupted, corruption_names
from benchmark.errors import BenchError
from benchmark.records import Images
from benchmark.robustness import MadeImages, read_published

ROWS = np.array([0, 2, 3])


@pytest.fixture
def test_images() -> Images:
    rng = np.random.default_rng(0)
    return Images(rng.integers(0, 256, (4, 8, 8, 3), np.uint8), np.array([3, 1, 0, 2]))


@pytest.fixture
def folder(tmp_path: Path, test_images: Images) -> Path:
    """Every pixel tells which corruption, severity and image it is of."""
    for number, name in enumerate(corruption_names()):
        levels = [16 * number + 4 * 0 + severity for severity in range(5)]
        blocks = [np.full((4, 8, 8, 3), level, np.uint8) for level in levels]
        for block in blocks:
            block[:, 0, 0, 0] = np.arange(4)
        np.save(tmp_path / f"{name}.npy", np.concatenate(blocks))
    np.save(tmp_path / "labels.npy", np.tile(test_images.labels, 5).astype(np.uint8))
    (tmp_path / "speckle_noise.npy").write_bytes(b"one of the four that are not among the 15")
    return tmp_path


def test_published_arrays_are_read_by_corruption_severity_and_row(folder: Path, test_images: Images) -> None:
    images = read_published(folder, test_images, ROWS)
    for number, name in enumerate(corruption_names()):
        assert isinstance(images.arrays[name], np.memmap)
        for severity in SEVERITIES:
            found = images.of(name, severity)
            assert found.shape == (3, 8, 8, 3)
            assert found[:, 0, 0, 0].tolist() == ROWS.tolist()
            assert (found[:, 1:] == 16 * number + severity - 1).all()
    assert images.source == f"read from {folder.name}, in the form in which CIFAR-10-C is published"


def test_missing_arrays_are_all_named(folder: Path, test_images: Images) -> None:
    (folder / "fog.npy").unlink()
    (folder / "labels.npy").unlink()
    with pytest.raises(BenchError, match=r"has no fog\.npy, labels\.npy; unpack CIFAR-10-C there"):
        read_published(folder, test_images, ROWS)


@pytest.mark.parametrize(
    ("name", "array", "message"),
    [
        ("labels", np.tile([3, 1, 2, 0], 5), "does not hold the study's 4 test labels 5 times over"),
        ("labels", np.array([3, 1, 0, 2]), "does not hold the study's 4 test labels 5 times over"),
        ("snow", np.zeros((20, 8, 8, 3), np.float32), r"must be uint8 \(20, 8, 8, 3\), not float32"),
        ("snow", np.zeros((16, 8, 8, 3), np.uint8), r"not uint8 \(16, 8, 8, 3\)"),
        ("snow", np.zeros((20, 8, 9, 3), np.uint8), r"not uint8 \(20, 8, 9, 3\)"),
    ],
)
def test_arrays_of_another_form_are_refused(
    folder: Path, test_images: Images, name: str, array: np.ndarray, message: str
) -> None:
    np.save(folder / f"{name}.npy", array)
    with pytest.raises(BenchError, match=message):
        read_published(folder, test_images, ROWS)


@pytest.mark.parametrize("share", [0.0, 0.001, 0.5])
def test_a_broken_download_is_refused(folder: Path, test_images: Images, share: float) -> None:
    whole = (folder / "frost.npy").read_bytes()
    (folder / "frost.npy").write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(BenchError, match=r"frost\.npy is not a whole array of NumPy"):
        read_published(folder, test_images, ROWS)


def test_images_made_here_follow_the_seed(test_images: Images) -> None:
    made = MadeImages(test_images, ROWS, 7)
    assert np.array_equal(made.of("frost", 2), corrupted(test_images.pixels[ROWS], "frost", 2, seed=7))
    assert "seed 7" in made.source
    assert "not its published arrays" in made.source
