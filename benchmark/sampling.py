"""Which family the next trial belongs to, and samplers and pruners that compare like with like; stores nothing.

Optuna's samplers work on the parameters that trials have in common, and its default concentrates on one value of a
categorical choice. So the family is assigned here, and each family is sampled and pruned as a study of its own.
"""

from __future__ import annotations

import copy
import math
import warnings
from collections.abc import Container, Mapping, Sequence
from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.pruners import BasePruner
from optuna.samplers import BaseSampler
from optuna.trial import FrozenTrial, TrialState

from benchmark.parameters import FAMILY
from benchmark.records import ParameterValue
from benchmark.seeds import derived_seed
from benchmark.space import Space
from benchmark.variation import varied

_TRIALS_BEFORE_TILT = 3
"""Finished trials that every family needs before their best scores are compared."""
_PREFERENCE_TRIALS = 2.0
"""By so much less a family may lag that is preferred."""
_STARTUP_TRIALS = 5
"""Trials of a family before a model-based sampler takes over; the expert's is the first of them."""


def family_shares(best: Mapping[str, float | None], finished: Mapping[str, int], floor: float) -> dict[str, float]:
    """The share of trials each family should have; shares sum to 1.

    best: best validation accuracy so far by family, None where there is none.
    finished: trials that ended by family, interrupted ones not counted.
    Equal until every family has three of them; then each keeps `floor` of an equal share, and the rest goes by rank r
    of the best score, in proportion to 1 / r.
    """
    equal = 1.0 / len(best)
    if min(finished.values()) < _TRIALS_BEFORE_TILT:
        return dict.fromkeys(best, equal)
    ranked = sorted(best, key=lambda family: -math.inf if best[family] is None else best[family], reverse=True)  # type: ignore[arg-type,return-value]
    harmonic = sum(1.0 / rank for rank in range(1, len(ranked) + 1))
    return {family: floor * equal + (1.0 - floor) / rank / harmonic for rank, family in enumerate(ranked, start=1)}


def next_family(
    trials: Sequence[FrozenTrial], families: Sequence[str], floor: float, preferred: Container[str] = ()
) -> tuple[str, bool]:
    """The family that lags furthest behind its share, and whether its default trial is still to be run.

    A `preferred` family comes before it where it lags less by two trials at most.

    `trials`: all trials of the study. A default trial that was interrupted is run again; one that failed by
    itself is run once more, and then the family goes without.
    """
    by_family: dict[str, list[FrozenTrial]] = {family: [] for family in families}
    for trial in trials:
        if trial.params.get(FAMILY) in by_family:
            by_family[trial.params[FAMILY]].append(trial)
    for family in families:
        defaults = [
            trial
            for trial in by_family[family]
            if trial.user_attrs.get("default") and not trial.user_attrs.get("interrupted")
        ]
        if len(defaults) < 2 and all(trial.state is TrialState.FAIL for trial in defaults):
            return family, True
    # A trial that failed by itself is evidence too: a family that always fails would otherwise lag for ever.
    counted = {
        family: [trial for trial in members if not trial.user_attrs.get("interrupted")]
        for family, members in by_family.items()
    }
    finished = {family: sum(trial.state.is_finished() for trial in members) for family, members in counted.items()}
    best = {
        family: max((trial.value for trial in members if trial.state is TrialState.COMPLETE), default=None)  # type: ignore[type-var]
        for family, members in counted.items()
    }
    shares = family_shares(best, finished, floor)
    total = sum(map(len, counted.values())) + 1
    lags = {family: shares[family] * total - len(counted[family]) for family in families}
    last = max(lags.values())
    near = [family for family in families if family in preferred and lags[family] >= last - _PREFERENCE_TRIALS]
    return max(near or families, key=lambda family: lags[family]), False


class PerFamilySampler(BaseSampler):
    """Assigns a family, gives its default trial first, and proposes the rest from that family's trials alone.

    After the default, a share of the family's trials varies its best one so far (see `variation`), or the default while
    none is complete; the others come from the inner sampler. A random search varies nothing.

    The inner sampler is made anew for every trial with a seed of its own, so that any number of processes may share a
    study without proposing the same points.
    """

    def __init__(self, space: Space, kind: str, seed: int) -> None:
        self._space = space
        self._kind = kind
        self._seed = seed
        self._incumbent_share = 0.0 if kind == "random" else space.spec.search.incumbent_share
        self._inner: BaseSampler = optuna.samplers.RandomSampler()
        self._view: FamilyView | None = None
        self._family = ""
        self._is_default = False
        self._given: dict[str, ParameterValue] | None = None
        self.preferred: Container[str] = ()
        """Families that cost less than others just now, as where a worker has loaded their kernels."""

    @property
    def is_default(self) -> bool:
        """Whether the trial asked for last is its family's default."""
        return self._is_default

    def reseed_rng(self) -> None:
        """Nothing to do: every trial has a seed of its own."""

    def infer_relative_search_space(self, study: optuna.Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """The family itself, with all of its default trial or what the inner sampler models jointly."""
        spec = self._space.spec
        self._inner = make_sampler(self._kind, derived_seed(self._seed, "sampler", trial.number))
        trials = study.get_trials(deepcopy=False)
        self._family, self._is_default = next_family(trials, spec.families, spec.search.family_floor, self.preferred)
        # One look at the database for all of the trial's parameters: the inner sampler asks for each of them.
        self._view = FamilyView(study, self._family, trials)
        family: dict[str, BaseDistribution] = {FAMILY: CategoricalDistribution(spec.families)}
        self._given = self._given_values(trial.number, self._view)
        if self._given is not None:
            return family | self._space.distributions(self._given)
        return family | self._inner.infer_relative_search_space(self._view, trial)

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Values for that search space."""
        family: dict[str, ParameterValue] = {FAMILY: self._family}
        if self._given is not None:
            return family | self._given
        inner = {name: distribution for name, distribution in search_space.items() if name != FAMILY}
        return family | self._inner.sample_relative(self._view_of(study), trial, inner)

    def sample_independent(
        self, study: optuna.Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """A value for a parameter that is not modelled jointly."""
        return self._inner.sample_independent(self._view_of(study), trial, param_name, param_distribution)

    def _given_values(self, number: int, view: FamilyView) -> dict[str, ParameterValue] | None:
        """All of a trial's parameters where the inner sampler is not asked: the default, or a variation of the best."""
        expert = self._space.expert(self._family)
        if self._is_default:
            return expert
        generator = np.random.default_rng(derived_seed(self._seed, "variation", number))
        if generator.random() >= self._incumbent_share:
            return None
        complete = view.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        best = max(complete, key=lambda one: one.value, default=None)  # type: ignore[arg-type,return-value]
        return varied(self._space, self._family, expert if best is None else best.params, generator)

    def _view_of(self, study: optuna.Study) -> FamilyView:
        """The family's trials as they were when the trial's search space was inferred."""
        return FamilyView(study, self._family) if self._view is None else self._view


class PerFamilyPruner(BasePruner):
    """Lets the inner pruner see one family's trials only, and never before `prune_after` of the budget."""

    def __init__(self, kind: str, reports: int, prune_after: float) -> None:
        self._first_step = max(1, math.ceil(prune_after * reports))
        self._inner = make_pruner(kind, reports, self._first_step)

    def may_prune(self, step: int) -> bool:
        """Whether any trial may end after that report, counted from 1."""
        return step >= self._first_step

    def prune(self, study: optuna.Study, trial: FrozenTrial) -> bool:
        """Whether the trial should end now."""
        if trial.last_step is None or not self.may_prune(trial.last_step):
            return False
        return self._inner.prune(FamilyView(study, trial.params[FAMILY]), trial)


class FamilyView(optuna.Study):
    """A study as it would be if it had one family's trials only (Optuna's Hyperband views its brackets in this way).

    A trial that another one goes on with is left out: what it was worth the other one tells.
    """

    def __init__(self, study: optuna.Study, family: str, snapshot: Sequence[FrozenTrial] | None = None) -> None:
        """`snapshot`: the whole study's trials of one moment, instead of what the database has when it is asked."""
        super().__init__(study.study_name, study._storage, study.sampler, study.pruner)
        self._family = family
        self._snapshot = snapshot

    def get_trials(self, deepcopy: bool = True, states: Container[TrialState] | None = None) -> list[FrozenTrial]:
        """The family's trials, in order."""
        return self._get_trials(deepcopy, states)

    def _get_trials(
        self, deepcopy: bool = True, states: Container[TrialState] | None = None, use_cache: bool = False
    ) -> list[FrozenTrial]:
        if self._snapshot is None:
            trials = super()._get_trials(deepcopy, None, use_cache)
        else:
            trials = copy.deepcopy(list(self._snapshot)) if deepcopy else list(self._snapshot)
        gone_on = {trial.user_attrs.get("continues") for trial in trials}
        return [
            trial
            for trial in trials
            if trial.params.get(FAMILY) == self._family
            and trial.number not in gone_on
            and (states is None or trial.state in states)
        ]


class _BracketView(FamilyView):
    """One family's trials of one Hyperband bracket."""

    def __init__(self, view: FamilyView, pruner: _FamilyHyperband, bracket: int) -> None:
        super().__init__(view, view._family)
        self._view = view
        self._bracket_of = pruner._get_bracket_id
        self._bracket = bracket

    def _get_trials(
        self, deepcopy: bool = True, states: Container[TrialState] | None = None, use_cache: bool = False
    ) -> list[FrozenTrial]:
        trials = super()._get_trials(deepcopy, states, use_cache)
        return [trial for trial in trials if self._bracket_of(self._view, trial) == self._bracket]


class _FamilyHyperband(optuna.pruners.HyperbandPruner):
    """Optuna's Hyperband on a FamilyView: its own view of a bracket would bring back the other families' trials."""

    def _create_bracket_study(self, study: optuna.Study, bracket_id: int) -> optuna.Study:
        assert isinstance(study, FamilyView)
        return _BracketView(study, self, bracket_id)


def make_sampler(kind: str, seed: int) -> BaseSampler:
    """Optuna's sampler of that kind: tpe (joint over each group of conditional parameters), random, gp or cmaes."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        if kind == "tpe":
            return optuna.samplers.TPESampler(
                seed=seed, n_startup_trials=_STARTUP_TRIALS, multivariate=True, group=True, constant_liar=True
            )
        if kind == "gp":
            return optuna.samplers.GPSampler(
                seed=seed, n_startup_trials=_STARTUP_TRIALS, warn_independent_sampling=False
            )
        if kind == "cmaes":
            return optuna.samplers.CmaEsSampler(
                seed=seed, n_startup_trials=_STARTUP_TRIALS, warn_independent_sampling=False
            )
        return optuna.samplers.RandomSampler(seed=seed)


def make_pruner(kind: str, reports: int, first_step: int) -> BasePruner:
    """Optuna's pruner of that kind, over report numbers 1 to `reports`, deciding from `first_step` on."""
    if kind == "halving":
        return optuna.pruners.SuccessiveHalvingPruner(min_resource=first_step, reduction_factor=2)
    if kind == "hyperband":
        return _FamilyHyperband(min_resource=first_step, max_resource=reports, reduction_factor=2)
    if kind == "median":
        return optuna.pruners.MedianPruner(n_startup_trials=_STARTUP_TRIALS, n_warmup_steps=first_step - 1)
    return optuna.pruners.NopPruner()
