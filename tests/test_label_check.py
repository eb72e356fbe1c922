"""`bench data show --study`: labels that a study's models contradict are told, shown and listed."""

from __future__ import annotations

import csv
import re
import sys
from pathlib import Path

import filled_study
import numpy as np
import pytest
from filled_study import fill
from PIL import Image

from benchmark import cli
from benchmark.datasets import DATASETS
from benchmark.errors import BenchError
from benchmark.label_check import LabelCheck, check_labels, in_words
from benchmark.records import Dataset, Predictions, Split
from benchmark.store import StudyStore
from benchmark.study_data import division_of

PLANTED = {Split.VAL: 31, Split.TEST: 404}
"""By part, the row of its predictions whose image is another digit than its label, to every model."""


def guess(store: StudyStore, split: Split, number: int) -> Predictions:
    """Each model is sure of what is to be seen, which is not always the label; each also has a mistake of its own."""
    seen = store.labels(split)
    seen[PLANTED[split]] = (seen[PLANTED[split]] + 5) % 10
    seen[number] = (seen[number] + 1) % 10
    logits = np.random.default_rng([number, split is Split.TEST]).normal(size=(len(seen), 10)) + 8 * np.eye(10)[seen]
    return Predictions(split, (logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))).astype(np.float32))


@pytest.fixture
def digits() -> Dataset:
    return DATASETS["digits"].build(None, lambda line: None)


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StudyStore:
    monkeypatch.setattr(filled_study, "guess", guess)
    return fill(tmp_path, complete=5)


def test_what_every_model_contradicts_is_found_in_both_parts(store: StudyStore, digits: Dataset) -> None:
    check = check_labels(store, digits)
    assert check.models == 5
    asked = {one.test.digest[:16] for one in store.single_models()}
    assert set(store.fact("test_scored")) == asked, "they were held against the test labels"
    assert check.sizes == ((Split.VAL, 297), (Split.TEST, 500))
    rows = {suspect.place.split: suspect.place.row for suspect in check.suspects}
    assert len(check.suspects) == 2
    # Places are rows of what was published, as the duplicates' are.
    assert rows == {Split.VAL: division_of(store, digits).val[31], Split.TEST: 404}
    for suspect in check.suspects:
        part = digits.test if suspect.place.split is Split.TEST else digits.train
        assert suspect.place.label == part.labels[suspect.place.row]
        assert suspect.suggested == (suspect.place.label + 5) % 10
        assert suspect.agreement == 1


def test_models_that_err_twice_as_often_as_the_best_are_not_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, digits: Dataset
) -> None:
    def guess_with_errors(store: StudyStore, split: Split, number: int) -> Predictions:
        right = guess(store, split, 0)
        # 10, 10, 20, 21 and 100 errors in 297 rows
        errors = (10, 10, 20, 21, 100)[number] - 2
        log_probs = right.log_probs.copy()
        log_probs[100 : 100 + errors] = np.roll(log_probs[100 : 100 + errors], 3, axis=1)
        return Predictions(split, log_probs)

    monkeypatch.setattr(filled_study, "guess", guess_with_errors)
    assert check_labels(fill(tmp_path, complete=5), digits).models == 3


def test_the_command_tells_shows_and_lists_them(
    store: StudyStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["bench", "data", "show", "--study", "tiny"])
    with pytest.raises(SystemExit) as end:
        cli.main()
    output = capfd.readouterr().out
    assert not end.value.code, output
    heads = next(line.split() for line in output.splitlines() if "class" in line)
    assert [head for head in heads if head.isalpha()] == ["class", "train", "val", "test"]
    counts = next(line for line in output.splitlines() if " all " in line)
    assert re.findall(r"[\d,]+", counts) == ["1,000", "297", "500"]
    assert "Labels that 5 models of the study contradict" in output
    assert "- 1 of 297 val images (0.34 %); such as val " in output
    assert "- 1 of 500 test images (0.20 %); such as test 404 " in output
    assert "Training images have no stored predictions and were not looked at." in output
    with Image.open("results/data/digits-suspects.png") as picture:
        assert picture.size > (0, 0)
    with Path("results/data/digits-suspects.csv").open() as file:
        lines = list(csv.DictReader(file))
    assert {line["split"] for line in lines} == {"val", "test"}
    assert all(int(line["suggested"]) == (int(line["label"]) + 5) % 10 for line in lines)


def test_a_study_of_other_images_is_refused(store: StudyStore, digits: Dataset) -> None:
    other = Dataset("mine", digits.classes, digits.test, digits.train, "f" * 64)
    with pytest.raises(
        BenchError, match="made with other images of digits: SHA-256 2acb789c549031d6, and these of mine"
    ):
        check_labels(store, other)


def test_a_study_without_models_is_refused(tmp_path: Path, digits: Dataset) -> None:
    with pytest.raises(BenchError, match="no complete trial yet"):
        check_labels(fill(tmp_path, complete=0), digits)


def test_nothing_found_is_said_too() -> None:
    words = in_words(LabelCheck(3, ((Split.VAL, 50), (Split.TEST, 80)), ()), ("a", "b"))
    assert words[1:3] == ("- 0 of 50 val images (0.00 %).", "- 0 of 80 test images (0.00 %).")
