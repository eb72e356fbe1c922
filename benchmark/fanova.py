"""Functional analysis of variance of a random forest: what each column explains by itself; knows no trial.

Hutter, Hoos and Leyton-Brown 2014, "An Efficient Approach for Assessing Hyperparameter Importance", ICML, section 4.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def main_effects(
    points: NDArray[np.float64],
    values: NDArray[np.float64],
    bounds: NDArray[np.float64],
    *,
    trees: int,
    seed: int,
) -> NDArray[np.float64]:
    """Share (D,) of the variance of a forest that each column's main effect explains, in [0, 1]; their sum is below 1.

    The forest is fitted to `values` (N,) at `points` (N, D); its variance is that over the box `bounds` (D, 2), lows
    and highs, in which every length counts alike. Shares are means over trees; all are 0 where values do not differ.
    """
    from sklearn.ensemble import RandomForestRegressor  # a second of import that a search need not pay

    forest = RandomForestRegressor(n_estimators=trees, random_state=seed).fit(points, values)
    shares = [_shares(one.tree_, bounds) for one in forest.estimators_]
    varying = [of_tree for of_tree in shares if of_tree is not None]
    return np.mean(varying, axis=0) if varying else np.zeros(len(bounds))


def _shares(tree: Any, bounds: NDArray[np.float64]) -> NDArray[np.float64] | None:
    """Share (D,) by column in one tree of scikit-learn; None where it says the same everywhere."""
    lows, highs, values = _leaves(tree, bounds)
    sides = (highs - lows) / (bounds[:, 1] - bounds[:, 0])
    volumes = sides.prod(axis=1)
    mean = volumes @ values
    variance = volumes @ (values - mean) ** 2
    if variance <= 0:
        return None
    shares = np.zeros(len(bounds))
    # What the tree never asks for explains nothing.
    for column in set(tree.feature[tree.feature >= 0].tolist()):
        edges = np.unique([lows[:, column], highs[:, column]])
        middles = (edges[1:] + edges[:-1]) / 2
        inside = (lows[:, column] < middles[:, None]) & (middles[:, None] < highs[:, column])
        # The mean over all other columns, in each length between two edges.
        marginal = inside @ (volumes / sides[:, column] * values)
        lengths = np.diff(edges) / (bounds[column, 1] - bounds[column, 0])
        shares[column] = lengths @ (marginal - mean) ** 2 / variance
    return shares


def _leaves(
    tree: Any, bounds: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Lows and highs (L, D) of the boxes of the tree's leaves, and what it says in each (L,)."""
    lows = np.tile(bounds[:, 0], (tree.node_count, 1))
    highs = np.tile(bounds[:, 1], (tree.node_count, 1))
    left, right, column, threshold = tree.children_left, tree.children_right, tree.feature, tree.threshold
    inner = np.flatnonzero(left >= 0)
    # A node's number is lower than those of its children.
    for node in inner.tolist():
        for child in (left[node], right[node]):
            lows[child], highs[child] = lows[node], highs[node]
        highs[left[node], column[node]] = lows[right[node], column[node]] = threshold[node]
    leaves = np.flatnonzero(left < 0)
    return lows[leaves], highs[leaves], tree.value[leaves, 0, 0]
