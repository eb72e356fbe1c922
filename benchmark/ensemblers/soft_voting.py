"""Uniform soft voting: every member has the same vote; learns nothing."""

from __future__ import annotations

from benchmark.ensemblers import ENSEMBLERS, Ensembler
from benchmark.ensemblers._voting import Voting, equal_votes


@ENSEMBLERS.register(
    "soft_voting",
    space={},
    reference="Lakshminarayanan et al. 2017, arXiv:1612.01474, section 2.4 (uniform mean of probabilities)",
)
def soft_voting() -> Ensembler:
    """An unfitted uniform soft vote."""
    return Voting(equal_votes)
