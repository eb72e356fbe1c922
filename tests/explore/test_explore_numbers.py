"""Descriptions and mean images against plain NumPy."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from rich.console import Console

from benchmark.explore import describe, mean_images, to_table
from benchmark.records import Dataset, Images, Split
from benchmark.splits import stratified_split

CLASSES = ("red", "green", "a much longer name")
IMAGE_BYTES = 4 * 5 * 3


def _dataset(channels: int = 3, rows: int = 60) -> Dataset:
    generator = np.random.default_rng(0)

    def part(rows: int) -> Images:
        pixels = generator.integers(0, 256, (rows, 4, 5, channels), np.uint8)
        pixels[..., 0] //= 2
        return Images(pixels, np.arange(rows) % 3)

    return Dataset("tiny", CLASSES, part(rows), part(31), "f" * 64)


def test_statistics_agree_with_numpy_over_several_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmark.records.CHUNK_BYTES", 7 * IMAGE_BYTES)
    dataset = _dataset()
    train, test = describe(dataset).parts
    for part, images in ((train, dataset.train), (test, dataset.test)):
        scaled = images.pixels / 255
        np.testing.assert_allclose(part.channel_means, scaled.mean(axis=(0, 1, 2)), rtol=1e-12)
        np.testing.assert_allclose(part.channel_stds, scaled.std(axis=(0, 1, 2)), rtol=1e-12)
        assert part.class_counts == tuple(np.bincount(images.labels))
        assert part.rows == len(images)


def test_a_divided_training_part_is_described_in_two() -> None:
    dataset = _dataset()
    rows = stratified_split(dataset.train.labels, 12, seed=0)
    train, val, test = describe(dataset, rows).parts
    assert [part.split for part in (train, val, test)] == [Split.TRAIN, Split.VAL, Split.TEST]
    assert (train.class_counts, val.class_counts, test.class_counts) == ((16, 16, 16), (4, 4, 4), (11, 10, 10))
    np.testing.assert_allclose(val.channel_means, (dataset.train.pixels[rows.val] / 255).mean(axis=(0, 1, 2)))


def test_names_of_classes_are_no_markup() -> None:
    dataset = replace(_dataset(), classes=("dog [small]", "[cats]", "ship"))
    console = Console(width=100)
    with console.capture() as capture:
        console.print(to_table(describe(dataset)))
    assert "dog [small]" in capture.get()
    assert "[cats]" in capture.get()


@pytest.mark.parametrize(("channels", "names"), [(1, ["gray"]), (2, ["channel 0", "channel 1"]), (3, ["red", "blue"])])
def test_the_table_shows_classes_counts_and_statistics(channels: int, names: list[str]) -> None:
    description = describe(_dataset(channels))
    console = Console(width=100)
    with console.capture() as capture:
        console.print(to_table(description))
    text = capture.get()
    train = description.parts[0]
    expected = [*CLASSES, "60", "31", f"{train.channel_means[0]:.4f} ± {train.channel_stds[0]:.4f}"]
    for words in (*expected, *(f"{name}, mean" for name in names), "4 x 5 pixels"):
        assert words in text


def test_mean_images_agree_with_numpy_over_several_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmark.records.CHUNK_BYTES", 7 * IMAGE_BYTES)
    train = _dataset().train
    means = mean_images(train, 4)
    for label in range(3):
        np.testing.assert_allclose(means[label], train.pixels[train.labels == label].mean(axis=0), rtol=1e-12)
    assert np.isnan(means[3]).all()
