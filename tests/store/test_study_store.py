"""What is stored comes back as it was, or not at all."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
import sqlalchemy
from small_study import BOTH, COST, FACTS, claimed, count, predictions

from benchmark.errors import BenchError
from benchmark.records import Entrant, ProgressRecord, Split, TrialDetails, TrialState
from benchmark.store import StudyLocation, StudyStore, create_study, open_study
from benchmark.store.tables import ENTRANTS, PREDICTIONS

# What comes back ------------------------------------------------------------------------------------------------------


def test_a_complete_trial_comes_back(store: StudyStore) -> None:
    assert store.queue.complete(claimed(store), 0.75, BOTH, FACTS)
    record = open_study(store.location).trials()[0]
    assert (record.number, record.state, record.val_accuracy) == (0, TrialState.COMPLETE, 0.75)
    assert (record.cost, record.device, record.is_default, record.reason) == (COST, "abacus", True, None)
    assert record.parameters == {"family": record.family}
    for item in BOTH:
        found = store.predictions(0, item.split)
        assert found.split is item.split
        np.testing.assert_array_equal(found.log_probs, item.log_probs)
    (entrant,) = store.single_models()
    assert (entrant.kind, entrant.members, entrant.cost) == ("default", (0,), COST)


def test_a_failed_trial_comes_back_with_its_reason_and_no_score(store: StudyStore) -> None:
    store.queue.fail(claimed(store), "out of memory: 3 GB", {"device": "abacus"})
    record = store.trials()[0]
    assert (record.state, record.reason, record.val_accuracy) == (TrialState.FAILED, "out of memory: 3 GB", None)
    assert store.single_models() == []


def test_a_pruned_trial_has_no_score(store: StudyStore) -> None:
    trial = claimed(store)
    trial.report(0.4, 1)
    store.queue.prune(trial, {"device": "abacus"})
    record = store.trials()[0]
    assert (record.state, record.val_accuracy, record.reason) == (TrialState.PRUNED, None, None)


def test_a_trial_comes_back_with_its_start_and_its_reports(store: StudyStore) -> None:
    before = datetime.now()
    trial = claimed(store)
    assert store.trials()[0].reports == ()
    # In the order of steps, whatever the order of the rows.
    for step, accuracy in ((2, 0.5), (1, 0.25)):
        assert store.queue.report(trial, step, accuracy)
    record = store.trials()[0]
    assert record.reports == ((1, 0.25), (2, 0.5))
    assert record.started is not None
    assert before <= record.started <= datetime.now()


REPORTS = (
    ProgressRecord(1, 640, 2.0, 1.9, 0.25, 0.1, 1.0, 0.5, 640.0),
    ProgressRecord(2, 1280, 1.5, 1.6, 0.5, 0.2, 2.0, 1.0, 640.0),
)


def test_a_trial_comes_back_with_its_whole_curve(store: StudyStore) -> None:
    told = {"curve": REPORTS, "best_step": 1, "seed": 7, "accumulation": 2}
    assert store.queue.complete(claimed(store), 0.75, BOTH, FACTS | told)
    found = open_study(store.location).trial(0)
    assert found == TrialDetails(store.trials()[0], REPORTS, best_step=1, seed=7, accumulation=2)
    assert found.images_seen == 1280
    assert found.record.train_seconds == 2.0


def test_every_trial_says_how_much_memory_it_took_as_far_as_is_known(store: StudyStore) -> None:
    reports = [replace(report, peak_memory_bytes=1000 * report.step) for report in REPORTS]
    cost = replace(COST, peak_memory_bytes=3000)
    assert store.queue.complete(claimed(store), 0.75, BOTH, FACTS | {"curve": reports, "cost": cost})
    assert store.queue.prune(claimed(store), {"curve": reports})
    store.queue.fail(claimed(store), "killed", {"curve": reports[:1]})
    store.queue.fail(claimed(store), "diverged", {"curve": reports[:1], "peak_memory_bytes": 5000})
    store.queue.fail(claimed(store), "no such family", {})
    assert [trial.peak_memory_bytes for trial in store.trials()] == [3000, 2000, 1000, 5000, None]
    assert store.trial(1).curve == tuple(reports)


def test_a_failed_trial_comes_back_with_its_traceback_and_the_curve_so_far(store: StudyStore) -> None:
    spent = {"train_seconds": 7.0, "evaluation_seconds": 0.5}
    store.queue.fail(claimed(store), "diverged", {"curve": REPORTS[:1], "traceback": "Traceback: here", **spent})
    found = store.trial(0)
    assert (found.curve, found.traceback, found.best_step) == (REPORTS[:1], "Traceback: here", None)
    assert (found.record.train_seconds, found.record.evaluation_seconds) == (7.0, 0.5)


def test_a_running_trial_has_no_curve_yet(store: StudyStore) -> None:
    store.queue.report(claimed(store), 1, 0.25)
    assert store.trial(0) == TrialDetails(store.trials()[0])
    assert store.trial(0).images_seen == 0


def test_curves_of_all_trials_are_in_the_order_of_their_numbers(store: StudyStore) -> None:
    assert store.curves() == []
    store.queue.fail(claimed(store), "diverged", {"curve": REPORTS[:1]})
    running = claimed(store)
    assert store.queue.complete(claimed(store), 0.75, BOTH, FACTS | {"curve": REPORTS})
    assert running.number == 1
    assert store.curves() == [REPORTS[:1], (), REPORTS] == [store.trial(number).curve for number in range(3)]


@pytest.mark.parametrize("number", [-1, 2, 99])
def test_a_number_that_no_trial_has_is_an_error(store: StudyStore, number: int) -> None:
    with pytest.raises(BenchError, match=f"no trial {number}: study 'mine' has no trial yet"):
        store.trial(number)
    claimed(store)
    claimed(store)
    with pytest.raises(BenchError, match=f"no trial {number}: study 'mine' has trials 0 to 1"):
        store.trial(number)


def test_missing_predictions_are_an_error(store: StudyStore) -> None:
    with pytest.raises(BenchError, match="trial 7 of study 'mine' has no val predictions"):
        store.predictions(7, Split.VAL)


@pytest.mark.parametrize("damage", ["other", "nonsense", "short"])
def test_altered_predictions_are_an_error(store: StudyStore, damage: str) -> None:
    store.queue.complete(claimed(store), 0.75, BOTH, FACTS)
    whole = BOTH[0].log_probs.tobytes()
    altered = {
        # Another model's probabilities, as well-formed as ours.
        "other": predictions(Split.VAL, seed=9).log_probs.tobytes(),
        "nonsense": bytes([255]) * len(whole),
        "short": whole[:-3],
    }[damage]
    with store._db.begin() as connection:
        connection.execute(sqlalchemy.update(PREDICTIONS).where(PREDICTIONS.c.split == "val").values(log_probs=altered))
    with pytest.raises(BenchError, match="do not match their digest"):
        store.predictions(0, Split.VAL)
    assert store.predictions(0, Split.TEST).digest == BOTH[1].digest


def test_labels_are_stored_once(store: StudyStore) -> None:
    with pytest.raises(BenchError, match="holds no val labels"):
        store.labels(Split.VAL)
    store.set_labels(Split.VAL, np.array([2, 0, 1]))
    store.set_labels(Split.VAL, np.array([0, 0, 0]))
    assert store.labels(Split.VAL).tolist() == [2, 0, 1]
    assert store.labels(Split.VAL).dtype == np.int64


def test_facts(store: StudyStore) -> None:
    assert store.fact("seed") is None
    store.set_fact("seed", {"a": [1, 2]})
    assert open_study(store.location).fact("seed") == {"a": [1, 2]}


def test_ensembles_are_replaced_by_name(store: StudyStore) -> None:
    voting = Entrant("soft voting", "ensemble", "several", (0, 1), (0.5, 0.5), *BOTH, COST)
    stacking = replace(voting, name="stacking", weights=None)
    store.save_ensembles([voting, stacking])
    store.save_ensembles([replace(voting, members=(2, 3, 4), weights=(0.2, 0.3, 0.5), val=predictions(Split.VAL, 5))])
    store.save_ensembles([])
    found = store.ensembles()
    assert [entrant.name for entrant in found] == ["soft voting", "stacking"]
    assert (found[0].members, found[0].weights, found[0].cost) == ((2, 3, 4), (0.2, 0.3, 0.5), COST)
    assert found[0].val.digest == predictions(Split.VAL, 5).digest
    assert found[1].weights is None
    assert count(store, ENTRANTS) == 2


def test_studies_share_a_database_without_seeing_each_other(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'shared.db'}"
    one, two = (create_study(StudyLocation(name, tmp_path, url)) for name in ("one", "two"))
    assert one.queue.complete(claimed(one, total=1), 0.5, BOTH, FACTS)
    one.set_labels(Split.VAL, np.array([1]))
    assert two.trials() == []
    assert claimed(two, total=1).number == 0
    with pytest.raises(BenchError):
        two.labels(Split.VAL)
    with pytest.raises(BenchError):
        two.predictions(0, Split.VAL)


def test_the_store_names_itself_without_a_password(tmp_path: Path, store: StudyStore) -> None:
    assert str(store) == f"sqlite:///{tmp_path}/studies/mine.db"


@pytest.mark.parametrize("name", ["what?", "my%20data", "a#b", "ä b"])
def test_a_folder_may_have_any_name(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for root in (tmp_path / name, Path(name)):
        location = StudyLocation("tiny", root)
        create_study(location)
        assert location.database is not None
        assert location.database.exists()
        assert str(open_study(location)) == f"sqlite:///{root}/studies/tiny.db"
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_a_place_is_the_same_for_a_process_in_another_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    plain = StudyLocation("tiny", Path("here")).absolute
    assert (plain.root, plain.storage) == (tmp_path / "here", None)
    named = StudyLocation("tiny", Path(), "sqlite:///here.db").absolute
    assert (named.root, named.database) == (tmp_path, tmp_path / "here.db")
    elsewhere = StudyLocation("tiny", Path(), "postgresql://host/db")
    assert elsewhere.absolute == replace(elsewhere, root=tmp_path)
