"""Claims are exact, leases are kept, and what is stored comes back as it was or not at all."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import suppress
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
import sqlalchemy

from benchmark.errors import BenchError
from benchmark.records import Cost, Entrant, Predictions, Split, TrialState
from benchmark.store import StudyLocation, StudyStore, create_study, open_study, study_store
from benchmark.store.tables import ENTRANTS, LEASES, PREDICTIONS

COST = Cost(10, 20, 1.5, 0.25)
FACTS = {"cost": COST, "device": "abacus", "default": True}


@pytest.fixture
def store(tmp_path: Path) -> StudyStore:
    return create_study(StudyLocation("mine", tmp_path))


def again(store: StudyStore) -> StudyStore:
    """The same study as another process sees it."""
    other = open_study(store.location)
    other._owner = f"elsewhere:{os.getpid()}"
    return other


def prepare(trial: optuna.Trial) -> None:
    trial.suggest_categorical("family", ("cnn", "resnet"))


def claimed(store: StudyStore, total: int = 99) -> optuna.Trial:
    trial = store.claim(total, prepare)
    assert trial is not None
    return trial


def predictions(split: Split, seed: int = 0, rows: int = 7) -> Predictions:
    probs = np.random.default_rng(seed).dirichlet(np.ones(3), rows)
    return Predictions(split, np.log(probs).astype(np.float32))


BOTH = (predictions(Split.VAL), predictions(Split.TEST, seed=1))


def count(store: StudyStore, table: sqlalchemy.Table) -> int:
    with store._engine.begin() as connection:
        return len(connection.execute(sqlalchemy.select(table)).all())


def expire(store: StudyStore) -> None:
    with store._engine.begin() as connection:
        connection.execute(sqlalchemy.update(LEASES).values(expires_at=0.0))


# Claims ---------------------------------------------------------------------------------------------------------------


def _claim_many(root: str, total: int, results: Any) -> None:
    store = create_study(StudyLocation("mine", Path(root)))
    numbers = []
    while (trial := store.claim(total, prepare)) is not None:
        numbers.append(trial.number)
        assert store.complete(trial, 0.5, BOTH, {})
    results.put(numbers)


def test_two_processes_share_a_budget_exactly(tmp_path: Path) -> None:
    context = get_context("spawn")
    results = context.Queue()
    processes = [context.Process(target=_claim_many, args=(str(tmp_path), 30, results)) for _ in range(2)]
    for process in processes:
        process.start()
    numbers = [results.get(timeout=60) for _ in processes]
    for process in processes:
        process.join()
    assert sorted(numbers[0] + numbers[1]) == list(range(30))
    store = open_study(StudyLocation("mine", tmp_path))
    assert [trial.state for trial in store.trials()] == [TrialState.COMPLETE] * 30
    assert count(store, PREDICTIONS) == 60
    assert count(store, LEASES) == 0


def _create_many(root: str, results: Any) -> None:
    for number in range(8):
        create_study(StudyLocation(f"study{number}", Path(root)))
    results.put("made")


def test_a_reader_may_come_while_the_tables_are_made(tmp_path: Path) -> None:
    context = get_context("spawn")
    results = context.Queue()
    process = context.Process(target=_create_many, args=(str(tmp_path), results))
    process.start()
    for number in range(8):
        while process.is_alive():
            with suppress(BenchError):  # It has no trials yet.
                open_study(StudyLocation(f"study{number}", tmp_path))
                break
    assert results.get(timeout=60) == "made"
    process.join()


def test_the_total_counts_running_pruned_and_complete_trials_and_no_failed_ones(store: StudyStore) -> None:
    trials = [claimed(store, total=4) for _ in range(4)]
    assert store.claim(4, prepare) is None
    assert store.prune(trials[0], {})
    assert store.complete(trials[1], 0.5, BOTH, FACTS)
    assert store.claim(4, prepare) is None
    assert store.fail(trials[2], "out of memory", {})
    assert claimed(store, total=4).number == 4
    assert store.claim(4, prepare) is None
    assert store.claim(5, prepare) is not None


def test_a_claimed_trial_is_prepared_before_others_look(store: StudyStore) -> None:
    claimed(store)
    assert again(store).trials()[0].family in ("cnn", "resnet")


# Leases ---------------------------------------------------------------------------------------------------------------


def test_an_expired_lease_frees_the_place_and_a_late_result_is_refused(store: StudyStore) -> None:
    late = claimed(store, total=1)
    other = again(store)
    assert other.claim(1, prepare) is None
    expire(store)
    assert claimed(other, total=1).number == 1
    first = store.trials()[0]
    assert (first.state, first.reason) == (TrialState.FAILED, "lost: its worker vanished")
    assert store.complete(late, 0.9, BOTH, FACTS) is False
    assert store.prune(late, {}) is False
    assert store.fail(late, "x", {}) is False
    assert count(store, PREDICTIONS) == 0
    assert store.trials()[0] == first
    # It is as good as interrupted: nothing says that its configuration is at fault.
    assert store.study.trials[0].user_attrs["interrupted"] is True


def test_an_expired_lease_that_nobody_took_is_still_good(store: StudyStore) -> None:
    trial = claimed(store)
    expire(store)
    assert store.complete(trial, 0.9, BOTH, FACTS) is True


def test_a_renewed_lease_lasts(store: StudyStore) -> None:
    trials = [claimed(store), claimed(store)]
    expire(store)
    store.renew([trials[1].number])
    claimed(again(store))
    states = [trial.state for trial in store.trials()]
    assert states == [TrialState.FAILED, TrialState.RUNNING, TrialState.RUNNING]


def test_nobody_renews_anothers_lease(store: StudyStore) -> None:
    trial = claimed(store)
    expire(store)
    again(store).renew([trial.number])
    claimed(again(store))
    assert store.trials()[0].state is TrialState.FAILED


def test_a_vanished_process_is_noticed_at_once(store: StudyStore) -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    here = study_store.socket.gethostname()
    other = again(store)
    other._owner = f"{here}:{gone.pid}"
    claimed(other)
    alive = claimed(store)
    assert [trial.state for trial in store.trials()] == [TrialState.FAILED, TrialState.RUNNING]
    claimed(store)
    assert store.trials()[alive.number].state is TrialState.RUNNING


def test_a_running_trial_without_a_lease_is_lost(store: StudyStore) -> None:
    store.study.ask()
    claimed(store)
    assert store.trials()[0].state is TrialState.FAILED


def test_a_process_that_dies_between_predictions_and_state_leaves_nothing(
    store: StudyStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    trial = claimed(store)

    def die(*_: Any, **__: Any) -> None:
        raise RuntimeError("power cut")

    with monkeypatch.context() as patch:
        patch.setattr(store.study, "tell", die)
        with pytest.raises(RuntimeError):
            store.complete(trial, 0.9, BOTH, FACTS)
    assert store.trials()[0].state is TrialState.RUNNING
    claimed(store)
    assert store.trials()[0].state is TrialState.FAILED
    assert count(store, PREDICTIONS) == 0


# What comes back ------------------------------------------------------------------------------------------------------


def test_a_complete_trial_comes_back(store: StudyStore) -> None:
    assert store.complete(claimed(store), 0.75, BOTH, FACTS)
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
    store.fail(claimed(store), "out of memory: 3 GB", {"device": "abacus"})
    record = store.trials()[0]
    assert (record.state, record.reason, record.val_accuracy) == (TrialState.FAILED, "out of memory: 3 GB", None)
    assert store.single_models() == []


def test_a_pruned_trial_has_no_score(store: StudyStore) -> None:
    trial = claimed(store)
    trial.report(0.4, 1)
    store.prune(trial, {"device": "abacus"})
    record = store.trials()[0]
    assert (record.state, record.val_accuracy, record.reason) == (TrialState.PRUNED, None, None)


def test_missing_predictions_are_an_error(store: StudyStore) -> None:
    with pytest.raises(BenchError, match="trial 7 of study 'mine' has no val predictions"):
        store.predictions(7, Split.VAL)


@pytest.mark.parametrize("damage", ["other", "nonsense", "short"])
def test_altered_predictions_are_an_error(store: StudyStore, damage: str) -> None:
    store.complete(claimed(store), 0.75, BOTH, FACTS)
    whole = BOTH[0].log_probs.tobytes()
    altered = {
        # Another model's probabilities, as well-formed as ours.
        "other": predictions(Split.VAL, seed=9).log_probs.tobytes(),
        "nonsense": bytes([255]) * len(whole),
        "short": whole[:-3],
    }[damage]
    with store._engine.begin() as connection:
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
    assert one.complete(claimed(one, total=1), 0.5, BOTH, FACTS)
    one.set_labels(Split.VAL, np.array([1]))
    assert two.trials() == []
    assert claimed(two, total=1).number == 0
    with pytest.raises(BenchError):
        two.labels(Split.VAL)
    with pytest.raises(BenchError):
        two.predictions(0, Split.VAL)


def test_the_store_names_itself_without_a_password(tmp_path: Path, store: StudyStore) -> None:
    assert str(store) == f"sqlite:///{tmp_path}/studies/mine.db"
