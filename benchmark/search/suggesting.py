"""From an Optuna trial to the configuration that it stands for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import optuna

from benchmark.records import TrialConfig
from benchmark.sampling import PerFamilySampler
from benchmark.seeds import derived_seed
from benchmark.space import Space
from benchmark.store import Claim


def configure(claim: Claim, space: Space, sampler: PerFamilySampler) -> TrialConfig:
    """Suggest all parameters of a claimed trial.

    One that continues another, or was planned, has its parameters already, and a seed.
    """
    trial = claim.trial
    if "default" not in trial.user_attrs:
        # Has the sampler decide about the trial: for a study of a single family, Optuna would not ask it before.
        _ = trial.relative_params
        trial.set_user_attr("default", sampler.is_default)
    family = trial.suggest_categorical("family", space.spec.families)
    seed = derived_seed(space.spec.seed, "training", trial.number)
    if claim.planned is not None:
        seed = claim.planned.seed
    if claim.checkpoint is not None:
        seed = claim.checkpoint.record["seed"]
    return space.configure(family, suggest_from(trial), seed)


def suggest_from(trial: optuna.Trial) -> Callable[[str, optuna.distributions.BaseDistribution], Any]:
    """The trial's suggest methods as one function of name and distribution."""

    def suggest(name: str, distribution: optuna.distributions.BaseDistribution) -> Any:
        if isinstance(distribution, optuna.distributions.CategoricalDistribution):
            return trial.suggest_categorical(name, distribution.choices)
        if isinstance(distribution, optuna.distributions.IntDistribution):
            return trial.suggest_int(
                name, distribution.low, distribution.high, step=distribution.step, log=distribution.log
            )
        assert isinstance(distribution, optuna.distributions.FloatDistribution)
        return trial.suggest_float(
            name, distribution.low, distribution.high, step=distribution.step, log=distribution.log
        )

    return suggest
