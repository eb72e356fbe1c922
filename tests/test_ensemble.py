"""Ensembles of stored predictions: who is in, what is out-of-fold, and that test decides nothing."""

from dataclasses import replace

import numpy as np
import pytest

from benchmark.ensemble import build_ensembles, cross_fit, default_methods, top_candidates
from benchmark.ensemblers import ENSEMBLERS
from benchmark.errors import BenchError, SealedTestError, UnknownNameError
from benchmark.folds import stratified_folds
from benchmark.metrics import accuracy
from benchmark.records import Cost, Entrant, Predictions, Split

VAL, TEST, K = 200, 300, 3
LABELS = np.random.default_rng(7).integers(0, K, VAL + TEST)
LABELS_VAL = LABELS[:VAL]


def entrant(number: int, skill: float, noise: int | None = None) -> Entrant:
    """A single model whose predictions depend on `noise`, by default its number, and on nothing else."""
    rng = np.random.default_rng(number if noise is None else noise)
    logits = rng.normal(size=(VAL + TEST, K))
    logits[np.arange(VAL + TEST), LABELS] += skill
    log_probs = (logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))).astype(np.float32)
    return Entrant(
        name=f"cnn, trial {number}",
        kind="tuned",
        family="cnn",
        members=(number,),
        weights=(1.0,),
        val=Predictions(Split.VAL, log_probs[:VAL]),
        test=Predictions(Split.TEST, log_probs[VAL:]),
        cost=Cost(parameters=10**number, macs=2 * 10**number, train_seconds=float(number), inference_ms=0.5),
    )


CANDIDATES = [entrant(0, 0.2), entrant(1, 1.4), entrant(2, 1.2), entrant(3, 1.6), entrant(4, 0.0)]


def members_of(entrants: list[Entrant]) -> list[int]:
    return [one.members[0] for one in entrants]


def test_top_candidates_are_the_best_on_validation() -> None:
    by_hand = sorted(CANDIDATES, key=lambda one: -accuracy(one.val.log_probs, LABELS_VAL))
    assert top_candidates(CANDIDATES, LABELS_VAL, 3) == by_hand[:3]


def test_ties_go_to_log_loss_then_to_the_earlier_trial() -> None:
    one, same = entrant(8, 1.0, noise=1), entrant(5, 1.0, noise=1)
    flat = one.val.log_probs * 0.5
    flat -= np.log(np.exp(flat).sum(axis=1, keepdims=True))
    vague = replace(entrant(2, 1.0), val=Predictions(Split.VAL, flat))
    sharper, duller = (one, vague)
    assert members_of(top_candidates([duller, sharper, same], LABELS_VAL, 3)) == [5, 8, 2]


def test_test_predictions_choose_nothing() -> None:
    spoilt = [
        replace(one, test=Predictions(Split.TEST, np.full((TEST, K), -np.log(K), np.float32))) for one in CANDIDATES
    ]
    for straight, blind in zip(
        build_ensembles(CANDIDATES, LABELS_VAL, top=3), build_ensembles(spoilt, LABELS_VAL, top=3), strict=True
    ):
        assert straight.members == blind.members
        assert straight.weights == blind.weights
        assert straight.val.digest == blind.val.digest


def test_test_predictions_cannot_be_fitted_on() -> None:
    val = [one.val for one in CANDIDATES[:2]]
    test = [one.test for one in CANDIDATES[:2]]
    folds = stratified_folds(LABELS[VAL:], 5, 0)
    with pytest.raises(SealedTestError):
        cross_fit(ENSEMBLERS["soft_voting"].build, test, test, LABELS[VAL:], folds)
    with pytest.raises(SealedTestError):
        cross_fit(ENSEMBLERS["soft_voting"].build, [val[0], test[1]], test, LABELS_VAL, folds)


def test_forged_entrant_with_test_predictions_as_validation_is_refused() -> None:
    forged = replace(CANDIDATES[0])
    object.__setattr__(forged, "val", forged.test)
    with pytest.raises(SealedTestError):
        build_ensembles([forged, CANDIDATES[1]], LABELS[VAL:], top=2)


@pytest.mark.parametrize("name", list(ENSEMBLERS))
def test_labels_of_a_fold_do_not_reach_its_own_predictions(name: str) -> None:
    val, test = [one.val for one in CANDIDATES], [one.test for one in CANDIDATES]
    folds = stratified_folds(LABELS_VAL, 5, 0)
    inside = folds == 2
    permuted = LABELS_VAL.copy()
    permuted[inside] = np.random.default_rng(0).permutation(LABELS_VAL[inside])
    assert not np.array_equal(permuted, LABELS_VAL)
    straight = cross_fit(ENSEMBLERS[name].build, val, test, LABELS_VAL, folds).val.log_probs
    changed = cross_fit(ENSEMBLERS[name].build, val, test, permuted, folds).val.log_probs
    assert np.array_equal(straight[inside], changed[inside])


def test_labels_of_a_fold_reach_the_other_folds_predictions() -> None:
    # Without this the property above would hold for something that learns nothing.
    val, test = [one.val for one in CANDIDATES], [one.test for one in CANDIDATES]
    folds = stratified_folds(LABELS_VAL, 5, 0)
    permuted = np.where(folds == 2, (LABELS_VAL + 1) % K, LABELS_VAL)
    straight = cross_fit(ENSEMBLERS["stacking"].build, val, test, LABELS_VAL, folds).val.log_probs
    changed = cross_fit(ENSEMBLERS["stacking"].build, val, test, permuted, folds).val.log_probs
    assert not np.array_equal(straight[folds != 2], changed[folds != 2])


def test_entrants_name_their_members_votes_and_cost() -> None:
    built = {one.name: one for one in build_ensembles(CANDIDATES, LABELS_VAL, top=3)}
    assert list(built) == ["greedy selection, top 3", "soft voting, top 3", "stacking, top 3"]
    best = members_of(top_candidates(CANDIDATES, LABELS_VAL, 3))
    soft = built["soft voting, top 3"]
    assert (soft.kind, soft.family) == ("ensemble", "ensemble")
    assert soft.members == tuple(best)
    assert soft.weights == pytest.approx((1 / 3, 1 / 3, 1 / 3))
    assert soft.cost == sum((CANDIDATES[number].cost for number in best[1:]), start=CANDIDATES[best[0]].cost)
    assert built["stacking, top 3"].weights is None
    assert built["stacking, top 3"].members == tuple(best)


def test_members_without_a_vote_are_left_out_with_their_cost() -> None:
    (single,) = build_ensembles(CANDIDATES, LABELS_VAL, top=3, methods=["single_best"])
    best = top_candidates(CANDIDATES, LABELS_VAL, 2)[0]
    assert single.members == best.members
    assert single.weights == (1.0,)
    assert single.cost == best.cost
    assert single.test.log_probs == pytest.approx(best.test.log_probs, abs=1e-5)


def test_uniform_votes_are_the_same_in_and_out_of_fold() -> None:
    (soft,) = build_ensembles(CANDIDATES, LABELS_VAL, top=2, methods=["soft_voting"])
    best = top_candidates(CANDIDATES, LABELS_VAL, 2)
    expected = np.mean([np.exp(one.val.log_probs) for one in best], axis=0)
    assert np.exp(soft.val.log_probs) == pytest.approx(expected, abs=1e-6)


def test_seed_decides_the_folds() -> None:
    def digest(seed: int) -> str:
        return build_ensembles(CANDIDATES, LABELS_VAL, top=3, methods=["stacking"], seed=seed)[0].val.digest

    assert digest(1) == digest(1) != digest(2)


def test_baselines_are_built_only_when_named() -> None:
    assert default_methods() == ["greedy_selection", "soft_voting", "stacking"]


@pytest.mark.parametrize(
    ("count", "top", "message"),
    [
        (5, 6, "top 6 asks for more than the 5 completed trials"),
        (1, 2, "at least 2 completed trials, not 1"),
        (0, 5, "at least 2 completed trials, not 0"),
        (5, 1, "at least 2 models, not 1"),
    ],
)
def test_too_few_candidates_are_refused(count: int, top: int, message: str) -> None:
    with pytest.raises(BenchError, match=message):
        build_ensembles(CANDIDATES[:count], LABELS_VAL, top=top)


def test_more_folds_than_rows_are_refused() -> None:
    with pytest.raises(BenchError, match="201 folds"):
        build_ensembles(CANDIDATES, LABELS_VAL, top=2, folds=VAL + 1)


def test_unknown_method_is_refused_with_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'stacking'"):
        build_ensembles(CANDIDATES, LABELS_VAL, top=2, methods=["staking"])


def test_ensembles_are_no_candidates() -> None:
    (soft,) = build_ensembles(CANDIDATES, LABELS_VAL, top=2, methods=["soft_voting"])
    with pytest.raises(ValueError, match="single models"):
        build_ensembles([*CANDIDATES, soft], LABELS_VAL, top=2)
