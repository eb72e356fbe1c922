"""Whether maps depend on what a network has learned (Adebayo et al. 2018, arXiv:1810.03292); gives no verdict."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import rankdata

from benchmark.errors import BenchError
from benchmark.explain.maps import heat_of, layer_of
from benchmark.inference import LoadedModel
from benchmark.training import build_to_answer


@dataclass(frozen=True)
class Likeness:
    """How alike maps are to those of networks with random weights."""

    correlation: float
    """Mean rank correlation over the pairs that were compared, in [-1, 1]; NaN where none was."""
    compared: int
    """Pairs of an image's two maps of which neither is the same all over."""
    pairs: int


def randomisation_check(model: LoadedModel, pixels: NDArray[np.uint8], draws: int = 5) -> Likeness:
    """How alike the model's maps are to those of the same network with random weights, of the same layer and classes.

    The mean of Spearman's rank correlation over images uint8 (N, H, W, C) and over `draws` networks, as built before
    training (seeds 0, 1, ...): 1 where nothing that was learned matters to the maps, about 0 where all of it does.
    Maps that only follow the edges of the image lie between. An untrained network may have nothing that speaks for the
    class, and no map: such pairs are left out. It is the end of the cascade in section 4 of Adebayo et al., all layers
    random. Raises BenchError where the model has no layer with a map.
    """
    layer = layer_of(model, pixels)
    if layer is None:
        raise BenchError(f"trial {model.number} has no layer with a map to compare")
    classes = model.log_probs(pixels).argmax(axis=1)
    learned = heat_of(model, layer, pixels, classes)
    found = []
    for seed in range(draws):
        # Networks are made in the host's memory: no other generator is drawn from.
        with torch.random.fork_rng(devices=()):
            torch.default_generator.manual_seed(seed)
            network = build_to_answer(model.config, model.data)
        found.append(rank_correlations(learned, heat_of(replace(model, network=network), layer, pixels, classes)))
    correlations = np.concatenate(found)
    known = correlations[~np.isnan(correlations)]
    return Likeness(float(known.mean()) if len(known) else math.nan, len(known), len(correlations))


def rank_correlations(first: NDArray[np.float32], second: NDArray[np.float32]) -> NDArray[np.float64]:
    """Spearman's rank correlation (N,) of maps (N, H, W), pair by pair; NaN where one of two is the same all over."""
    ranks = [rankdata(maps.reshape(len(maps), -1), axis=1) for maps in (first, second)]
    ranks = [one - one.mean(axis=1, keepdims=True) for one in ranks]
    products = (ranks[0] * ranks[1]).sum(axis=1)
    lengths = np.sqrt((ranks[0] ** 2).sum(axis=1) * (ranks[1] ** 2).sum(axis=1))
    found: NDArray[np.float64] = np.divide(products, lengths, out=np.full_like(products, np.nan), where=lengths > 0)
    return found
