"""Claims are exact, leases are kept, and an interrupted trial goes on."""

from __future__ import annotations

import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import optuna
import pytest
import sqlalchemy
from small_study import BOTH, FACTS, again, claimed, count, expire, prepare

from benchmark.errors import BenchError
from benchmark.records import FileKind, PlannedRun, StoredFile, TrialState
from benchmark.store import Claim, NoTrial, StudyLocation, StudyStore, create_study, open_study
from benchmark.store.queue import LEASE_SECONDS
from benchmark.store.tables import FILES, LEASES, PREDICTIONS

# Claims ---------------------------------------------------------------------------------------------------------------


def _claim_many(root: str, total: int, results: Any) -> None:
    store = create_study(StudyLocation("mine", Path(root)))
    numbers = []
    while (claim := store.queue.claim(total, prepare)) is not NoTrial.SPENT:
        if claim is NoTrial.TAKEN:
            continue
        numbers.append(claim.trial.number)
        assert store.queue.complete(claim.trial, 0.5, BOTH, {})
    results.put(numbers)


def test_two_processes_share_a_budget_exactly(tmp_path: Path) -> None:
    context = get_context("spawn")
    results = context.Queue()
    processes = [context.Process(target=_claim_many, args=(str(tmp_path), 30, results)) for _ in range(2)]
    for process in processes:
        process.start()
    numbers = [results.get(timeout=240) for _ in processes]
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
    assert results.get(timeout=240) == "made"
    process.join()


def test_the_total_counts_running_pruned_and_complete_trials_and_no_failed_ones(store: StudyStore) -> None:
    trials = [claimed(store, total=4) for _ in range(4)]
    assert store.queue.claim(4, prepare) is NoTrial.TAKEN
    assert store.queue.prune(trials[0], {})
    assert store.queue.complete(trials[1], 0.5, BOTH, FACTS)
    assert store.queue.claim(4, prepare) is NoTrial.TAKEN
    assert store.queue.fail(trials[2], "out of memory", {})
    assert claimed(store, total=4).number == 4
    assert store.queue.claim(4, prepare) is NoTrial.TAKEN
    for trial in (3, 4):
        assert store.queue.complete(optuna.Trial(store.study, store.study.trials[trial]._trial_id), 0.5, BOTH, FACTS)
    assert store.queue.claim(4, prepare) is NoTrial.SPENT
    assert isinstance(store.queue.claim(5, prepare), Claim)


def test_a_claimed_trial_is_prepared_before_others_look(store: StudyStore) -> None:
    claimed(store)
    assert again(store).trials()[0].family in ("cnn", "resnet")


# Leases ---------------------------------------------------------------------------------------------------------------


def test_an_expired_lease_frees_the_place_and_a_late_result_is_refused(store: StudyStore) -> None:
    late = claimed(store, total=1)
    other = again(store)
    assert other.queue.claim(1, prepare) is NoTrial.TAKEN
    expire(store)
    assert claimed(other, total=1).number == 1
    first = store.trials()[0]
    assert (first.state, first.reason) == (TrialState.FAILED, "lost: worker vanished")
    assert store.queue.complete(late, 0.9, BOTH, FACTS) is False
    assert store.queue.prune(late, {}) is False
    assert store.queue.fail(late, "x", {}) is False
    assert count(store, PREDICTIONS) == 0
    assert store.trials()[0] == first
    # It is as good as interrupted: nothing says that its configuration is at fault.
    assert store.study.trials[0].user_attrs["interrupted"] is True


def test_a_lost_trial_has_taken_the_time_until_its_last_sign_of_life(
    store: StudyStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    claimed(store)
    began = store.study.trials[0].datetime_start
    assert began is not None
    with store._db.begin() as connection:
        renewed = sqlalchemy.update(LEASES).values(expires_at=began.timestamp() + 42 + LEASE_SECONDS)
        connection.execute(renewed)
    other = again(store)
    monkeypatch.setattr(type(other._db), "now", lambda _: time.time() + 86_400)
    claimed(other)
    assert store.trials()[0].state is TrialState.FAILED
    assert store.trials()[0].seconds == pytest.approx(42, abs=0.01)


def test_a_trial_that_was_lost_is_not_pruned_as_well(store: StudyStore, monkeypatch: pytest.MonkeyPatch) -> None:
    late = claimed(store)
    store.queue.report(late, 1, 0.5)
    expire(store)
    claimed(again(store))

    def note(_: object, study: optuna.Study, trial: optuna.trial.FrozenTrial) -> bool:
        study._storage.set_trial_system_attr(trial._trial_id, "rung", 0)
        return True

    monkeypatch.setattr(type(store.study.pruner), "prune", note)
    assert store.queue.should_prune(late) is False


def test_a_claim_that_was_cut_off_takes_no_place(store: StudyStore) -> None:
    """As where the connection breaks when all is done but the commit: the process lives, and claims again."""

    def cut_off(claim: Claim) -> None:
        raise ConnectionError

    theirs = claimed(again(store), total=3)
    mine = claimed(store, total=3)
    with pytest.raises(ConnectionError):
        store.queue.claim(3, cut_off)
    # Others cannot know.
    assert again(store).queue.claim(3, prepare) is NoTrial.TAKEN
    assert claimed(store, total=3).number == 3
    states = [trial.state for trial in store.trials()]
    assert states == [TrialState.RUNNING, TrialState.RUNNING, TrialState.FAILED, TrialState.RUNNING]
    beside = open_study(store.location)
    with beside.exclusive():
        beside.queue.fail_lost()
    assert [trial.state for trial in store.trials()] == states, "another queue, though of the same process"
    assert store.queue.renew([theirs.number, mine.number, 3]) == {theirs.number}


def test_an_expired_lease_that_nobody_took_is_still_good(store: StudyStore) -> None:
    trial = claimed(store)
    expire(store)
    assert store.queue.complete(trial, 0.9, BOTH, FACTS) is True


def test_a_renewed_lease_lasts(store: StudyStore) -> None:
    trials = [claimed(store), claimed(store)]
    expire(store)
    store.queue.renew([trials[1].number])
    claimed(again(store))
    states = [trial.state for trial in store.trials()]
    assert states == [TrialState.FAILED, TrialState.RUNNING, TrialState.RUNNING]


def test_nobody_renews_anothers_lease(store: StudyStore) -> None:
    trial = claimed(store)
    expire(store)
    again(store).queue.renew([trial.number])
    claimed(again(store))
    assert store.trials()[0].state is TrialState.FAILED


def test_a_vanished_process_is_noticed_at_once(store: StudyStore) -> None:
    ask = "from benchmark.store.owner import this_process; print(this_process())"
    other = again(store)
    other.queue.owner = subprocess.run([sys.executable, "-c", ask], capture_output=True, text=True).stdout.strip()
    claimed(other)
    alive = claimed(store)
    assert [trial.state for trial in store.trials()] == [TrialState.FAILED, TrialState.RUNNING]
    claimed(store)
    assert store.trials()[alive.number].state is TrialState.RUNNING


def test_who_only_reads_knows_that_a_trial_is_lost(store: StudyStore) -> None:
    lost, alive = claimed(again(store)), claimed(store)
    expire(store)
    beside = open_study(store.location)
    read = beside.trials_to_show()
    # Its own trial a process knows to be running, however late it is with renewing.
    assert [trial.state for trial in store.trials_to_show()] == [TrialState.FAILED, TrialState.RUNNING]
    assert [trial.state for trial in read] == [TrialState.FAILED, TrialState.FAILED]
    assert beside.trial(lost.number).record == read[0]
    assert [trial.state for trial in store.trials()] == [TrialState.RUNNING] * 2, "reading changes nothing"
    claimed(store)
    # As it is noted now.
    assert store.trials()[lost.number] == read[0]
    assert (read[0].reason, read[0].interrupted, read[0].seconds) == ("lost: worker vanished", True, 0.0)
    assert store.queue.complete(alive, 0.5, BOTH, FACTS) is False


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
            store.queue.complete(trial, 0.9, BOTH, FACTS)
    assert store.trials()[0].state is TrialState.RUNNING
    assert count(store, PREDICTIONS) == 2
    # It still holds its lease: what broke once may be tried again.
    expire(store)
    claimed(again(store))
    assert store.trials()[0].state is TrialState.FAILED
    assert count(store, PREDICTIONS) == 0


@pytest.mark.parametrize("cut", ["tell", "lease"])
def test_an_end_that_was_cut_off_can_be_tried_again(
    store: StudyStore, monkeypatch: pytest.MonkeyPatch, cut: str
) -> None:
    trial = claimed(store)

    def told_and_cut(*given: Any, **options: Any) -> None:
        if cut == "lease":
            type(store.study).tell(store.study, *given, **options)
        raise RuntimeError("connection lost")

    with monkeypatch.context() as patch:
        patch.setattr(store.study, "tell", told_and_cut)
        with pytest.raises(RuntimeError):
            store.queue.complete(trial, 0.9, BOTH, FACTS)
    assert store.queue.complete(trial, 0.9, BOTH, FACTS) is True
    assert store.queue.complete(trial, 0.9, BOTH, FACTS) is True, "it is this process's end of the trial"
    assert (count(store, PREDICTIONS), count(store, LEASES)) == (2, 0)


def test_a_lease_that_its_ended_trial_left_is_cleared(store: StudyStore, monkeypatch: pytest.MonkeyPatch) -> None:
    trial = claimed(store)
    store.study.tell(trial, 0.5)
    assert count(store, LEASES) == 1
    assert store.queue.claim(1, prepare) is NoTrial.SPENT
    assert count(store, LEASES) == 0


def test_a_value_is_reported_once(store: StudyStore) -> None:
    trial = claimed(store)
    assert store.queue.report(trial, 1, 0.25)
    assert store.queue.report(trial, 1, 0.75), "a trial that begins again reports the same steps"
    assert store.study.trials[0].intermediate_values == {1: 0.25}
    expire(store)
    claimed(again(store))
    assert store.queue.report(trial, 2, 0.5) is False


def test_renewing_tells_what_was_lost(store: StudyStore) -> None:
    trials = [claimed(store), claimed(store)]
    expire(store)
    store.queue.renew([trials[1].number])
    claimed(again(store))
    assert store.queue.renew(trial.number for trial in trials) == {0}


# Going on after an interruption ---------------------------------------------------------------------------------------

CURVE = [{"step": 1, "val_accuracy": 0.25}, {"step": 2, "val_accuracy": 0.5}]


def leave_checkpoint(store: StudyStore, number: int, step: int = 2) -> StoredFile:
    file = StoredFile(f"{number}.{step % 2}.checkpoint", "abc", 12)
    store.files.announce(number, FileKind.CHECKPOINT, [file.name], "here")
    record = {"step": step, "seed": 7, "images": 400, "curve": CURVE[:step]}
    assert store.files.set_whole(number, file, store.queue.owner, record)
    return file


@pytest.mark.parametrize("how", ["interrupted", "lost"])
def test_an_interrupted_trial_is_continued_before_another_begins(store: StudyStore, how: str) -> None:
    trial = claimed(store)
    leave_checkpoint(store, trial.number, step=1)
    file = leave_checkpoint(store, trial.number, step=2)
    if how == "interrupted":
        store.queue.interrupt(trial, "Ctrl-C", FACTS)
    else:
        expire(store)
    claim = again(store).queue.claim(9, prepare)
    assert isinstance(claim, Claim)
    assert claim.trial.params == trial.params
    assert claim.trial.user_attrs["continues"] == 0
    assert claim.checkpoint is not None
    assert (claim.checkpoint.file, claim.checkpoint.step, claim.checkpoint.record["seed"]) == (file, 2, 7)
    assert claim.checkpoint.values == [(1, 0.25), (2, 0.5)]
    records = store.trials()
    assert [record.state for record in records] == [TrialState.FAILED, TrialState.RUNNING]
    assert (records[0].interrupted, records[1].continues) == (True, 0)
    # Nobody continues it twice, and the next interruption begins at its own number.
    fresh = store.queue.claim(9, prepare)
    assert isinstance(fresh, Claim)
    assert fresh.checkpoint is None
    store.queue.fail(fresh.trial, "of itself", {})
    expire(store)
    later = store.queue.claim(9, prepare)
    assert isinstance(later, Claim)
    assert later.trial.user_attrs["continues"] == 1
    assert later.checkpoint is not None


@pytest.mark.parametrize("end", ["complete", "pruned", "failed of itself", "without a checkpoint"])
def test_nothing_else_is_continued(store: StudyStore, end: str) -> None:
    trial = claimed(store)
    if end != "without a checkpoint":
        leave_checkpoint(store, trial.number)
    if end == "complete":
        store.queue.complete(trial, 0.5, BOTH, FACTS)
    elif end == "pruned":
        store.queue.prune(trial, FACTS)
    elif end == "failed of itself":
        store.queue.fail(trial, "diverged", FACTS)
    else:
        store.queue.interrupt(trial, "Ctrl-C", FACTS)
    claim = store.queue.claim(9, prepare)
    assert isinstance(claim, Claim)
    assert claim.checkpoint is None
    assert "continues" not in claim.trial.user_attrs


@pytest.mark.parametrize("late", ["lost", "continued", "let go", "another's"])
def test_a_file_that_comes_too_late_is_not_noted(store: StudyStore, late: str) -> None:
    trial, other = claimed(store), again(store)
    first = leave_checkpoint(store, trial.number, step=1)
    second = StoredFile("0.0.checkpoint", "def", 12)
    store.files.announce(trial.number, FileKind.CHECKPOINT, [second.name], "here")
    if late == "let go":
        store.files.remove([second.name])
    elif late != "another's":
        expire(store)
        taken = other.queue.claim(9, prepare)
        assert isinstance(taken, Claim)
        assert taken.checkpoint is not None
        if late == "continued":
            # By the very process that lost it, when it went on: the row is its again, and the trial is not.
            other.queue.owner, second = store.queue.owner, replace(second, name=first.name)
            with store._db.begin() as connection:
                connection.execute(sqlalchemy.update(LEASES).values(owner=store.queue.owner))
    owner = other.queue.owner if late == "another's" else store.queue.owner
    before = store.files.rows()
    assert store.files.set_whole(trial.number, second, owner, {"step": 2, "curve": CURVE}) is False
    assert store.files.rows() == before
    expire(store)
    expected = "abc" if late in ("let go", "another's") else None
    left = store.files.checkpoints().get(trial.number)
    assert (None if left is None else left.file.digest) == expected


@pytest.mark.parametrize("end", ["runs", "complete", "pruned", "failed"])
def test_a_trial_that_another_went_on_with_is_not_continued_again(store: StudyStore, end: str) -> None:
    trial = claimed(store)
    file = leave_checkpoint(store, trial.number)
    store.queue.interrupt(trial, "Ctrl-C", FACTS)
    went_on = store.queue.claim(9, prepare)
    assert isinstance(went_on, Claim)
    with store._db.begin() as connection:
        # As if it had been cut off before it took the checkpoint.
        connection.execute(sqlalchemy.update(FILES).where(FILES.c.name == file.name).values(trial=trial.number))
    if end == "complete":
        store.queue.complete(went_on.trial, 0.5, BOTH, FACTS)
    elif end == "pruned":
        store.queue.prune(went_on.trial, FACTS)
    elif end == "failed":
        store.queue.fail(went_on.trial, "of itself", FACTS)
    claim = store.queue.claim(9, prepare)
    assert isinstance(claim, Claim)
    assert claim.trial.user_attrs.get("continues") == (0 if end == "failed" else None)


def test_a_process_that_vanishes_while_it_claims_loses_no_checkpoint(store: StudyStore) -> None:
    trial = claimed(store)
    leave_checkpoint(store, trial.number)
    store.queue.interrupt(trial, "Ctrl-C", FACTS)

    def vanish(_: Claim) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        store.queue.claim(9, vanish)
    expire(store)
    claim = store.queue.claim(9, prepare)
    assert isinstance(claim, Claim)
    assert claim.checkpoint is not None
    assert claim.trial.params == trial.params


def test_a_trial_that_breaks_every_machine_is_not_continued_for_ever(store: StudyStore) -> None:
    claimed(store)
    leave_checkpoint(store, 0)
    for _ in range(5):
        expire(store)
        claim = store.queue.claim(99, prepare)
        assert isinstance(claim, Claim)
        assert claim.checkpoint is not None
    expire(store)
    claim = store.queue.claim(99, prepare)
    assert isinstance(claim, Claim)
    assert claim.checkpoint is None
    assert count(store, FILES) == 1


def test_a_run_that_another_process_planned_is_not_continued(store: StudyStore) -> None:
    mine, others = (PlannedRun(trial, 0, 7, {"family": "cnn"}) for trial in (1, 2))
    left = store.queue.claim(9, prepare, [others])
    assert isinstance(left, Claim)
    leave_checkpoint(store, left.trial.number)
    store.queue.interrupt(left.trial, "Ctrl-C", FACTS)
    claim = store.queue.claim(9, prepare, [mine])
    assert isinstance(claim, Claim)
    assert claim.planned == mine
    assert claim.checkpoint is None
    went_on = store.queue.claim(9, prepare, [mine, others])
    assert isinstance(went_on, Claim)
    assert went_on.planned == others
    assert went_on.trial.user_attrs["continues"] == left.trial.number
