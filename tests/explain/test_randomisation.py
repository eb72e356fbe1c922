"""Maps follow what a network has learned: they change when its weights become random (Adebayo et al. 2018)."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from planted_evidence import Planted, plant, train_on

from benchmark.explain import MapLayer, find_map_layer, randomisation_check, rank_correlations
from benchmark.explain.maps import heat_of
from benchmark.inference import LoadedModel
from benchmark.records import Choice
from benchmark.training import build_network

LAYERS = ("head", "blocks.2", "blocks.1", "blocks.0", "stem")
"""Of the network, from the top."""


@pytest.fixture(scope="module")
def planted() -> Planted:
    return plant(512)


@pytest.fixture(scope="module")
def models(planted: Planted) -> list[LoadedModel]:
    """Two networks that differ by their seed alone."""
    return [train_on(planted, Choice("resnet", {"depth": 8, "width": 8}), seed=seed) for seed in (0, 1)]


@pytest.fixture(scope="module")
def layer(planted: Planted, models: list[LoadedModel]) -> MapLayer:
    found = find_map_layer(models[0].network, models[0].inputs(planted.test.pixels[:4]))
    assert found is not None
    return found


@pytest.fixture(scope="module")
def two_trained(planted: Planted, models: list[LoadedModel], layer: MapLayer) -> float:
    """How alike the maps of two trained networks are, which found the same evidence."""
    heats = [heat_of(model, layer, planted.test.pixels, planted.test.labels) for model in models]
    return float(np.nanmean(rank_correlations(*heats)))


def with_random_top(model: LoadedModel, layers: int, seed: int) -> LoadedModel:
    """The model with fresh weights in its top layers."""
    torch.manual_seed(seed)
    network = build_network(model.config, model.data).eval()
    fresh, random = network.state_dict(), LAYERS[:layers]
    learned = model.network.state_dict()
    network.load_state_dict({key: fresh[key] if key.startswith(random) else learned[key] for key in learned})
    return replace(model, network=network)


def test_the_more_layers_are_random_from_the_top_the_less_is_left_of_the_maps(
    planted: Planted, models: list[LoadedModel], layer: MapLayer, two_trained: float
) -> None:
    pixels, labels = planted.test.pixels, planted.test.labels
    learned = heat_of(models[0], layer, pixels, labels)
    alike = [
        np.nanmean(
            [
                rank_correlations(learned, heat_of(with_random_top(models[0], count, seed), layer, pixels, labels))
                for seed in range(5)
            ]
        )
        for count in range(len(LAYERS) + 1)
    ]
    assert alike[0] == pytest.approx(1)
    assert max(alike[1:]) < two_trained
    assert min(alike) == alike[-1] < 0.25


def test_the_check_tells_learned_maps_from_those_of_untrained_networks(
    planted: Planted, models: list[LoadedModel], two_trained: float
) -> None:
    assert two_trained > 0.5
    for model in models:
        found = randomisation_check(model, planted.test.pixels)
        assert found.correlation < 0.25
        assert found.pairs == 5 * len(planted.test.pixels) >= found.compared > 0
    untrained = replace(models[0], network=with_random_top(models[0], len(LAYERS), seed=0).network)
    # The first of the random networks is this one.
    assert randomisation_check(untrained, planted.test.pixels, draws=1).correlation == pytest.approx(1, abs=1e-6)


def test_the_check_leaves_random_numbers_as_they_were(planted: Planted, models: list[LoadedModel]) -> None:
    before = torch.get_rng_state()
    first = randomisation_check(models[0], planted.test.pixels[:8], draws=2)
    assert torch.equal(torch.get_rng_state(), before)
    assert randomisation_check(models[0], planted.test.pixels[:8], draws=2) == first


def test_rank_correlations_by_hand() -> None:
    first = np.array([[[1, 2], [3, 4]], [[1, 2], [3, 4]], [[0, 0], [1, 2]], [[1, 2], [3, 4]]], np.float32)
    second = np.array([[[1, 4], [9, 16]], [[4, 3], [2, 1]], [[0, 0], [2, 1]], [[5, 5], [5, 5]]], np.float32)
    # Ranks of the third: 1.5 1.5 3 4 and 1.5 1.5 4 3, deviations from 2.5: (1 + 1 + 0.75 + 0.75) / 4.5.
    np.testing.assert_allclose(rank_correlations(first, second), [1, -1, 3.5 / 4.5, np.nan])
