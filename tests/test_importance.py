"""Importances of a search whose rule is known, and of one that follows none."""

from __future__ import annotations

from typing import Any

import numpy as np
import optuna
import pytest
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import create_trial
from planted_search import plant

from benchmark.importance import FEWEST_TRIALS, family_importance, importances
from benchmark.records import FamilyImportance
from benchmark.store import StudyStore

SPACE: dict[str, BaseDistribution] = {
    "rate": FloatDistribution(1e-4, 1.0, log=True),
    "depth": IntDistribution(1, 4),
    "kind": CategoricalDistribution(("a", "b", "c")),
}


def study_of(values: Any, points: list[dict[str, Any]]) -> optuna.Study:
    study = optuna.create_study(direction="maximize", study_name="cnn")
    for value, point in zip(values, points, strict=True):
        distributions = {name: SPACE[name] for name in point}
        study.add_trial(create_trial(value=float(value), params=point, distributions=distributions))
    return study


def drawn(number: int, seed: int = 0) -> list[dict[str, Any]]:
    rng = np.random.default_rng(seed)
    return [
        {
            "rate": float(10 ** rng.uniform(-4, 0)),
            "depth": int(rng.integers(1, 5)),
            "kind": ("a", "b", "c")[rng.integers(3)],
        }
        for _ in range(number)
    ]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> StudyStore:
    return plant(tmp_path_factory.mktemp("planted"), {"cnn": 40, "resnet": FEWEST_TRIALS - 1, "vgg": FEWEST_TRIALS})


@pytest.fixture(scope="module")
def found(store: StudyStore) -> dict[str, FamilyImportance]:
    return importances(store)


def test_the_planted_parameter_is_found_and_beyond_chance(found: dict[str, FamilyImportance]) -> None:
    # A learning rate of sgd spans more decades than one of adamw, so more is lost with it.
    cnn = found["cnn"]
    first, second, *others = cnn.parameters
    assert (first.name, second.name) == ("sgd.lr", "adamw.lr")
    assert first.share > cnn.chance > max(one.share for one in others)
    assert list(cnn.shares.values()) == sorted(cnn.shares.values(), reverse=True)
    assert 0 <= sum(cnn.shares.values()) <= 1
    assert cnn.left_out is None


def test_names_are_short_and_constants_are_none(found: dict[str, FamilyImportance]) -> None:
    assert {"width", "variant", "batch_size", "optimizer"} < set(found["cnn"].shares)
    assert not {"schedule", "family", "cnn.width"} & set(found["cnn"].shares)


def test_what_too_few_trials_have_is_not_assessed(found: dict[str, FamilyImportance]) -> None:
    vgg = found["vgg"]
    assert vgg.trials == FEWEST_TRIALS
    # Ten trials with two optimizers: none of the learning rates is in ten.
    assert vgg.unassessed == ("adamw.lr", "sgd.lr")
    assert not set(vgg.unassessed) & set(vgg.shares)
    assert found["cnn"].unassessed == ()


def test_a_family_of_few_trials_is_left_out_with_the_reason(found: dict[str, FamilyImportance]) -> None:
    assert list(found) == ["cnn", "resnet", "vgg"]
    assert found["resnet"] == FamilyImportance("resnet", 9, left_out="fewer than 10 complete trials")


def test_values_are_those_of_the_trials_that_have_the_parameter(
    store: StudyStore, found: dict[str, FamilyImportance]
) -> None:
    complete = [trial for trial in store.trials() if trial.family == "cnn" and trial.val_accuracy is not None]
    by_name = {one.name: one for one in found["cnn"].parameters}
    for short, name in (("width", "cnn.width"), ("sgd.lr", "sgd.lr")):
        having = [trial for trial in complete if name in trial.parameters]
        assert by_name[short].values == tuple(trial.parameters[name] for trial in having)
        assert by_name[short].accuracies == tuple(trial.val_accuracy for trial in having)
    assert by_name["sgd.lr"].is_log
    assert not by_name["width"].is_log
    assert by_name["flip"].choices == (True, False)
    assert by_name["width"].choices == ()


def test_the_same_study_gives_the_same_shares(store: StudyStore, found: dict[str, FamilyImportance]) -> None:
    assert importances(store) == found
    assert family_importance(_cnn(store), seed=1) != found["cnn"]


def _cnn(store: StudyStore) -> optuna.Study:
    from benchmark.family_studies import family_studies

    return family_studies(store)["cnn"]


def test_a_log_scale_is_taken_as_one() -> None:
    # All depends on the decade. As lengths of the range itself, the decades below 0.1 would be a tenth of it.
    points = drawn(60)
    decades = np.floor(np.log10([point["rate"] for point in points]))
    shares = family_importance(study_of(decades % 2, points), 0).shares
    assert shares["rate"] > 0.85


def test_choices_and_integers_count_alike() -> None:
    # By hand: "b" alone is better by 1, so that its variance is 2/9; of depth, 4 is, and its variance is 3/16.
    points = [
        {"rate": 10 ** -float(number % 5), "depth": 1 + number % 4, "kind": "abc"[number % 3]} for number in range(600)
    ]
    values = [(point["kind"] == "b") + (point["depth"] == 4) for point in points]
    shares = family_importance(study_of(values, points), 0).shares
    assert shares["kind"] == pytest.approx((2 / 9) / (2 / 9 + 3 / 16), abs=0.01)
    assert shares["depth"] == pytest.approx((3 / 16) / (2 / 9 + 3 / 16), abs=0.01)


def test_without_a_rule_nothing_passes_chance() -> None:
    # At 5 % of searches something does; here 1 of 10 may.
    passed = 0
    for seed in range(10):
        noise = np.random.default_rng(100 + seed).normal(size=15)
        one = family_importance(study_of(noise, drawn(15, seed)), seed)
        passed += one.parameters[0].share > one.chance
        # A forest explains noise as well.
        assert one.parameters[0].share > 0.1
    assert passed <= 1


def test_an_inactive_parameter_explains_nothing() -> None:
    # The choice decides; the rate, which only trials of "b" have, does not matter.
    points = [
        {**point, "kind": "b"} if number % 2 else {"depth": point["depth"], "kind": "a"}
        for number, point in enumerate(drawn(60))
    ]
    shares = family_importance(study_of([point["kind"] == "b" for point in points], points), 0).shares
    assert shares["kind"] > 0.8
    assert shares["rate"] < 0.1


def test_equal_accuracies_are_no_ground_for_shares() -> None:
    one = family_importance(study_of([0.1] * 12, drawn(12)), 0)
    assert one == FamilyImportance("cnn", 12, left_out="every complete trial has the same accuracy")


def test_a_study_that_searches_nothing_is_left_out() -> None:
    one = family_importance(study_of(range(12), [{} for _ in range(12)]), 0)
    assert (one.parameters, one.left_out) == ((), "nothing was searched")
