"""Values that cross modules are checked when they are made."""

from __future__ import annotations

import json
import pickle
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from benchmark.errors import BenchError, SealedTestError
from benchmark.records import (
    Budget,
    Choice,
    Cost,
    Dataset,
    Entrant,
    Images,
    ImageShape,
    Predictions,
    Split,
    SplitRows,
    TrialConfig,
    as_jsonable,
    deciding,
)

HALVES = np.log(np.full((3, 2), 0.5, np.float32))
CONFIG = TrialConfig(
    architecture=Choice("cnn", {"width": 16, "variant": "plain"}),
    augmentations=(Choice("flip", {"mode": "random"}),),
    optimizer=Choice("sgd", {"lr": 0.1}),
    schedule=Choice("cosine", {"warmup": 0.1}),
    budget=Budget(epochs=1.5),
    batch_size=64,
    seed=3,
)


def images(count: int = 4, classes: int = 2) -> Images:
    return Images(np.zeros((count, 5, 6, 3), np.uint8), np.arange(count, dtype=np.int64) % classes)


def test_validation_predictions_may_decide() -> None:
    assert deciding(Predictions(Split.VAL, HALVES)) is HALVES


@pytest.mark.parametrize("split", [Split.TEST, Split.TRAIN])
def test_no_other_split_may_decide(split: Split) -> None:
    with pytest.raises(SealedTestError, match=f"asked of {split} predictions"):
        deciding(Predictions(split, HALVES))


@pytest.mark.parametrize(
    "log_probs",
    [
        np.full((3, 2), np.nan, np.float32),
        np.full((3, 2), np.inf, np.float32),
        np.full((3, 2), -np.inf, np.float32),
        np.zeros((3, 2), np.float32),
        HALVES + np.float32(0.01),
        HALVES.astype(np.float64),
        HALVES[0],
    ],
)
def test_predictions_are_probabilities(log_probs: Any) -> None:
    with pytest.raises(ValueError, match="log_probs must be"):
        Predictions(Split.VAL, log_probs)


def test_a_class_of_probability_zero_is_fine() -> None:
    with np.errstate(divide="ignore"):
        certain = np.log(np.array([[1.0, 0.0]], np.float32))
    assert Predictions(Split.VAL, certain).log_probs[0, 1] == -np.inf


def test_digest_follows_every_value_and_no_memory_layout() -> None:
    log_probs = np.log(np.array([[0.25, 0.75], [0.5, 0.5]], np.float32))
    changed = log_probs.copy()
    changed[1, 1] = np.nextafter(changed[1, 1], np.float32(0))
    digest = Predictions(Split.VAL, log_probs).digest
    assert digest == Predictions(Split.VAL, np.asfortranarray(log_probs)).digest
    assert digest != Predictions(Split.VAL, changed).digest


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"epochs": 1.0, "seconds": 1.0},
        {"epochs": 0.0},
        {"seconds": -1.0},
        {"epochs": float("nan")},
        {"seconds": float("inf")},
    ],
)
def test_budget_is_one_positive_number(given: dict[str, float]) -> None:
    with pytest.raises(BenchError, match="either epochs or seconds"):
        Budget(**given)


@pytest.mark.parametrize(
    "change",
    [
        {"batch_size": 0},
        {"reports": 0},
        {"patience": -1},
        {"label_smoothing": 1.0},
        {"start_size": 0.0},
        {"start_size": 1.1},
        {"views": "three"},
        {"clip_norm": -1.0},
        {"report_share": 0.0},
        {"report_share": 1.1},
        {"precision": "float16"},
    ],
)
def test_trial_config_is_checked(change: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="must"):
        replace(CONFIG, **change)


def test_trial_config_travels_to_another_process() -> None:
    assert pickle.loads(pickle.dumps(CONFIG)) == CONFIG


def test_choice_keeps_its_own_copy_of_the_parameters() -> None:
    params: dict[str, Any] = {"lr": 0.1}
    choice = Choice("sgd", params)
    params["lr"] = 9.0
    assert choice.params["lr"] == 0.1
    with pytest.raises(TypeError):
        choice.params["lr"] = 9.0  # type: ignore[index]


def test_image_shape_has_pixels() -> None:
    with pytest.raises(ValueError, match="at least one channel"):
        ImageShape(3, 0, 32)


@pytest.mark.parametrize(
    ("pixels", "labels"),
    [
        (np.zeros((4, 5, 6, 3), np.float32), np.zeros(4, np.int64)),
        (np.zeros((4, 5, 6), np.uint8), np.zeros(4, np.int64)),
        (np.zeros((4, 5, 6, 3), np.uint8), np.zeros(3, np.int64)),
        (np.zeros((4, 5, 6, 3), np.uint8), np.zeros(4, np.int32)),
    ],
)
def test_images_and_labels_agree(pixels: Any, labels: Any) -> None:
    with pytest.raises(ValueError, match="must be"):
        Images(pixels, labels)


def test_labels_lie_within_the_classes() -> None:
    with pytest.raises(ValueError, match=r"labels must lie in 0\.\.1"):
        Dataset("d", ("a", "b"), images(4, classes=3), images(), "0")
    assert Dataset("d", ("a", "b"), images(), images(), "0").image_shape == ImageShape(3, 5, 6)


def test_split_digest_follows_the_validation_rows() -> None:
    train, val = np.array([0, 1]), np.array([2, 3])
    digest = SplitRows(train, val).digest
    assert len(digest) == 16
    assert digest != SplitRows(train, np.array([2, 4])).digest


def test_cost_of_an_ensemble_is_the_sum() -> None:
    assert Cost(1, 2, 3.0, 4.0) + Cost(10, 20, 30.0, 40.0) == Cost(11, 22, 33.0, 44.0)


@pytest.mark.parametrize(
    ("one", "other", "peak"), [(None, None, None), (5, None, 5), (None, 5, 5), (5, 7, 7), (7, 5, 7), (0, None, 0)]
)
def test_peak_memory_of_an_ensemble_is_the_largest_members(one: Any, other: Any, peak: Any) -> None:
    assert (Cost(1, 1, 1.0, 1.0, one) + Cost(1, 1, 1.0, 1.0, other)).peak_memory_bytes == peak


def test_an_entrant_cannot_swap_its_splits() -> None:
    val, test = Predictions(Split.VAL, HALVES), Predictions(Split.TEST, HALVES)
    with pytest.raises(ValueError, match="validation and test predictions, in that order"):
        Entrant("n", "tuned", "cnn", (1,), (1.0,), val=test, test=val, cost=Cost(1, 1, 1.0, 1.0))


def test_records_as_json() -> None:
    plain = json.loads(json.dumps(as_jsonable(CONFIG)))
    assert plain["architecture"] == {"name": "cnn", "params": {"width": 16, "variant": "plain"}}
    assert plain["augmentations"] == [{"name": "flip", "params": {"mode": "random"}}]
    assert plain["budget"] == {"epochs": 1.5, "seconds": None, "adapts": False}
