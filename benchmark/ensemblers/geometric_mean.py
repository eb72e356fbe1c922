"""Uniform logarithmic pool: the geometric mean of probabilities, made to sum to 1 again; learns nothing."""

from __future__ import annotations

from benchmark.ensemblers import ENSEMBLERS, Ensembler
from benchmark.ensemblers._voting import Voting, equal_votes, logarithmic_pool


@ENSEMBLERS.register(
    "geometric_mean",
    space={},
    reference="Genest & Zidek 1986, doi:10.1214/ss/1177013825 (logarithmic opinion pool, equal weights)",
)
def geometric_mean() -> Ensembler:
    """An unfitted geometric mean: softmax of the mean log-probability, no member's below log 1e-6 (see the pool)."""
    return Voting(equal_votes, logarithmic_pool)
