"""A picture of augmentations: all of them, made by the code that trains, from the same images."""

from __future__ import annotations

import numpy as np
import pytest

from benchmark.augmentations import AUGMENTATIONS
from benchmark.augmentations.pipeline import augmented
from benchmark.explore import augmented_grid
from benchmark.explore.augmented import _settings
from benchmark.explore.layout import Row
from benchmark.records import Choice, Dataset, Images

CLASSES = ("one", "two", "three")


def noise(rows: int = 30, channels: int = 3) -> Dataset:
    pixels = np.random.default_rng(0).integers(0, 256, (rows, 16, 12, channels), np.uint8)
    images = Images(pixels, np.sort(np.arange(rows) % 3))
    return Dataset("noise", CLASSES, images, images, "f" * 64)


def drawn(dataset: Dataset, monkeypatch: pytest.MonkeyPatch, seed: int = 0) -> tuple[list[Row], list[str]]:
    """The rows of the picture and the words above its columns."""
    calls: list[tuple[list[Row], list[str]]] = []

    def note(title: str, rows: list[Row], shape: object, *, columns: int, heads: list[str]) -> None:
        calls.append((rows, heads))

    with monkeypatch.context() as patch:
        patch.setattr("benchmark.explore.augmented.draw_rows", note)
        augmented_grid(dataset, seed=seed)
    ((rows, heads),) = calls
    return rows, heads


def test_every_augmentation_has_a_row_of_the_same_images(monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = noise()
    rows, heads = drawn(dataset, monkeypatch)
    assert rows[0].name == "as published"
    assert {row.name for row in rows if row.name.endswith("default")} == {f"{name}, default" for name in AUGMENTATIONS}
    published = np.asarray(rows[0].images)
    assert published.shape == (8, 16, 12, 3)
    found = [np.flatnonzero((dataset.train.pixels == image).all(axis=(1, 2, 3))) for image in published]
    assert len(np.unique(np.concatenate(found))) == 8
    assert heads == [CLASSES[dataset.train.labels[row[0]]] for row in found]
    assert sorted(heads[:3]) == sorted(heads[3:6]) == sorted(CLASSES), "classes take turns"
    for row in rows[1:]:
        images = np.asarray(row.images)
        assert (images.shape, images.dtype) == (published.shape, np.uint8)
        assert (images != published).any(), row.name


def test_mirrored_and_mixed_images_are_those_of_the_first_row(monkeypatch: pytest.MonkeyPatch) -> None:
    rows, _ = drawn(noise(), monkeypatch)
    by_name = {row.name: np.asarray(row.images) for row in rows}
    published = by_name["as published"]
    mirrored = (by_name["flip, default"] == published[:, :, ::-1]).all(axis=(1, 2, 3))
    kept = (by_name["flip, default"] == published).all(axis=(1, 2, 3))
    assert (mirrored != kept).all()
    left = np.roll(published, 1, axis=0).astype(int)
    mixed = by_name["mixup, mid-range"].astype(int)
    assert (mixed >= np.minimum(published, left)).all()
    assert (mixed <= np.maximum(published, left)).all()


def test_defaults_and_middles_of_ranges() -> None:
    settings = {name: list(_settings(AUGMENTATIONS[name])) for name in ("crop", "cutout", "flip", "rotation")}
    assert settings["crop"] == [("default", {"pixels": 2}), ("mid-range", {"pixels": 3})]
    assert settings["cutout"] == [("default", {"pixels": 8}), ("mid-range", {"pixels": 10})]
    assert settings["rotation"][1] == ("mid-range", {"degrees": 16.0})
    assert settings["flip"] == [("default", {"mode": "alternating"})], "words have no middle"


def test_a_seed_draws_images_and_augmentations(monkeypatch: pytest.MonkeyPatch) -> None:
    one, again, other = (drawn(noise(), monkeypatch, seed)[0] for seed in (1, 1, 2))
    for first, second in zip(one, again, strict=True):
        np.testing.assert_array_equal(first.images, second.images)
    assert any((np.asarray(first.images) != second.images).any() for first, second in zip(one, other, strict=True))


def test_gray_images_and_fewer_images_than_columns() -> None:
    picture = np.asarray(augmented_grid(noise(rows=5, channels=1))).astype(int)
    assert (np.ptp(picture, axis=-1) <= 8).all(), "no colour but the faint one of words"


def test_several_augmentations_keep_their_order() -> None:
    train = noise().train
    rows = np.arange(6)
    choices = [Choice("cutout", {"pixels": 4}), Choice("flip", {"mode": "alternating"})]
    together = augmented(train, rows, choices, fill=(0.5, 0.5, 0.5), seed=3)
    flipped = Images(augmented(train, rows, choices[1:], fill=(0.5, 0.5, 0.5), seed=3), train.labels[rows])
    np.testing.assert_array_equal(together, augmented(flipped, rows, choices[:1], fill=(0.5, 0.5, 0.5), seed=3))
