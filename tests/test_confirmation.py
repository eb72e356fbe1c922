"""Confirmation: what is planned, how it is claimed, and how its runs stand on the leaderboard."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from filled_study import choose_family, fill, guess

from benchmark import study
from benchmark.confirmation import ConfirmSpec, add_to_plan, confirmed_models, plan_runs, runs_by_part
from benchmark.ensemble import EnsembleSpec, Limits
from benchmark.errors import BenchError
from benchmark.leaderboard import to_json, to_markdown
from benchmark.metrics import accuracy
from benchmark.records import Cost, Split
from benchmark.store import Claim, NoTrial, StudyStore, open_study


@pytest.fixture
def store(tmp_path: Path) -> StudyStore:
    """A searched study of four complete trials, the earlier the better."""
    return fill(tmp_path, complete=4)


def opened(store: StudyStore, asked: ConfirmSpec) -> StudyStore:
    return study.open_to_confirm(store, asked, None, lambda _: None)[1]


def train(part: StudyStore, claim: Claim, noise: int) -> None:
    """End a claimed run with predictions of that noise; see filled_study.guess."""
    both = (guess(part, Split.VAL, noise), guess(part, Split.TEST, noise))
    score = accuracy(both[0].log_probs, part.labels(Split.VAL))
    facts = {"cost": Cost(1000, 2000, 1.5, 0.1), "device": "a processor"}
    assert part.queue.complete(claim.trial, score, both, facts)


def claimed(part: StudyStore, total: int = 99) -> Claim:
    claim = part.queue.claim(total, choose_family, add_to_plan(part, []))
    assert isinstance(claim, Claim)
    return claim


# Planning -------------------------------------------------------------------------------------------------------------


def test_the_best_are_planned_with_a_seed_for_every_run(store: StudyStore) -> None:
    plan = plan_runs(store, ConfirmSpec(top=2, seeds=3), seed=0)
    assert [(run.trial, run.replicate) for run in plan] == [(0, 0), (1, 0), (0, 1), (1, 1), (0, 2), (1, 2)]
    assert len({run.seed for run in plan}) == 6
    assert plan == plan_runs(store, ConfirmSpec(top=2, seeds=3), seed=0)
    assert plan_runs(store, ConfirmSpec(top=2, seeds=3, most_runs=3), seed=0) == plan[:3]
    assert {run.seed for run in plan}.isdisjoint(run.seed for run in plan_runs(store, ConfirmSpec(2, 3), seed=1))
    assert all(run.parameters == store.trials()[run.trial].parameters for run in plan)


def test_a_run_has_the_images_of_its_trial_unless_epochs_are_given(store: StudyStore) -> None:
    claim = store.queue.claim(99, choose_family)
    assert isinstance(claim, Claim)
    both = (guess(store, Split.VAL, 0), guess(store, Split.TEST, 0))
    assert store.queue.complete(claim.trial, 1.0, both, {"cost": Cost(1, 1, 1.0, 1.0), "images": 640, "default": False})
    planned = {run.trial: run.images for run in plan_runs(store, ConfirmSpec(top=5, seeds=1), seed=0)}
    assert planned[claim.trial.number] == 640
    assert {run.images for run in plan_runs(store, ConfirmSpec(top=5, seeds=1, epochs=2.0), seed=0)} == {None}


def test_a_plan_grows_and_forgets_nothing(store: StudyStore) -> None:
    part = opened(store, ConfirmSpec(top=1, seeds=1))
    assert part.fact("trials") == 1
    assert opened(store, ConfirmSpec(top=2, seeds=2)).fact("trials") == 4
    plan = add_to_plan(part, [])
    assert [(run.trial, run.replicate) for run in plan] == [(0, 0), (1, 0), (0, 1), (1, 1)]
    opened(store, ConfirmSpec(top=1, seeds=1))
    assert add_to_plan(part, []) == plan


def test_runs_of_another_budget_are_kept_apart(store: StudyStore) -> None:
    opened(store, ConfirmSpec(top=1, seeds=1))
    longer = opened(store, ConfirmSpec(top=1, seeds=2, epochs=20))
    assert list(store.parts()) == ["confirm", "confirm-20-epochs"]
    assert longer.fact("definition")["budget.epochs"] == 20
    assert longer.fact("definition")["search.pruner"] == "none"


@pytest.mark.parametrize(("given", "longer"), [(900.0, None), (0.0, 0.0), (None, None)])
def test_the_time_limit_of_short_trials_does_not_end_long_runs(
    store: StudyStore, given: float | None, longer: float | None
) -> None:
    stored = store.fact("spec")
    store.set_fact("spec", stored | {"search": stored["search"] | {"trial_timeout": given}})
    as_long, *_ = study.open_to_confirm(store, ConfirmSpec(top=1, seeds=1), None, lambda _: None)
    assert as_long.search.trial_timeout == given
    found, *_ = study.open_to_confirm(store, ConfirmSpec(top=1, seeds=1, seconds=1500.0), None, lambda _: None)
    assert found.search.trial_timeout == longer


def test_weights_of_all_runs_are_kept(tmp_path: Path) -> None:
    store = fill(tmp_path, complete=3)
    found, _, plan = study.open_to_confirm(store, ConfirmSpec(top=3, seeds=10), None, lambda _: None)
    assert found.search.keep_weights == len(plan.runs) == 30
    # The fewer runs of another call are among those of the first.
    again, _, plan = study.open_to_confirm(store, ConfirmSpec(top=1, seeds=2), None, lambda _: None)
    assert len(plan.runs) == again.search.keep_weights == 30
    few, *_ = study.open_to_confirm(store, ConfirmSpec(top=1, seeds=1, seconds=9.0), None, lambda _: None)
    assert few.search.keep_weights == 20, "as many as the study keeps"


def test_runs_of_as_many_images_as_the_trial_do_not_go_by_the_clock(store: StudyStore) -> None:
    stored = store.fact("spec")
    store.set_fact("spec", stored | {"budget": stored["budget"] | {"epochs": None, "seconds": 9.0, "adapts": True}})
    as_long, *_ = study.open_to_confirm(store, ConfirmSpec(top=1, seeds=1), None, lambda _: None)
    assert not as_long.budget.adapts
    longer, *_ = study.open_to_confirm(store, ConfirmSpec(top=1, seeds=1, seconds=60.0), None, lambda _: None)
    assert longer.budget.adapts


def test_runs_on_all_rows_are_kept_apart_and_have_what_their_trials_predicted(store: StudyStore) -> None:
    _, part, plan = study.open_to_confirm(
        store, ConfirmSpec(top=2, seeds=2, train_on="train+val"), None, lambda _: None
    )
    assert part.location.part == "confirm-train+val"
    assert list(store.parts()) == ["confirm-train+val"]
    assert ConfirmSpec(epochs=20, train_on="train+val").part == "confirm-train+val-20-epochs"
    assert plan.trains_on_val
    assert {number: one.digest for number, one in plan.val.items()} == {
        number: store.predictions(number, Split.VAL).digest for number in (0, 1)
    }
    assert not study.open_to_confirm(store, ConfirmSpec(top=2), None, lambda _: None)[2].trains_on_val
    with pytest.raises(BenchError, match="did you mean 'train\\+val'"):
        ConfirmSpec(train_on="train-val")


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"top": 0}, "at least one"),
        ({"seeds": 0}, "at least one"),
        ({"epochs": 0}, "more than 0"),
        ({"epochs": 1, "seconds": 1}, "either epochs or seconds"),
    ],
)
def test_nothing_to_confirm_is_refused(asked: dict[str, int], message: str) -> None:
    with pytest.raises(BenchError, match=message):
        ConfirmSpec(**asked)


def test_more_finalists_than_trials_are_refused(store: StudyStore) -> None:
    with pytest.raises(BenchError, match="top 5 asks for more than the 4 completed trials"):
        opened(store, ConfirmSpec(top=5))


# Claiming -------------------------------------------------------------------------------------------------------------


def test_planned_runs_are_claimed_once_each_and_then_the_plan_is_spent(store: StudyStore) -> None:
    part = opened(store, ConfirmSpec(top=2, seeds=2))
    plan = add_to_plan(part, [])
    claims = [claimed(part) for _ in range(4)]
    assert [claim.planned for claim in claims] == plan
    assert [claim.trial.params["family"] for claim in claims] == [run.parameters["family"] for run in plan]
    assert part.queue.claim(99, choose_family, plan) is NoTrial.TAKEN
    for claim in claims:
        train(part, claim, 0)
    assert part.queue.claim(99, choose_family, plan) is NoTrial.SPENT
    assert store.trials() == open_study(store.location).trials()


def test_a_run_that_was_lost_is_planned_again_and_one_that_fails_three_times_is_given_up(store: StudyStore) -> None:
    part = opened(store, ConfirmSpec(top=2, seeds=1))
    assert part.queue.interrupt(claimed(part).trial, "interrupted: the search was stopped", {})
    for _ in range(3):
        claim = claimed(part)
        assert claim.planned is not None
        assert claim.planned.trial == 0
        assert part.queue.fail(claim.trial, "diverged", {})
    second = claimed(part)
    assert second.planned is not None
    assert second.planned.trial == 1
    train(part, second, 1)
    assert part.queue.claim(99, choose_family, add_to_plan(part, [])) is NoTrial.SPENT


def test_a_process_that_vanishes_between_planning_and_taking_a_run_loses_none(store: StudyStore) -> None:
    part = opened(store, ConfirmSpec(top=2, seeds=1))
    plan = add_to_plan(part, [])
    facts = {"trial": 0, "replicate": 0, "seed": plan[0].seed, "images": None}
    part.study.enqueue_trial(dict(plan[0].parameters), user_attrs={"default": False, "planned": facts})
    assert [claimed(part).planned, claimed(part).planned] == plan


# Reading --------------------------------------------------------------------------------------------------------------


def confirmed(store: StudyStore, noises: list[int]) -> StudyStore:
    """The best two trials trained again so often, the runs in turn with the given noise."""
    part = opened(store, ConfirmSpec(top=2, seeds=len(noises) // 2))
    for noise in noises:
        train(part, claimed(part), noise)
    return part


def test_a_confirmed_model_is_its_median_run_with_all_runs_scores(store: StudyStore) -> None:
    # Runs of trial 0 with noise 0, 9 and 4: the median is the last; of trial 1 with 1, 1 and 1.
    part = confirmed(store, [0, 1, 9, 1, 4, 1])
    first, second = confirmed_models(runs_by_part(store), store.labels(Split.VAL))
    assert (first.kind, first.family, first.part) == ("confirmed", store.trials()[0].family, "confirm")
    assert first.name == f"{first.family}, trial 0, 3 seeds"
    assert second.name == f"{second.family}, trial 1, 3 seeds"
    assert first.members == (4,)
    assert first.test.digest == part.predictions(4, Split.TEST).digest
    assert Counter(run.digest for run in first.replicates) == Counter(
        part.predictions(number, Split.TEST).digest for number in (0, 2, 4)
    )


def test_what_a_run_has_otherwise_than_its_trial_stands_in_its_name(store: StudyStore) -> None:
    def prepare(claim: Claim) -> None:
        claim.trial.suggest_categorical("family", ("cnn", "vgg"))
        claim.trial.suggest_int("cnn.width", 16, 128)
        if claim.trial.suggest_categorical("flip", (False, True)):
            claim.trial.suggest_categorical("flip.mode", ("alternating",))

    numbers = []
    for _ in range(2):
        store.study.enqueue_trial({"family": "cnn", "cnn.width": 48, "flip": False})
        claim = store.queue.claim(99, prepare)
        assert isinstance(claim, Claim)
        train(store, claim, 0)
        numbers.append(claim.trial.number)
    first, second = numbers
    changes = {first: {"cnn.width": 64, "flip": True, "flip.mode": "alternating"}}
    part = opened(store, ConfirmSpec(trials=(first, second), changes=changes, seeds=1))
    for _ in numbers:
        claim = part.queue.claim(9, prepare, add_to_plan(part, []))
        assert isinstance(claim, Claim)
        train(part, claim, 0)
    changed, same = confirmed_models(runs_by_part(store), store.labels(Split.VAL))
    assert changed.name == f"cnn, trial {first}, width 64, flip, 1 seed"
    assert same.name == f"cnn, trial {second}, 1 seed"


def test_the_leaderboard_has_confirmed_models_and_ensembles_of_their_runs(store: StudyStore) -> None:
    confirmed(store, [0, 1, 2, 3])
    study.ensembles_of(store, EnsembleSpec(top=2))
    board = study.leaderboard_of(open_study(store.location))
    rows = {row.entrant.name: row for row in board.rows}
    family = store.trials()[0].family
    labels = store.labels(Split.TEST)
    told = rows[f"{family}, trial 0, 2 seeds"].over_seeds
    assert sorted(told) == sorted(accuracy(guess(store, Split.TEST, noise).log_probs, labels) for noise in (0, 2))
    deep = rows[f"{family}, trial 0, 2 seeds, ensembled"].entrant
    expected = np.mean([np.exp(guess(store, Split.TEST, noise).log_probs) for noise in (0, 2)], axis=0)
    assert np.exp(deep.test.log_probs) == pytest.approx(expected, abs=1e-6)
    assert (deep.part, deep.members) == ("confirm", (0, 2))
    assert {"soft voting, confirm runs", "greedy selection, confirm runs", "log linear pooling, confirm runs"} <= set(
        rows
    )


def test_a_confirmed_row_says_how_many_of_its_runs_are_there(store: StudyStore) -> None:
    part = opened(store, ConfirmSpec(top=2, seeds=2))
    for noise in (0, 1, 2):
        train(part, claimed(part), noise)
    rows = {row.entrant.name: row.entrant.state for row in study.leaderboard_of(store).rows}
    family = store.trials()[0].family
    assert rows[f"{family}, trial 0, 2 seeds"] == "complete"
    assert [state for name, state in rows.items() if "trial 1, 1 seed" in name] == ["1 of 2 runs"]
    assert {state for name, state in rows.items() if "seed" not in name} == {"complete"}


def test_members_are_looked_up_where_they_were_trained(store: StudyStore) -> None:
    # The numbers of the runs are also those of trials of the search.
    confirmed(store, [4, 5, 6, 7])
    built = study.ensembles_of(store, EnsembleSpec(top=2))
    (deep,) = [one for one in built if one.name.endswith("trial 0, 2 seeds, ensembled")]
    assert deep.part == "confirm"
    runs = {
        run.members[0]: run for by_title in runs_by_part(store).values() for one in by_title.values() for run in one
    }
    votes = np.mean([np.exp(runs[number].val.log_probs) for number in deep.members], axis=0)
    assert np.exp(deep.val.log_probs) == pytest.approx(votes, abs=1e-5)


def test_one_trial_alone_makes_ensembles_of_its_seeds(tmp_path: Path) -> None:
    store = fill(tmp_path, complete=1)
    with pytest.raises(BenchError, match="at least 2"):
        study.ensembles_of(store)
    part = opened(store, ConfirmSpec(top=1, seeds=2))
    for noise in (0, 1):
        train(part, claimed(part), noise)
    (deep,) = study.ensembles_of(store)
    assert (deep.part, deep.members, deep.family) == ("confirm", (0, 1), store.trials()[0].family)


def test_ensembles_of_runs_are_within_the_limits(store: StudyStore) -> None:
    confirmed(store, [0, 1, 2, 3, 4, 5])
    built = study.ensembles_of(store, EnsembleSpec(top=2, limits=Limits(members=2)))
    of_runs = [one for one in built if one.part]
    assert len(of_runs) == 5
    assert all(len(one.members) <= 2 and one.name.endswith("at most 2 members") for one in of_runs)


def test_every_run_counts_as_scored_on_test(store: StudyStore) -> None:
    confirmed(store, [4, 5, 6, 7, 8, 9])
    board = study.leaderboard_of(store)
    # Of two confirmed rows each tells the mean over three runs.
    assert board.scored == len(board.rows) + 4


def test_what_finalists_took_is_told_with_their_failures(store: StudyStore) -> None:
    part = confirmed(store, [0, 1])
    opened(store, ConfirmSpec(top=2, seeds=2))
    assert part.queue.fail(claimed(part).trial, "diverged at step 7", {})
    board = study.leaderboard_of(store)
    assert board.confirming is not None
    assert (board.confirming.trials, board.confirming.failures) == (3, (("diverged at step 7", 1),))
    assert board.summary.trials == len(store.trials())
    page = to_markdown(board)
    assert "and 3 runs (2 complete, 1 failed) of finalists trained again, " in page
    assert "| Why runs failed | Runs |" in page
    assert "### Finalists trained again" in page
    assert json.loads(to_json(board))["confirmation"]["trials"] == 3


def test_runs_are_not_called_trials_of_the_search(store: StudyStore) -> None:
    confirmed(store, [0, 1, 2, 3])
    study.ensembles_of(store, EnsembleSpec(top=2))
    board = study.leaderboard_of(store)
    assert "| runs of confirm: 0 (50 %), 2 (50 %) |" in to_markdown(board)
    parts = {row["name"]: row["part"] for row in json.loads(to_json(board))["rows"]}
    assert parts["soft voting, confirm runs"] == "confirm"
    assert parts["soft voting, top 2"] == ""


def test_a_new_run_makes_stored_ensembles_stale(store: StudyStore) -> None:
    part = opened(store, ConfirmSpec(top=1, seeds=2))
    train(part, claimed(part), 0)
    study.ensembles_of(store, EnsembleSpec(top=2))
    assert store.ensembles()
    train(part, claimed(part), 1)
    assert store.ensembles() == []


def test_a_study_of_an_earlier_version_is_refused(store: StudyStore) -> None:
    store.set_fact("spec", None)
    with pytest.raises(BenchError, match="was made by an earlier version and cannot be confirmed"):
        opened(store, ConfirmSpec(top=1))


def test_a_part_has_a_place_of_its_own(store: StudyStore) -> None:
    part = opened(store, ConfirmSpec(top=1))
    assert study.place_of_files(part).base == str(store.location.folder / "confirm")
    assert part.location.database == store.location.database
    assert replace(part.location, part="") == store.location


def test_a_part_has_a_place_of_its_own_among_artifacts_too(store: StudyStore, tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    place = study.place_of_files(store, str(shared))
    part = opened(store, ConfirmSpec(top=1))
    assert study.place_of_files(part).base == str(shared / f"tiny+confirm-{part.fact('id')}")
    assert study.place_of_files(part) != place
    assert part.fact("id") != store.fact("id")
