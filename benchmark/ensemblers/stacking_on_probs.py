"""Stacking: multinomial logistic regression on the members' probabilities; knows predictions only."""

from __future__ import annotations

from benchmark.ensemblers import ENSEMBLERS, Ensembler
from benchmark.ensemblers._features import probs
from benchmark.ensemblers._stacking import REFERENCE, LogisticStacking, logistic_parameters


@ENSEMBLERS.register(
    "stacking_on_probs",
    space={},
    reference=REFERENCE,
    calibrates=True,
    parameters=logistic_parameters,
)
def stacking_on_probs() -> Ensembler:
    """An unfitted logistic meta-learner."""
    return LogisticStacking(probs)
