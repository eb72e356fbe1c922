"""From what a user asks of ensembles to entrants: each method over the best models, over all of them, by family."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial, reduce
from operator import add
from typing import get_args

import numpy as np
from numpy.typing import NDArray

from benchmark.ensemble.crossfit import Fitted, cross_fits, folds_of
from benchmark.ensemble.pools import Limits, cheapest_first, fitting, may_join_within, ranked, top_candidates
from benchmark.ensemble.wrappers import TEMPERATURES, Calibrated, Preselected
from benchmark.ensemblers import ENSEMBLERS, Ensembler
from benchmark.ensemblers.greedy_selection import GreedySelection, Metric
from benchmark.errors import BenchError, UnknownNameError
from benchmark.records import Entrant, as_jsonable, deciding

ENSEMBLE = "ensemble"
GREEDY = "greedy_selection"
METRICS: tuple[Metric, ...] = get_args(Metric)
ROWS_PER_PARAMETER = 2
"""With fewer validation rows, a logistic meta-learner learns them by heart."""
MOST_UNASKED = 10_000
"""Parameters of a method that is built without having been named, where the rows cannot bear it: what has more takes
minutes, and is no good."""
MOST_CLASSES_UNASKED = 30
"""Classes with which a method is built, without having been named, whose cost grows with their square."""
_USUAL = {"auto": None, "voting": GREEDY, "stacking": "log_linear_pooling"}
"""What a user may ask for without knowing a method's name; None is every method but the baselines."""


@dataclass(frozen=True)
class EnsembleSpec:
    """What ensembles to build."""

    top: int = 5
    """Methods combine so many of the best single models, in validation accuracy."""
    methods: tuple[str, ...] = ("auto",)
    """Registered names, or auto (all but baselines and what `unasked` names), voting or stacking (the usual one)."""
    metric: Metric = "log_loss"
    """What greedy selection and the recommendation go by: log_loss (after temperature) or accuracy."""
    temperature: str = "none"
    """Where a temperature is fitted, a name in TEMPERATURES."""
    limits: Limits = field(default_factory=Limits)
    folds: int = 5
    seed: int = 0
    """Of the folds."""

    def __post_init__(self) -> None:
        if self.metric not in METRICS:
            raise UnknownNameError("metric", self.metric, METRICS)
        if self.temperature not in TEMPERATURES:
            raise UnknownNameError("temperature", self.temperature, TEMPERATURES)
        methods_named(self.methods)


@dataclass(frozen=True, eq=False)
class _Pool:
    """Single models to combine, from cheap to dear, and what to call them."""

    title: str
    members: list[Entrant]


@dataclass(frozen=True, eq=False)
class RefittedEnsemble:
    """A fitted method, and the trials that it was fitted with, in their order."""

    method: Ensembler
    pool: tuple[int, ...]

    def predict(self, by_trial: Mapping[int, NDArray[np.float32]]) -> NDArray[np.float32]:
        """Log-probabilities (N, K) from those of the members, by trial; who has no vote need not be among them."""
        known = next(iter(by_trial.values()))
        silent = np.full_like(known, -np.log(known.shape[1]))
        return self.method.predict(np.stack([by_trial.get(number, silent) for number in self.pool]))


def default_methods() -> list[str]:
    """Every registered ensemble method but the baselines."""
    return [name for name in ENSEMBLERS if not ENSEMBLERS[name].tags.get("baseline")]


def methods_named(words: Sequence[str]) -> list[str]:
    """Registered names for what a user asked for. Raises UnknownNameError."""
    names: dict[str, None] = {}
    for word in words:
        found = default_methods() if word == "auto" else [_USUAL.get(word) or word]
        for name in found:
            if name not in ENSEMBLERS:
                raise UnknownNameError("ensemble method", name, [*_USUAL, *ENSEMBLERS])
            names[name] = None
    return list(names)


def build_ensembles(
    candidates: Sequence[Entrant], labels: NDArray[np.int64], spec: EnsembleSpec = EnsembleSpec()
) -> list[Entrant]:
    """One entrant per method and pool, over single models; `labels` (N,) are those of validation.

    Every method combines the `top` best, but for those that `unasked` names. One that selects its members is also
    given all candidates, and a stacking with so many parameters is also given as many of the best as the validation
    rows can bear. Every family with several candidates has a greedy selection of its own, to compare families by.
    Members, votes and cost of an entrant are those of the fit on all of validation, members without a vote left out.

    Raises BenchError where there are fewer than 2 or fewer than `top` candidates, or nothing is within the limits;
    SealedTestError where anything but validation would decide.
    """
    assignment = folds_of(labels, spec.folds, spec.seed)
    best = ranked(candidates, labels)
    top = _Pool(f"top {spec.top}", cheapest_first(top_candidates(candidates, labels, spec.top, spec.limits)))
    order = {entrant.members[0]: place for place, entrant in enumerate(best)}
    unbearable = unasked(spec, len(top.members), len(labels), best[0].val.log_probs.shape[1])
    built = []
    for name in methods_named(spec.methods):
        pools = () if name in unbearable else (top,)
        for pool in (*pools, *_wider_pools(name, best, spec, len(labels), len(top.members))):
            if len(pool.members) > 1:
                fitted = _fit(_builder(name, pool, spec), pool, labels, assignment)
                title = _qualified([name.replace("_", " "), pool.title], name, spec)
                built.append(_entrant(title, name, ENSEMBLE, pool, fitted, order, spec))
    if GREEDY in methods_named(spec.methods):
        for pool in _families([entrant for entrant in best if spec.limits.allow([entrant])]):
            fitted = _fit(_builder(GREEDY, pool, spec), pool, labels, assignment)
            family = pool.members[0].family
            built.append(_entrant(_qualified([pool.title], GREEDY, spec), GREEDY, family, pool, fitted, order, spec))
    return built


def combine(
    title: str,
    name: str,
    candidates: Sequence[Entrant],
    labels: NDArray[np.int64],
    spec: EnsembleSpec = EnsembleSpec(),
    family: str = ENSEMBLE,
) -> Entrant | None:
    """One method over these single models, called `title` and what is unusual; None where limits leave fewer than 2.

    `labels` (N,) are those of validation. A method that selects its members does so within the limits; another one has
    the best by validation that are within them together.
    """
    best = ranked(candidates, labels)
    selects = ENSEMBLERS[name].tags.get("selects")
    members = [one for one in best if spec.limits.allow([one])] if selects else fitting(best, spec.limits)
    if len(members) < 2:
        return None
    pool = _Pool("", cheapest_first(members))
    order = {entrant.members[0]: place for place, entrant in enumerate(best)}
    fitted = _fit(_builder(name, pool, spec), pool, labels, folds_of(labels, spec.folds, spec.seed))
    return _entrant(_qualified([title], name, spec), name, family, pool, fitted, order, spec)


def refit(
    name: str,
    members: Sequence[Entrant],
    labels: NDArray[np.int64],
    assignment: NDArray[np.int64],
    spec: EnsembleSpec = EnsembleSpec(),
) -> Fitted:
    """One method over exactly these single models, without limits; `assignment` (N,) is the fold of every row."""
    pool = _Pool("", cheapest_first(members))
    return _fit(_builder(name, pool, replace(spec, limits=Limits())), pool, labels, assignment)


def refitted(ensemble: Entrant, candidates: Sequence[Entrant], labels: NDArray[np.int64]) -> RefittedEnsemble:
    """The stored ensemble's method fitted again on all of validation, as it was: every method is deterministic.

    `candidates` are the study's single models, `labels` (N,) those of validation. Raises BenchError where the ensemble
    was stored by a version that did not note its recipe, or a model of its pool is not among the candidates.
    """
    if ensemble.recipe is None:
        raise BenchError(f"{ensemble.name} was stored by an earlier version; run: bench ensemble")
    by_number = {one.members[0]: one for one in candidates if one.part == ensemble.part}
    numbers = tuple(ensemble.recipe["pool"])
    if missing := set(numbers) - set(by_number):
        raise BenchError(
            f"{ensemble.name} was fitted with trials that are gone: {', '.join(map(str, sorted(missing)))}"
        )
    pool = _Pool("", [by_number[number] for number in numbers])
    spec = EnsembleSpec(
        metric=ensemble.recipe["metric"],
        temperature=ensemble.recipe["temperature"],
        limits=Limits(**ensemble.recipe["limits"]),
    )
    method = _builder(ensemble.method, pool, spec)()
    return RefittedEnsemble(method.fit(np.stack([deciding(one.val) for one in pool.members]), labels), numbers)


def bearable_members(name: str, rows: int, classes: int, most: int) -> int:
    """How many members, at most `most`, a method can take with 2 validation rows for every parameter it fits."""
    parameters: Callable[[int, int], int] | None = ENSEMBLERS[name].tags.get("parameters")
    if parameters is None:
        return most
    return max((m for m in range(1, most + 1) if ROWS_PER_PARAMETER * parameters(m, classes) <= rows), default=0)


def unasked(spec: EnsembleSpec, members: int, rows: int, classes: int) -> dict[str, str]:
    """Methods that take long and are left out unless a user names them, with the reason.

    They fit `MOST_UNASKED` parameters and more, and more than the validation rows can bear, or grow with the classes,
    of which there are more than `MOST_CLASSES_UNASKED`.
    """
    found = {}
    for name in methods_named(spec.methods):
        if name in spec.methods:
            continue
        tags = ENSEMBLERS[name].tags
        count: int = tags.get("parameters", lambda *_: 0)(members, classes)
        if count >= MOST_UNASKED and ROWS_PER_PARAMETER * count > rows:
            found[name] = (
                f"over {members} models it would fit {count:,} parameters to {rows:,} validation rows, which takes "
                "long and learns them by heart"
            )
        elif tags.get("grows_with_classes") and classes > MOST_CLASSES_UNASKED:
            found[name] = f"it takes long with {classes} classes"
    return found


def warnings_of(ensembles: Sequence[Entrant], rows: int, classes: int) -> list[str]:
    """What a user should know about ensembles that had too few validation rows, a sentence each."""
    found = []
    for one in ensembles:
        assert one.recipe is not None
        members = len(one.recipe["pool"])
        if bearable_members(one.method, rows, classes, members) < members:
            count = ENSEMBLERS[one.method].tags["parameters"](members, classes)
            found.append(
                f"{one.name} fits {count:,} parameters to {rows:,} validation rows: below {ROWS_PER_PARAMETER} rows "
                "each it learns them by heart; take fewer members or another method"
            )
    return found


def _wider_pools(name: str, best: list[Entrant], spec: EnsembleSpec, rows: int, top: int) -> list[_Pool]:
    """Beside the top, of so many models: all for a method that selects, as many as rows can bear for a fitted one."""
    tags = ENSEMBLERS[name].tags
    if tags.get("selects"):
        inside = [entrant for entrant in best if spec.limits.allow([entrant])]
        return [_Pool("all", cheapest_first(inside))] if len(inside) > top else []
    if "parameters" in tags and not spec.limits:
        most = bearable_members(name, rows, best[0].val.log_probs.shape[1], len(best))
        return [_Pool(f"top {most}", cheapest_first(best[:most]))] if most not in (0, 1, top) else []
    return []


def _families(best: list[Entrant]) -> list[_Pool]:
    """The candidates of every family that has several; none where all are of one family."""
    by_family: defaultdict[str, list[Entrant]] = defaultdict(list)
    for entrant in best:
        by_family[entrant.family].append(entrant)
    if len(by_family) < 2:
        return []
    several = {family: members for family, members in by_family.items() if len(members) > 1}
    return [_Pool(f"{family}, ensembled", cheapest_first(several[family])) for family in sorted(several)]


def _builder(name: str, pool: _Pool, spec: EnsembleSpec) -> Callable[[], Ensembler]:
    """What makes one unfitted method, within the limits and with temperatures as asked for."""
    may_join = partial(may_join_within, pool.members, spec.limits) if spec.limits else None

    def build() -> Ensembler:
        method: Ensembler
        if name == GREEDY:
            method = GreedySelection(metric=spec.metric, may_join=may_join)
        elif may_join is not None and ENSEMBLERS[name].tags.get("selects"):
            method = Preselected(ENSEMBLERS[name].build, GreedySelection(metric=spec.metric, may_join=may_join))
        else:
            method = ENSEMBLERS[name].build()
        return method if spec.temperature == "none" else Calibrated(method, spec.temperature)

    return build


def _fit(
    build: Callable[[], Ensembler], pool: _Pool, labels: NDArray[np.int64], assignment: NDArray[np.int64]
) -> Fitted:
    val, test = [entrant.val for entrant in pool.members], [entrant.test for entrant in pool.members]
    return cross_fits(build, val, test, labels, assignment).fitted()


def _selects_by_metric(name: str, spec: EnsembleSpec) -> bool:
    """Whether the metric has a say in who is a member: greedy selection does, and comes before others in limits."""
    return name == GREEDY or bool(spec.limits and ENSEMBLERS[name].tags.get("selects"))


def _qualified(title: Sequence[str], name: str, spec: EnsembleSpec) -> str:
    """The parts of a title, and what else tells this ensemble by that method from others."""
    parts = [*title, str(spec.limits)]
    parts.append("by accuracy" if spec.metric == "accuracy" and _selects_by_metric(name, spec) else "")
    parts.append("" if spec.temperature == "none" else f"temperature of {spec.temperature}")
    return ", ".join(filter(None, parts))


def _entrant(
    name: str, method: str, family: str, pool: _Pool, fitted: Fitted, order: dict[int, int], spec: EnsembleSpec
) -> Entrant:
    """Members in the order of their standing; those without a vote are left out."""
    weights = fitted.weights
    voting = [index for index in range(len(pool.members)) if weights is None or weights[index] > 0]
    voting.sort(key=lambda index: order[pool.members[index].members[0]])
    return Entrant(
        name=name,
        kind=ENSEMBLE,
        family=family,
        members=tuple(pool.members[index].members[0] for index in voting),
        weights=None if weights is None else tuple(weights[index] for index in voting),
        val=fitted.val,
        test=fitted.test,
        cost=reduce(add, (pool.members[index].cost for index in voting)),
        method=method,
        part=pool.members[0].part,
        trained_on=pool.members[0].trained_on,
        recipe={
            "pool": [entrant.members[0] for entrant in pool.members],
            "metric": spec.metric,
            "temperature": spec.temperature,
            "limits": as_jsonable(spec.limits),
        },
    )
