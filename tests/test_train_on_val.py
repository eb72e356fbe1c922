"""Finalists trained on train+val with the real command: validation decides by what was predicted before."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from trained_study import train_study

from benchmark import cli
from benchmark.confirmation import all_runs, runs_by_part
from benchmark.ensemble import EnsembleSpec, combine
from benchmark.inference import load_entrant, load_study_data
from benchmark.leaderboard import to_markdown
from benchmark.leaderboard.board import _members
from benchmark.records import Split
from benchmark.store import StudyStore
from benchmark.study import ensembles_of, find_entrant, leaderboard_of

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> StudyStore:
    """A study whose best two were trained again on all rows."""
    root = tmp_path_factory.mktemp("confirmed")
    store = train_study(root, trials=4, ensembles=False)
    words = ["bench", "confirm", "tiny", "--top", "2", "--seeds", "2", "--train-on", "train+val", "--workers", "1"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", [*words, "--root", str(root)])
        with pytest.raises(SystemExit) as end:
            cli.main()
    assert not end.value.code
    ensembles_of(store, EnsembleSpec(top=2))
    return store


def test_a_run_keeps_its_trials_validation_predictions_and_has_its_own_for_test(store: StudyStore) -> None:
    runs = all_runs(runs_by_part(store))
    (part,) = store.parts().values()
    confirms = [trial.confirms for trial in part.trials()]
    assert len(runs) == len(confirms) == 4
    assert {run.trained_on for run in runs} == {"train+val"}
    for run, trial in zip(sorted(runs, key=lambda one: one.members), confirms, strict=True):
        assert trial is not None
        assert run.val.digest == store.predictions(trial, Split.VAL).digest
        assert run.test.digest != store.predictions(trial, Split.TEST).digest
    assert len({run.test.digest for run in runs}) == 4


def test_all_rows_were_trained_on(store: StudyStore) -> None:
    (part,) = store.parts().values()
    # One epoch, in whole batches of 64.
    assert {trial.images for trial in part.trials()} == {part.fact("rows")["train"] + part.fact("rows")["val"]}


def test_members_take_the_votes_that_were_fitted_before(store: StudyStore) -> None:
    labels = store.labels(Split.VAL)
    (part,) = store.parts().values()
    trials = {trial.number: trial.confirms for trial in part.trials()}
    singles = {one.members[0]: one for one in store.single_models()}
    ensemble = next(one for one in store.ensembles() if one.name == "log linear pooling, confirm-train+val runs")
    before = combine("", "log_linear_pooling", [singles[n] for n in set(trials.values()) if n is not None], labels)
    votes = dict(zip(before.members, before.weights or (), strict=True))
    summed = dict.fromkeys(votes, 0.0)
    for member, weight in zip(ensemble.members, ensemble.weights or (), strict=True):
        number = trials[member]
        assert number is not None
        summed[number] += weight
    assert summed == pytest.approx(votes, abs=0.02)


def test_the_page_says_so(store: StudyStore) -> None:
    board = leaderboard_of(store)
    page = to_markdown(board)
    assert "*trained on train+val* have no validation rows left" in page
    assert {row.entrant.trained_on for row in board.rows if row.entrant.part} == {"train+val"}
    assert {row.entrant.trained_on for row in board.rows if not row.entrant.part} == {"train"}


def test_their_networks_are_asked_with_the_statistics_that_they_were_trained_with(store: StudyStore) -> None:
    data = load_study_data(store, "cpu", say=lambda _: None)
    run = all_runs(runs_by_part(store))[0]
    again = load_entrant(store, run, data.on_device).log_probs(data.images(Split.TEST).pixels)
    np.testing.assert_allclose(again, run.test.log_probs, atol=2e-4)


def test_nothing_is_told_of_how_members_differ_that_only_test_could_tell(store: StudyStore) -> None:
    board = leaderboard_of(store)
    retrained = next(row.entrant for row in board.rows if row.entrant.part and not row.entrant.is_single)
    runs = [one for one in all_runs(runs_by_part(store)) if one.members[0] in retrained.members]
    assert len(runs) > 1
    assert _members(retrained, runs, store.labels(Split.VAL)) is None


def test_beside_its_trial_the_run_on_all_rows_is_the_single_model_to_beat(store: StudyStore) -> None:
    board = leaderboard_of(store)
    assert board.best_single.entrant.trained_on == "train+val"
    assert find_entrant(store, "best").name == board.best_single.entrant.name
