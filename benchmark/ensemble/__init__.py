"""Trials into ensembles: every method cross-fitted on validation, scored once on test; trains and stores nothing.

`build_ensembles` makes the entrants that an `EnsembleSpec` asks for, and `combine` one over given members; `recommend`
names the one to take and the smallest not told from it, `contributions` says what each member is worth, and
`size_curve` what every further member brings.
"""

from benchmark.ensemble.building import (
    METRICS,
    EnsembleSpec,
    RefittedEnsemble,
    build_ensembles,
    combine,
    default_methods,
    methods_named,
    refitted,
    unasked,
    warnings_of,
)
from benchmark.ensemble.crossfit import Fitted, cross_fits
from benchmark.ensemble.pools import Limits, cheapest_first, members_of, ranked, top_candidates, within
from benchmark.ensemble.recommending import Recommendation, contributions, of_least_loss, recommend
from benchmark.ensemble.sizes import SizePoint, size_curve
from benchmark.ensemble.wrappers import TEMPERATURES

__all__ = [
    "METRICS",
    "TEMPERATURES",
    "EnsembleSpec",
    "Fitted",
    "Limits",
    "Recommendation",
    "RefittedEnsemble",
    "SizePoint",
    "build_ensembles",
    "cheapest_first",
    "combine",
    "contributions",
    "cross_fits",
    "default_methods",
    "members_of",
    "methods_named",
    "of_least_loss",
    "ranked",
    "recommend",
    "refitted",
    "size_curve",
    "top_candidates",
    "unasked",
    "warnings_of",
    "within",
]
