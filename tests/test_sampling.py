"""Families get their shares, and samplers and pruners see one family's trials only."""

from __future__ import annotations

import itertools
import logging
from collections import Counter
from typing import Any

import optuna
import pytest
from optuna.distributions import CategoricalDistribution
from optuna.samplers import RandomSampler
from optuna.trial import FrozenTrial, TrialState, create_trial

from benchmark.definition import PRUNERS, SAMPLERS, parse_study
from benchmark.parameters import FAMILY
from benchmark.sampling import (
    FamilyView,
    PerFamilyPruner,
    PerFamilySampler,
    family_shares,
    make_pruner,
    next_family,
)
from benchmark.search import suggest_from
from benchmark.space import Space

FAMILIES = ("cnn", "resnet", "vgg")
DEFINITION = """\
dataset = "digits"
families = ["cnn", "resnet", "vgg"]
augmentations = ["crop", "rotation"]
[budget]
epochs = 1
"""


@pytest.fixture(scope="module")
def space() -> Space:
    return Space(parse_study("mine", DEFINITION, "mine.toml"))


def trial(family: str, state: TrialState = TrialState.COMPLETE, value: float = 0.5, **facts: Any) -> FrozenTrial:
    return create_trial(
        state=state,
        value=value if state is TrialState.COMPLETE else None,
        params={FAMILY: family},
        distributions={FAMILY: CategoricalDistribution(FAMILIES)},
        user_attrs=facts,
    )


def defaults() -> list[FrozenTrial]:
    return [trial(family, default=True) for family in FAMILIES]


# Shares ---------------------------------------------------------------------------------------------------------------


def test_shares_are_equal_until_every_family_has_evidence() -> None:
    best = {"cnn": 0.9, "resnet": 0.8, "vgg": None}
    assert family_shares(best, {"cnn": 30, "resnet": 30, "vgg": 2}, 0.5) == dict.fromkeys(FAMILIES, 1 / 3)


def test_shares_tilt_by_rank() -> None:
    shares = family_shares({"cnn": 0.7, "resnet": 0.9, "vgg": 0.8}, dict.fromkeys(FAMILIES, 3), 0.5)
    # 1/r out of 1 + 1/2 + 1/3 = 11/6, halved, on top of a half of a third.
    assert shares == pytest.approx({"resnet": 1 / 6 + 3 / 11, "vgg": 1 / 6 + 1.5 / 11, "cnn": 1 / 6 + 1 / 11})


@pytest.mark.parametrize("floor", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("best", [{"a": 0.1}, {"a": 0.1, "b": None}, {"a": 0.5, "b": 0.5, "c": 0.4, "d": None}])
def test_shares_sum_to_one_and_keep_the_floor(best: dict[str, float | None], floor: float) -> None:
    shares = family_shares(best, dict.fromkeys(best, 5), floor)
    assert sum(shares.values()) == pytest.approx(1)
    assert min(shares.values()) >= floor / len(best) - 1e-12
    assert max(shares, key=lambda family: shares[family]) == "a"


# The next family ------------------------------------------------------------------------------------------------------


def test_defaults_come_first_in_the_order_of_the_study() -> None:
    trials: list[FrozenTrial] = []
    for family in FAMILIES:
        assert next_family(trials, FAMILIES, 0.5) == (family, True)
        trials.append(trial(family, TrialState.RUNNING, default=True))
    assert next_family(trials, FAMILIES, 0.5)[1] is False


def test_an_interrupted_default_is_run_again_however_often() -> None:
    interrupted = [trial("cnn", TrialState.FAIL, default=True, interrupted=True)] * 5
    assert next_family([*interrupted, *defaults()[1:]], FAMILIES, 0.5) == ("cnn", True)


def test_a_default_that_fails_by_itself_gets_a_second_chance_and_no_third() -> None:
    failed = [trial("cnn", TrialState.FAIL, default=True)]
    assert next_family([*failed, *defaults()[1:]], FAMILIES, 0.5) == ("cnn", True)
    assert next_family([*failed * 2, *defaults()[1:]], FAMILIES, 0.5)[1] is False


def test_the_family_that_lags_is_next() -> None:
    trials = [*defaults(), trial("cnn"), trial("vgg")]
    assert next_family(trials, FAMILIES, 0.5) == ("resnet", False)


def test_a_family_that_always_fails_does_not_take_every_trial() -> None:
    trials = [*[trial("cnn", TrialState.FAIL, default=True)] * 2, *defaults()[1:]]
    counts: Counter[str] = Counter()
    for _ in range(40):
        family, _ = next_family(trials, FAMILIES, 0.5)
        counts[family] += 1
        trials.append(trial(family, TrialState.FAIL) if family == "cnn" else trial(family))
    assert counts["cnn"] <= 15
    assert min(counts.values()) >= 40 * 0.5 / 3 - 1


def test_a_preferred_family_may_lag_less_by_two_trials() -> None:
    behind = [*defaults(), trial("cnn"), trial("vgg")]
    assert next_family(behind, FAMILIES, 0.5, {"cnn"}) == ("cnn", False)
    assert next_family(behind, FAMILIES, 0.5, {"cnn", "resnet"}) == ("resnet", False)
    assert next_family([*behind, trial("cnn"), trial("cnn")], FAMILIES, 0.5, {"cnn"}) == ("resnet", False)
    assert next_family(defaults()[:2], FAMILIES, 0.5, {"cnn"}) == ("vgg", True), "defaults come first all the same"


def test_workers_that_prefer_what_they_have_trained_train_few_families_and_keep_the_shares() -> None:
    """Four workers take a hundred trials in turn, and `vgg` has the least share."""

    def searched(prefer: bool) -> tuple[int, Counter[str]]:
        """How many workers have trained `vgg`, and the trials by family."""
        trials, trained = [], [set[str]() for _ in range(4)]
        for number in range(100):
            mine = trained[number % 4]
            family, is_default = next_family(trials, FAMILIES, 0.1, mine if prefer else ())
            mine.add(family)
            value = {"cnn": 0.9, "resnet": 0.8, "vgg": 0.7}[family]
            trials.append(trial(family, value=value, default=is_default))
        return sum("vgg" in mine for mine in trained), Counter(str(one.params[FAMILY]) for one in trials)

    (all_of_them, usual), (few, found) = searched(False), searched(True)
    assert (all_of_them, few) == (4, 1)
    assert all(abs(found[family] - usual[family]) <= 2 for family in FAMILIES)


def test_interrupted_trials_take_no_place() -> None:
    trials = [*defaults(), *[trial("cnn", TrialState.FAIL, interrupted=True)] * 9, trial("resnet"), trial("vgg")]
    assert next_family(trials, FAMILIES, 0.5) == ("cnn", False)


# Samplers -------------------------------------------------------------------------------------------------------------


def simulated(space: Space, kind: str, trials: int, seed: int = 0) -> optuna.Study:
    """A study whose score falls with the distance of label smoothing from 0.1, a little worse from family to family."""
    sampler = PerFamilySampler(space, kind, seed)
    study = optuna.create_study(direction="maximize", sampler=sampler)
    for _ in range(trials):
        asked = study.ask()
        family = asked.suggest_categorical(FAMILY, space.spec.families)
        asked.set_user_attr("default", sampler.is_default)
        config = space.configure(family, suggest_from(asked), seed=0)
        study.tell(asked, 0.9 - 0.05 * FAMILIES.index(family) - abs(config.label_smoothing - 0.1))
    return study


@pytest.mark.parametrize(("kind", "trials"), [("random", 40), ("tpe", 40), ("cmaes", 40), ("gp", 22)])
def test_every_sampler_serves_every_family(
    space: Space, kind: str, trials: int, caplog: pytest.LogCaptureFixture
) -> None:
    optuna.logging.enable_propagation()
    try:
        with caplog.at_level(logging.WARNING):
            study = simulated(space, kind, trials)
    finally:
        optuna.logging.disable_propagation()
    assert [record.message for record in caplog.records if "greenlet" not in record.message] == []
    counts = Counter(trial.params[FAMILY] for trial in study.trials)
    assert set(counts) == set(FAMILIES)
    assert min(counts.values()) >= space.spec.search.family_floor * trials / 3 - 1
    assert max(counts, key=lambda family: counts[family]) == "cnn"
    for trial in study.trials:
        foreign = [name for name in trial.params if name.split(".")[0] in set(FAMILIES) - {trial.params[FAMILY]}]
        assert foreign == []


def test_a_trial_is_sampled_from_one_reading_of_the_study(space: Space, monkeypatch: pytest.MonkeyPatch) -> None:
    study = simulated(space, "tpe", 24)
    storage, readings = study._storage, 0
    read = storage.get_all_trials

    def counted(*arguments: Any, **options: Any) -> list[FrozenTrial]:
        nonlocal readings
        readings += 1
        return read(*arguments, **options)

    monkeypatch.setattr(storage, "get_all_trials", counted)
    asked = study.ask()
    before = readings  # Optuna looks for trials that wait in a queue.
    space.configure(asked.suggest_categorical(FAMILY, space.spec.families), suggest_from(asked), seed=0)
    assert not asked.user_attrs.get("default")
    assert readings - before == 1


def test_all_kinds_of_samplers_are_tested() -> None:
    assert set(SAMPLERS) == {"random", "tpe", "cmaes", "gp"}


def test_the_first_trials_are_the_experts(space: Space) -> None:
    study = simulated(space, "tpe", 4)
    for family, first in zip(FAMILIES, study.trials[:3], strict=True):
        assert first.params == {FAMILY: family, **space.expert(family)}
        assert first.user_attrs["default"] is True
    assert study.trials[3].user_attrs["default"] is False


@pytest.mark.parametrize("kind", ["random", "tpe"])
def test_a_familys_own_parameter_takes_the_place_of_the_shared_one(kind: str) -> None:
    narrowing = "[space]\nbatch_size = [256]\nresnet.batch_size = [64, 128]\n"
    study = simulated(Space(parse_study("mine", DEFINITION + narrowing, "mine.toml")), kind, 24)
    sizes: dict[str, set[object]] = {"batch_size": set(), "resnet.batch_size": set()}
    for one in study.trials:
        named = "resnet.batch_size" if one.params[FAMILY] == "resnet" else "batch_size"
        assert {name for name in one.params if name.endswith("batch_size")} == {named}
        sizes[named].add(one.params[named])
    assert sizes == {"batch_size": {256}, "resnet.batch_size": {64, 128}}


def near_the_best(study: optuna.Study, trial: FrozenTrial) -> bool:
    """Whether most of a trial's parameters are those of its family's best trial before it."""
    before = [one for one in study.trials[: trial.number] if one.params[FAMILY] == trial.params[FAMILY] and one.value]
    best = max(before, key=lambda one: one.value or 0.0)
    same = [trial.params.get(name) == value for name, value in best.params.items()]
    return sum(same) / len(same) > 0.6


def varying(share: float) -> Space:
    return Space(parse_study("mine", f"{DEFINITION}[search]\nincumbent_share = {share}\n", "mine.toml"))


@pytest.mark.parametrize(
    ("kind", "share", "low", "high"),
    [("tpe", 0.0, 0, 0.2), ("tpe", 0.5, 0.25, 0.65), ("tpe", 1.0, 0.75, 1), ("random", 1.0, 0, 0.1)],
)
def test_a_share_of_the_trials_varies_the_best_of_its_family(kind: str, share: float, low: float, high: float) -> None:
    study = simulated(varying(share), kind, 40)
    near = [near_the_best(study, trial) for trial in study.trials if not trial.user_attrs["default"]]
    assert low <= sum(near) / len(near) <= high


def test_a_pruned_trial_is_not_the_best(space: Space) -> None:
    """Its last report can lie above every final score."""
    study = simulated(varying(1.0), "tpe", 3)
    pruned = create_trial(
        state=TrialState.PRUNED,
        value=0.99,
        params={FAMILY: "cnn", **space.expert("cnn"), "label_smoothing": 0.3},
        distributions={FAMILY: CategoricalDistribution(FAMILIES), **space.distributions(space.expert("cnn"))},
    )
    study.add_trials([pruned] * 3)
    smoothing = []
    for _ in range(30):
        asked = study.ask()
        if asked.suggest_categorical(FAMILY, FAMILIES) == "cnn":
            smoothing.append(space.configure("cnn", suggest_from(asked), seed=0).label_smoothing)
    assert smoothing.count(space.expert("cnn")["label_smoothing"]) > len(smoothing) / 2


def test_before_a_trial_is_complete_the_default_is_varied() -> None:
    study = optuna.create_study(direction="maximize", sampler=PerFamilySampler(varying(1.0), "tpe", 0))
    space = varying(1.0)
    for _ in range(6):
        asked = study.ask()
        family = asked.suggest_categorical(FAMILY, FAMILIES)
        space.configure(family, suggest_from(asked), seed=0)
        asked.set_user_attr("default", asked.number < 3)
    for trial in study.trials[3:]:
        expert = space.expert(trial.params[FAMILY])
        same = [trial.params.get(name) == value for name, value in expert.items()]
        assert len(same) / 2 < sum(same) < len(same)


@pytest.mark.parametrize("kind", ["random", "tpe"])
def test_the_seed_decides_the_points(space: Space, kind: str) -> None:
    def points(seed: int) -> list[dict[str, Any]]:
        return [trial.params for trial in simulated(space, kind, 24, seed).trials]

    assert points(1) == points(1)
    assert points(1)[3:] != points(2)[3:]


def test_no_point_is_proposed_twice(space: Space) -> None:
    """Though several processes with the same seed ask at the same time."""
    study = optuna.create_study(direction="maximize")
    seen = []
    samplers = itertools.cycle([PerFamilySampler(space, "random", 0) for _ in range(3)])
    for sampler, _ in zip(samplers, range(21), strict=False):
        study.sampler = sampler
        asked = study.ask()
        family = asked.suggest_categorical(FAMILY, FAMILIES)
        asked.set_user_attr("default", sampler.is_default)
        space.configure(family, suggest_from(asked), seed=0)
        seen.append(tuple(sorted(asked.params.items())))
    assert len(set(seen)) == len(seen)


def test_the_inner_sampler_sees_its_own_family_only(space: Space, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[str, set[str]]] = []

    class Watching(RandomSampler):
        def _note(self, study: optuna.Study) -> None:
            assert isinstance(study, FamilyView)
            trials = study.get_trials(deepcopy=False)
            seen.append((study._family, {trial.params[FAMILY] for trial in trials}))

        def infer_relative_search_space(self, study: optuna.Study, trial: FrozenTrial) -> Any:
            self._note(study)
            return super().infer_relative_search_space(study, trial)

        def sample_independent(self, study: optuna.Study, *rest: Any) -> Any:
            self._note(study)
            return super().sample_independent(study, *rest)

    monkeypatch.setattr("benchmark.sampling.make_sampler", lambda kind, seed: Watching(seed))
    simulated(space, "random", 9)
    assert {family for family, _ in seen} == set(FAMILIES)
    assert all(families == {family} for family, families in seen)


# Pruners --------------------------------------------------------------------------------------------------------------


def study_with(pruner: PerFamilyPruner) -> optuna.Study:
    return optuna.create_study(direction="maximize", study_name="s", sampler=RandomSampler(0), pruner=pruner)


def ask(study: optuna.Study, family: str) -> optuna.Trial:
    study.enqueue_trial({FAMILY: family})
    asked = study.ask()
    asked.suggest_categorical(FAMILY, FAMILIES)
    return asked


def verdicts(study: optuna.Study, family: str, values: list[float]) -> list[bool]:
    asked, found = ask(study, family), []
    for step, value in enumerate(values, start=1):
        asked.report(value, step)
        found.append(asked.should_prune())
    study.tell(asked, values[-1])
    return found


@pytest.mark.parametrize("kind", PRUNERS)
def test_a_pruner_compares_within_a_family(kind: str) -> None:
    """A weak family's trials stand against each other, not against a strong family's."""
    study = study_with(PerFamilyPruner(kind, 8, 0.5))
    for number in range(12):
        verdicts(study, "cnn", [0.9 + 0.001 * number] * 8)
    # Each is better than all resnets before it: nothing that looks at resnets alone can prune it.
    for number in range(12):
        assert not any(verdicts(study, "resnet", [0.2 + 0.01 * number] * 8))
    pruned = [any(verdicts(study, "resnet", [0.1 - 0.001 * number] * 8)) for number in range(12)]
    assert any(pruned) is (kind != "none")


@pytest.mark.parametrize("prune_after", [0.0, 0.25, 0.5, 0.9, 1.0])
@pytest.mark.parametrize("kind", PRUNERS)
def test_nothing_is_pruned_too_early(kind: str, prune_after: float) -> None:
    study = study_with(PerFamilyPruner(kind, 8, prune_after))
    for number in range(24):
        found = verdicts(study, "cnn", [0.9 - 0.01 * number] * 8)
        assert not any(verdict for step, verdict in enumerate(found, start=1) if step < prune_after * 8)


def test_halving_decides_at_the_first_step_that_it_may() -> None:
    study = study_with(PerFamilyPruner("halving", 8, 0.5))
    verdicts(study, "cnn", [0.9] * 8)
    assert verdicts(study, "cnn", [0.5] * 8).index(True) + 1 == 4


def test_no_report_no_verdict() -> None:
    study = study_with(PerFamilyPruner("halving", 8, 0.0))
    assert ask(study, "cnn").should_prune() is False


def test_none_is_none() -> None:
    assert isinstance(make_pruner("none", 8, 1), optuna.pruners.NopPruner)
