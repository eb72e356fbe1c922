"""Stacking: multinomial logistic regression on the members' log-probabilities; knows predictions only."""

from __future__ import annotations

from benchmark.ensemblers import ENSEMBLERS, Ensembler
from benchmark.ensemblers._features import floored
from benchmark.ensemblers._stacking import REFERENCE, LogisticStacking, logistic_parameters


@ENSEMBLERS.register(
    "stacking_on_log_probs",
    space={},
    reference=REFERENCE,
    calibrates=True,
    parameters=logistic_parameters,
)
def stacking_on_log_probs() -> Ensembler:
    """An unfitted logistic meta-learner; log-probabilities enter no lower than FEATURE_FLOOR."""
    return LogisticStacking(floored)
