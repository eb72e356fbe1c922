"""The bundled digits: the published pixels, and a test part that never changes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_digits

from benchmark.datasets import DATASETS
from benchmark.datasets._fingerprint import fingerprint_of
from benchmark.errors import BenchError
from benchmark.records import Dataset, ImageShape


@pytest.fixture(scope="module")
def digits() -> Dataset:
    return DATASETS["digits"].build(None, lambda line: None)


def test_both_parts_together_are_the_published_set(digits: Dataset) -> None:
    published = load_digits()
    assert (len(digits.train), len(digits.test)) == (1297, 500)
    assert digits.image_shape == ImageShape(channels=1, height=8, width=8)
    ours = np.concatenate([digits.train.pixels, digits.test.pixels]).reshape(1797, 64)
    labels = np.concatenate([digits.train.labels, digits.test.labels])
    ink = np.rint(ours * (16 / 255)).astype(int)
    assert sorted(map(tuple, np.c_[ink, labels])) == sorted(
        map(tuple, np.c_[published.data, published.target].astype(int))
    )
    assert (ours.min(), ours.max()) == (0, 255)


def test_the_test_part_has_every_class_in_proportion(digits: Dataset) -> None:
    assert np.bincount(digits.test.labels).tolist() == [50, 51, 49, 51, 50, 51, 50, 50, 48, 50]


def test_the_division_never_changes(digits: Dataset) -> None:
    assert digits.fingerprint == "2acb789c549031d6424bd478aaf2899e24eb516b683e434ef127d3879eaa3dbb"
    assert digits.fingerprint == fingerprint_of(digits.train, digits.test)


def test_the_fingerprint_sees_pixels_labels_order_and_division(digits: Dataset) -> None:
    swapped = np.r_[1, 0, 2 : len(digits.train)]
    assert fingerprint_of(digits.train.take(swapped), digits.test) != digits.fingerprint
    assert fingerprint_of(digits.test, digits.train) != digits.fingerprint
    for field in ("pixels", "labels"):
        altered = digits.train.take(np.arange(len(digits.train)))
        getattr(altered, field)[0] += 1
        assert fingerprint_of(altered, digits.test) != digits.fingerprint


def test_a_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BenchError, match="scikit-learn"):
        DATASETS["digits"].build(tmp_path, lambda line: None)
