"""Main effects of a forest: against Optuna's own fANOVA, and by hand."""

from __future__ import annotations

import numpy as np
import optuna
import pytest
from optuna.distributions import FloatDistribution
from optuna.trial import create_trial

from benchmark.fanova import main_effects


@pytest.mark.parametrize("seed", [0, 1])
def test_shares_are_those_of_optunas_evaluator(seed: int) -> None:
    bounds = np.array([(-1.0, 2.0), (0.0, 5.0), (10.0, 11.0), (-3.0, -1.0)])
    rng = np.random.default_rng(seed)
    points = rng.uniform(bounds[:, 0], bounds[:, 1], (40, 4))
    values = points[:, 0] ** 2 + points[:, 1] * (points[:, 3] + 2)
    study = optuna.create_study()
    distributions = {f"x{column}": FloatDistribution(low, high) for column, (low, high) in enumerate(bounds.tolist())}
    for point, value in zip(points.tolist(), values.tolist(), strict=True):
        params = dict(zip(distributions, point, strict=True))
        study.add_trial(create_trial(value=value, params=params, distributions=distributions))
    evaluator = optuna.importance.FanovaImportanceEvaluator(n_trees=16, seed=seed)
    expected = evaluator.evaluate(study)
    found = main_effects(points, values, bounds, trees=16, seed=seed)
    assert found == pytest.approx([expected[name] for name in distributions], abs=1e-9)


def test_a_step_and_a_product_by_hand() -> None:
    # A grid that says all: 1 where the first column is above the middle, and one more where all three are.
    grid = np.stack(np.meshgrid(*[[0.25, 0.75]] * 3), axis=-1).reshape(-1, 3).repeat(20, axis=0)
    high = (grid > 0.5).astype(float)
    values = high[:, 0] + high.prod(axis=1)
    # Means over the others: 0 and 1.25 by the first column; 0.5 and 0.75 by each of the others. All: 0 in 4 of 8 parts,
    # 1 in 3, 2 in one: mean 5/8, mean of squares 7/8.
    total = 7 / 8 - (5 / 8) ** 2
    expected = [0.625**2 / total, 0.125**2 / total, 0.125**2 / total]
    found = main_effects(grid, values, np.array([(0.0, 1.0)] * 3), trees=8, seed=0)
    assert found == pytest.approx(expected, abs=1e-9)
    assert found.sum() < 1


def test_every_length_counts_alike_however_many_points_it_has() -> None:
    # Nine tenths of the points lie in the lower half, where the value is 0.
    points = np.concatenate([np.linspace(0.0, 0.49, 90), np.linspace(0.51, 1.0, 10)])[:, None]
    values = (points[:, 0] > 0.5).astype(float)
    (share,) = main_effects(points, values, np.array([(0.0, 1.0)]), trees=4, seed=0)
    assert share == pytest.approx(1)


def test_equal_values_have_no_shares() -> None:
    points = np.random.default_rng(0).uniform(size=(20, 2))
    assert main_effects(points, np.ones(20), np.array([(0.0, 1.0)] * 2), trees=4, seed=0).tolist() == [0, 0]
