"""Single models that predict by a known skill and nothing else, for tests of ensembles."""

from __future__ import annotations

import numpy as np

from benchmark.records import Cost, Entrant, Predictions, Split

VAL, TEST, K = 200, 300, 3
LABELS = np.random.default_rng(7).integers(0, K, VAL + TEST)
LABELS_VAL = LABELS[:VAL]


def entrant(number: int, skill: float, noise: int | None = None, family: str = "cnn") -> Entrant:
    """A single model whose predictions depend on `noise`, by default its number, and on nothing else."""
    rng = np.random.default_rng(number if noise is None else noise)
    logits = rng.normal(size=(VAL + TEST, K))
    logits[np.arange(VAL + TEST), LABELS] += skill
    log_probs = (logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))).astype(np.float32)
    return Entrant(
        name=f"{family}, trial {number}",
        kind="tuned",
        family=family,
        members=(number,),
        weights=(1.0,),
        val=Predictions(Split.VAL, log_probs[:VAL]),
        test=Predictions(Split.TEST, log_probs[VAL:]),
        cost=Cost(10**number, 2 * 10**number, float(number), 0.5, latency_ms=1.0 + number),
    )


CANDIDATES = [entrant(0, 0.2), entrant(1, 1.4), entrant(2, 1.2), entrant(3, 1.6), entrant(4, 0.0)]
MIXED = [*CANDIDATES, entrant(5, 1.5, family="vgg"), entrant(6, 1.3, family="vgg")]


def members_of(entrants: list[Entrant]) -> list[int]:
    """The numbers of single models."""
    return [one.members[0] for one in entrants]
