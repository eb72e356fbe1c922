"""Soups of weights: which reports go in, and what their mean is."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch

from benchmark.records import Budget, Choice, TrialConfig
from studies.compare_soups import WAYS, cook, greedy_soup, mean_weights
from studies.speed.data import device_data
from studies.speed.plan import Plan


def test_the_mean_is_of_every_weight_and_counters_are_the_last_state_s() -> None:
    states = [{"weight": torch.tensor([float(n), 2.0]), "batches": torch.tensor(n)} for n in (1, 2, 6)]
    mean = mean_weights(states)
    assert mean["weight"].tolist() == [3.0, 2.0]
    assert mean["batches"].item() == 6


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        # The score of a soup is its mean: the best alone, and whatever is as good.
        ([0.1, 0.5, 0.3], [1]),
        ([0.5, 0.2, 0.5], [2, 0]),
        ([0.7], [0]),
    ],
)
def test_an_ingredient_stays_where_the_soup_does_not_get_worse(values: list[float], expected: list[int]) -> None:
    def score(chosen: Sequence[int]) -> float:
        return sum(values[one] for one in chosen) / len(chosen)

    assert greedy_soup(len(values), score) == expected


def test_ingredients_may_be_better_together_than_the_best_of_them() -> None:
    points = [-1.0, 0.5, 3.0]
    assert greedy_soup(3, lambda chosen: -abs(sum(points[one] for one in chosen) / len(chosen))) == [1, 0]


def test_a_run_is_scored_on_test_in_every_way() -> None:
    data = device_data(Plan("cpu", 1, dataset="digits", val_rows=297))
    config = TrialConfig(
        architecture=Choice("cnn", {"variant": "plain", "width": 8, "depth": 2, "stem_stride": 1}),
        augmentations=(),
        optimizer=Choice("sgd", {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.0, "bias_scale": 1.0}),
        schedule=Choice("linear", {"warmup": 0.1}),
        budget=Budget(epochs=1),
        batch_size=64,
        seed=0,
        reports=3,
        precision="float32",
    )
    found = cook(config, data)
    assert tuple(found.accuracies) == WAYS
    assert found.accuracies["best report"] > 0.3, "chance is 0.1"
    assert 1 <= found.ingredients <= found.reports == 3
    if found.ingredients == 1:
        assert found.accuracies["greedy soup"] == found.accuracies["best report"]
