"""A study's images again: divided as it divided them, and refused where they are others."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from filled_study import fill

from benchmark.errors import BenchError
from benchmark.records import Split
from benchmark.store import StudyStore
from benchmark.study_data import load_study_images, stored_spec


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> StudyStore:
    return fill(tmp_path_factory.mktemp("filled"), complete=1)


def test_images_stand_in_the_order_of_predictions(store: StudyStore) -> None:
    data = load_study_images(store, None, lambda _: None)
    assert data.study == "tiny"
    for split in (Split.VAL, Split.TEST):
        images = data.images(split)
        np.testing.assert_array_equal(images.labels, store.labels(split))
        numbers, published = data.numbers(split), data.published(split)
        np.testing.assert_array_equal(images.pixels, published.pixels[numbers])
    assert len(data.images(Split.TRAIN)) == store.fact("rows")["train"]
    assert data.published(Split.VAL) is data.published(Split.TRAIN) is data.dataset.train
    together = np.concatenate([data.numbers(Split.TRAIN), data.numbers(Split.VAL)])
    assert sorted(together.tolist()) == list(range(len(data.dataset.train)))


@pytest.mark.parametrize(
    ("fact", "message"),
    [
        ("fingerprint", "'tiny' was made with other images of digits"),
        ("split_digest", "divided its images in another way"),
    ],
)
def test_other_images_or_another_division_are_refused(tmp_path: Path, fact: str, message: str) -> None:
    store = fill(tmp_path, complete=1)
    store.set_fact(fact, "of something else")
    with pytest.raises(BenchError, match=message):
        load_study_images(store, None, lambda _: None)


def test_a_study_without_its_definition_is_refused(tmp_path: Path) -> None:
    store = fill(tmp_path, complete=1)
    store.set_fact("spec", None)
    with pytest.raises(BenchError, match="made by an earlier version, which kept no definition"):
        stored_spec(store)
