"""What is built for a request: methods, pools, limits and temperatures."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from candidates import CANDIDATES, LABELS, LABELS_VAL, MIXED, TEST, VAL, K, members_of

from benchmark.ensemble import (
    EnsembleSpec,
    Limits,
    build_ensembles,
    building,
    combine,
    default_methods,
    methods_named,
    top_candidates,
)
from benchmark.ensemble.building import bearable_members, unasked, warnings_of
from benchmark.ensemblers import ENSEMBLERS
from benchmark.errors import SealedTestError, UnknownNameError
from benchmark.metrics import log_loss
from benchmark.records import Entrant, Predictions, Split
from benchmark.temperature import temperature_of


def built(candidates: list[Entrant] = CANDIDATES, **asked: object) -> dict[str, Entrant]:
    spec = EnsembleSpec(**{"top": 3, **asked})  # type: ignore[arg-type]
    return {one.name: one for one in build_ensembles(candidates, LABELS_VAL, spec)}


def test_every_method_combines_the_best_and_those_that_select_are_given_all() -> None:
    names = list(built())
    for method in default_methods():
        assert f"{method.replace('_', ' ')}, top 3" in names
    assert {name.split(",")[0] for name in names if name.endswith(", all")} == {
        "greedy selection",
        "log linear pooling",
        "weighted voting",
    }


def test_test_predictions_choose_nothing() -> None:
    blank = Predictions(Split.TEST, np.full((TEST, K), -np.log(K), np.float32))
    straight, blind = built(), built([replace(one, test=blank) for one in CANDIDATES])
    for name, one in straight.items():
        assert (one.members, one.weights) == (blind[name].members, blind[name].weights)
        assert one.val.digest == blind[name].val.digest


def test_forged_entrant_with_test_predictions_as_validation_is_refused() -> None:
    forged = replace(CANDIDATES[0])
    object.__setattr__(forged, "val", forged.test)
    with pytest.raises(SealedTestError):
        build_ensembles([forged, CANDIDATES[1]], LABELS[VAL:], EnsembleSpec(top=2))


def test_entrants_name_their_members_votes_method_and_cost() -> None:
    entrants = built()
    best = members_of(top_candidates(CANDIDATES, LABELS_VAL, 3))
    soft, stacked = entrants["soft voting, top 3"], entrants["stacking on probs, top 3"]
    assert (soft.kind, soft.family, soft.method) == ("ensemble", "ensemble", "soft_voting")
    assert soft.members == tuple(best)
    assert soft.weights == pytest.approx((1 / 3, 1 / 3, 1 / 3))
    assert soft.cost == sum((CANDIDATES[number].cost for number in best[1:]), start=CANDIDATES[best[0]].cost)
    assert stacked.weights is None
    assert stacked.members == tuple(best)


def test_members_without_a_vote_are_left_out_with_their_cost() -> None:
    (single,) = built(methods=("single_best",)).values()
    best = top_candidates(CANDIDATES, LABELS_VAL, 2)[0]
    assert single.members == best.members
    assert single.weights == (1.0,)
    assert single.cost == best.cost
    assert single.test.log_probs == pytest.approx(best.test.log_probs, abs=1e-5)


def test_uniform_votes_are_the_same_in_and_out_of_fold() -> None:
    (soft,) = built(methods=("soft_voting",), top=2).values()
    best = top_candidates(CANDIDATES, LABELS_VAL, 2)
    expected = np.mean([np.exp(one.val.log_probs) for one in best], axis=0)
    assert np.exp(soft.val.log_probs) == pytest.approx(expected, abs=1e-6)


def test_seed_decides_the_folds() -> None:
    def digest(seed: int) -> str:
        return built(methods=("stacking_on_probs",), seed=seed)["stacking on probs, top 3"].val.digest

    assert digest(1) == digest(1) != digest(2)


def test_every_family_has_an_ensemble_of_its_own() -> None:
    entrants = built(MIXED)
    assert "ensembled" not in "".join(built())
    vgg = entrants["vgg, ensembled"]
    assert (vgg.kind, vgg.family, vgg.method) == ("ensemble", "vgg", "greedy_selection")
    assert set(vgg.members) <= {5, 6}
    assert set(entrants["cnn, ensembled"].members) <= {0, 1, 2, 3, 4}
    assert "vgg, ensembled" not in built(MIXED, methods=("soft_voting",))


# Limits ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "limits",
    [Limits(members=2), Limits(parameters=2_000), Limits(latency_ms=7.0), Limits(per_family=1)],
    ids=str,
)
def test_every_ensemble_is_within_the_limits(limits: Limits) -> None:
    by_number = {one.members[0]: one for one in MIXED}
    entrants = built(MIXED, limits=limits)
    assert any(name.startswith("greedy selection, all") for name in entrants)
    assert any(name.startswith("log linear pooling, all") for name in entrants)
    for name, one in entrants.items():
        assert str(limits) in name
        assert limits.allow([by_number[number] for number in one.members]), name


def test_all_that_are_within_the_limits_are_given_to_methods_that_select_though_the_best_fill_them() -> None:
    # Of the five that are asked for the limits leave the best three; each alone is within them.
    limits = Limits(latency_ms=7.0)
    assert members_of(top_candidates(CANDIDATES, LABELS_VAL, 5, limits)) == [1, 3, 0]
    names = built(top=5, limits=limits, methods=("greedy_selection",))
    assert f"greedy selection, all, {limits}" in names


def test_models_of_one_kind_are_combined_within_the_limits() -> None:
    free, bound = EnsembleSpec(), EnsembleSpec(limits=Limits(members=2))
    voting = combine("seeds", "soft_voting", CANDIDATES, LABELS_VAL, bound, "cnn")
    assert voting is not None
    assert (voting.name, voting.family) == ("seeds, at most 2 members", "cnn")
    assert voting.members == tuple(members_of(top_candidates(CANDIDATES, LABELS_VAL, 2)))
    for name in ("greedy_selection", "log_linear_pooling"):
        selected, all_of_them = (combine("runs", name, CANDIDATES, LABELS_VAL, spec) for spec in (bound, free))
        assert selected is not None
        assert all_of_them is not None
        assert len(selected.members) == 2
        assert selected.recipe is not None
        assert len(selected.recipe["pool"]) == len(CANDIDATES), "it chose among all"
        assert all_of_them.name == "runs"
    assert combine("one", "soft_voting", CANDIDATES, LABELS_VAL, EnsembleSpec(limits=Limits(members=1))) is None
    unusual = EnsembleSpec(metric="accuracy", temperature="result")
    names = [
        getattr(combine("runs", name, CANDIDATES, LABELS_VAL, unusual), "name", "")
        for name in ("soft_voting", "greedy_selection")
    ]
    assert names == ["runs, temperature of result", "runs, by accuracy, temperature of result"]
    # Within limits greedy selection comes first, and the metric has a say in who is a member.
    bound_by_accuracy = combine("runs", "log_linear_pooling", CANDIDATES, LABELS_VAL, replace(bound, metric="accuracy"))
    assert getattr(bound_by_accuracy, "name", "") == "runs, at most 2 members, by accuracy"
    assert combine("one", "soft_voting", CANDIDATES[:1], LABELS_VAL, free) is None


def test_without_limits_more_members_are_taken() -> None:
    free = built(MIXED, methods=("log_linear_pooling",))["log linear pooling, all"]
    assert len(free.members) > 2


# Temperatures ---------------------------------------------------------------------------------------------------------


def test_temperature_of_the_result_mends_what_averaging_does_to_confidence() -> None:
    plain = built(methods=("soft_voting",))["soft voting, top 3"]
    mended = built(methods=("soft_voting",), temperature="result")["soft voting, top 3, temperature of result"]
    assert abs(temperature_of(plain.val.log_probs, LABELS_VAL) - 1) > 0.1
    assert temperature_of(mended.val.log_probs, LABELS_VAL) == pytest.approx(1, abs=0.05)
    assert log_loss(mended.val.log_probs, LABELS_VAL) < log_loss(plain.val.log_probs, LABELS_VAL)
    assert (mended.val.log_probs.argmax(1) == plain.val.log_probs.argmax(1)).all()


def test_temperatures_of_members_undo_what_only_changes_their_confidence() -> None:
    soft = [
        replace(
            one,
            val=Predictions(Split.VAL, smoothed(one.val.log_probs)),
            test=Predictions(Split.TEST, smoothed(one.test.log_probs)),
        )
        for one in CANDIDATES
    ]
    asked = {"methods": ("soft_voting",), "temperature": "members"}
    (straight,), (undone,) = built(**asked).values(), built(soft, **asked).values()
    assert np.exp(undone.val.log_probs) == pytest.approx(np.exp(straight.val.log_probs), abs=5e-3)


def smoothed(log_probs: np.ndarray) -> np.ndarray:
    half = log_probs * np.float32(0.5)
    return half - np.log(np.exp(half).sum(axis=1, keepdims=True))


# Asking ---------------------------------------------------------------------------------------------------------------


def test_baselines_are_built_only_when_named() -> None:
    assert default_methods() == [name for name in ENSEMBLERS if name != "single_best"]
    assert methods_named(["auto"]) == default_methods()


def test_kinds_name_their_usual_method() -> None:
    assert methods_named(["voting", "stacking", "voting"]) == ["greedy_selection", "log_linear_pooling"]


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"methods": ("soft_votin",)}, "did you mean 'soft_voting'"),
        ({"metric": "f1"}, "unknown metric 'f1'"),
        ({"temperature": "all"}, "unknown temperature 'all'"),
    ],
)
def test_unknown_words_are_refused(asked: dict[str, object], message: str) -> None:
    with pytest.raises(UnknownNameError, match=message):
        EnsembleSpec(**asked)  # type: ignore[arg-type]


def test_ensembles_are_no_candidates() -> None:
    soft = built(methods=("soft_voting",), top=2)["soft voting, top 2"]
    with pytest.raises(ValueError, match="single models"):
        build_ensembles([*CANDIDATES, soft], LABELS_VAL, EnsembleSpec(top=2))


def test_too_few_rows_for_the_parameters_are_told() -> None:
    # K (M K + 1) parameters: 3 classes and 11 members make 102, which 200 rows cannot bear twice; 10 make 93.
    assert bearable_members("stacking_on_probs", VAL, K, 50) == 10
    assert bearable_members("soft_voting", VAL, K, 50) == 50
    ensembles = list(built(top=5, methods=("stacking_on_probs", "soft_voting")).values())
    assert warnings_of(ensembles, VAL, K) == []
    # K (M K + 1) is 48 for 5 members.
    (told,) = warnings_of(ensembles, 95, K)
    assert told.startswith("stacking on probs, top 5 fits 48 parameters to 95 validation rows: below 2 rows each")
    # A limit leaves fewer members than were asked for, whose parameters are fewer.
    limited = built(top=5, methods=("stacking_on_probs",), limits=Limits(members=3))
    assert warnings_of(list(limited.values()), 95, K) == []


def test_what_would_learn_many_parameters_by_heart_is_built_only_where_it_is_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked = EnsembleSpec(top=5)
    # K (M K + 1) is 48 for 5 members.
    assert unasked(asked, 5, VAL, K) == {}
    monkeypatch.setattr(building, "MOST_UNASKED", 48)
    assert unasked(asked, 5, 96, K) == {}, "the rows can bear them"
    left_out = unasked(asked, 5, 95, K)
    assert list(left_out) == ["stacking_on_log_probs", "stacking_on_probs"]
    assert left_out["stacking_on_probs"].startswith("over 5 models it would fit 48 parameters to 95 validation rows")
    assert unasked(replace(asked, methods=("auto", "stacking_on_probs")), 5, 95, K).keys() == {"stacking_on_log_probs"}
    monkeypatch.setattr(building, "ROWS_PER_PARAMETER", 10)
    names = {one.method for one in built(top=5).values()}
    assert names == set(default_methods()) - set(left_out)
    assert "stacking on probs, top 5" in built(top=5, methods=("stacking_on_probs",))


def test_what_grows_with_the_classes_is_built_only_where_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(building, "MOST_CLASSES_UNASKED", K - 1)
    assert unasked(EnsembleSpec(), 5, VAL, K) == {"stacking_by_trees": f"it takes long with {K} classes"}
    assert not any(one.method == "stacking_by_trees" for one in built().values())
    assert "stacking by trees, top 3" in built(methods=("stacking_by_trees",))


def test_a_fitted_method_is_given_as_many_members_as_rows_can_bear() -> None:
    names = built(CANDIDATES, top=2, methods=("stacking_on_probs",))
    assert list(names) == ["stacking on probs, top 2", "stacking on probs, top 5"]


def test_where_the_top_is_more_than_rows_bear_fewer_are_taken_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(building, "bearable_members", lambda *_: 2)
    names = built(CANDIDATES, top=4, methods=("stacking_on_probs",))
    assert list(names) == ["stacking on probs, top 4", "stacking on probs, top 2"]
    monkeypatch.setattr(building, "bearable_members", lambda *_: 1)
    assert list(built(CANDIDATES, top=4, methods=("stacking_on_probs",))) == ["stacking on probs, top 4"]
