"""A search as one Optuna study per family, for Optuna's own plots and importances; changes nothing in the search.

Families have parameters of their own, and so many of them that a plot of all is none. Optuna's functions take a study.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import optuna
from optuna.trial import FrozenTrial, TrialState

from benchmark.parameters import FAMILY, short_names
from benchmark.store import StudyStore, retried

NUMBER = "trial"
"""Attribute of a trial: its number in the search."""


@retried
def family_studies(store: StudyStore) -> dict[str, optuna.Study]:
    """A study in memory for each family, by its name, with its complete and pruned trials in order of their numbers.

    Optuna numbers them anew; the user attribute "trial" has the number in the search, and is the only one. Parameters
    are called as `parameters.short_names` has it; the family is no parameter any more, nor is what has a single value
    in this study. Reports are kept as intermediate values, a pruned trial's last one as its value.
    """
    by_family: dict[str, list[FrozenTrial]] = defaultdict(list)
    for trial in store.study.get_trials(deepcopy=False, states=(TrialState.COMPLETE, TrialState.PRUNED)):
        by_family[trial.params[FAMILY]].append(trial)
    return {family: _study(family, by_family[family]) for family in sorted(by_family)}


def _study(family: str, trials: Sequence[FrozenTrial]) -> optuna.Study:
    searched = {
        name: distribution
        for trial in trials
        for name, distribution in trial.distributions.items()
        if name != FAMILY and not distribution.single()
    }
    names = short_names(searched, family)
    study = optuna.create_study(study_name=family, direction="maximize")
    for trial in trials:
        kept = {name: short for name, short in names.items() if name in trial.params}
        study.add_trial(
            FrozenTrial(
                number=trial.number,
                state=trial.state,
                value=trial.value,
                datetime_start=trial.datetime_start,
                datetime_complete=trial.datetime_complete,
                params={short: trial.params[name] for name, short in kept.items()},
                distributions={short: trial.distributions[name] for name, short in kept.items()},
                user_attrs={NUMBER: trial.number},
                system_attrs={},
                intermediate_values=dict(trial.intermediate_values),
                trial_id=trial._trial_id,
            )
        )
    return study
