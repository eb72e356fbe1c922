"""Which parameters of a family its validation accuracy depends on; draws nothing and looks at no test.

The importance of a parameter is the share of the variance of validation accuracy, over the whole search space, that it
explains by itself (`fanova`). It is computed from a random forest, which explains a few dozen trials whatever they say:
so it stands beside what a search of as many trials shows where accuracy depends on nothing.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import optuna
from numpy.typing import NDArray
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import FrozenTrial, TrialState

from benchmark.family_studies import family_studies
from benchmark.fanova import main_effects
from benchmark.records import FamilyImportance, ParameterImportance, ParameterValue
from benchmark.seeds import derived_seed
from benchmark.store import StudyStore

FEWEST_TRIALS = 10
"""Complete trials that a family needs, and that have to have a parameter, before a share is computed."""
TREES = 64
SHUFFLES = 19
"""Of twenty searches in which nothing matters, one passes the largest share in so many shufflings of it: 5 %."""
SHUFFLED_TREES = 16
"""Of a forest on shuffled accuracies; with 64 chance was the same, 0.71 at 20 trials, for four times the time."""


def importances(store: StudyStore) -> dict[str, FamilyImportance]:
    """Every family with complete or pruned trials, by name. The same study gives the same shares."""
    seed = store.fact("definition")["seed"]
    return {family: family_importance(study, seed) for family, study in family_studies(store).items()}


def family_importance(study: optuna.Study, seed: int) -> FamilyImportance:
    """The importances of one of `family_studies`; `seed` is the search's."""
    family = study.study_name
    trials = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    if len(trials) < FEWEST_TRIALS:
        return FamilyImportance(family, len(trials), left_out=f"fewer than {FEWEST_TRIALS} complete trials")
    accuracies = np.array([trial.value for trial in trials], np.float64)
    if np.ptp(accuracies) == 0:
        return FamilyImportance(family, len(trials), left_out="every complete trial has the same accuracy")
    counts = Counter(name for trial in trials for name in trial.params)
    scales = {
        name: _Scale.of(distribution)
        for trial in trials
        for name, distribution in sorted(trial.distributions.items())
        if counts[name] >= FEWEST_TRIALS
    }
    if not scales:
        return FamilyImportance(family, len(trials), left_out="nothing was searched")
    points, bounds = _points(trials, scales)
    seed = derived_seed(seed, "importance")
    shares = dict(zip(scales, main_effects(points, accuracies, bounds, trees=TREES, seed=seed).tolist(), strict=True))
    return FamilyImportance(
        family,
        len(trials),
        tuple(
            _parameter(name, shares[name], scales[name], trials)
            for name in sorted(shares, key=lambda name: (-shares[name], name))
        ),
        _chance(points, accuracies, bounds, seed),
        tuple(sorted(set(counts) - set(scales))),
    )


@dataclass(frozen=True)
class _Scale:
    """The scale that a parameter was sampled on, where equal lengths were equally likely."""

    low: float
    high: float
    is_log: bool
    choices: tuple[ParameterValue, ...] = ()

    @classmethod
    def of(cls, distribution: BaseDistribution) -> _Scale:
        if isinstance(distribution, CategoricalDistribution):
            return cls(-0.5, len(distribution.choices) - 0.5, False, distribution.choices)
        assert isinstance(distribution, IntDistribution | FloatDistribution)
        # An integer stands for the length around it: those at the ends count as much as others.
        around = distribution.step / 2 if isinstance(distribution, IntDistribution) else 0.0
        low, high = distribution.low - around, distribution.high + around
        return cls(math.log(low), math.log(high), True) if distribution.log else cls(low, high, False)

    def place(self, value: ParameterValue) -> float:
        if self.choices:
            return self.choices.index(value)
        assert isinstance(value, int | float)
        return math.log(value) if self.is_log else value

    @property
    def middle(self) -> float:
        return (self.low + self.high) / 2


def _points(
    trials: Sequence[FrozenTrial], scales: Mapping[str, _Scale]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Where the N trials stand on the D scales, (N, D), and the ends of these, (D, 2).

    A trial without a parameter, as one of another optimizer, stands in the middle: all of these at one place, where a
    split tells nothing that the choice of the optimizer does not tell better.
    """
    points = [
        [scale.place(trial.params[name]) if name in trial.params else scale.middle for name, scale in scales.items()]
        for trial in trials
    ]
    return np.array(points), np.array([(scale.low, scale.high) for scale in scales.values()])


def _chance(
    points: NDArray[np.float64], accuracies: NDArray[np.float64], bounds: NDArray[np.float64], seed: int
) -> float:
    """The largest share that any column has in forests on shuffled accuracies (Westfall and Young 1993: maxT)."""
    rng = np.random.default_rng(seed)
    shuffled = (rng.permutation(accuracies) for _ in range(SHUFFLES))
    return max(
        float(main_effects(points, values, bounds, trees=SHUFFLED_TREES, seed=seed).max()) for values in shuffled
    )


def _parameter(name: str, share: float, scale: _Scale, trials: Sequence[FrozenTrial]) -> ParameterImportance:
    having = [trial for trial in trials if name in trial.params]
    return ParameterImportance(
        name,
        share,
        scale.is_log,
        scale.choices,
        tuple(trial.params[name] for trial in having),
        tuple(float(trial.value) for trial in having if trial.value is not None),
    )
