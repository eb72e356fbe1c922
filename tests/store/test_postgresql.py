"""Many processes work on one PostgreSQL database, which may restart; nobody is shown its password."""

from __future__ import annotations

import threading
import time
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pytest
import test_queue
from optuna.storages import BaseStorage
from optuna.testing.pytest_storages import StorageTestCase
from postgres_server import PASSWORD, PostgresServer
from small_study import BOTH, FACTS, again, claimed, count, expire, predictions, prepare

from benchmark.errors import BenchError, MissingStudyError
from benchmark.records import Entrant, Split, TrialState
from benchmark.store import (
    Claim,
    NoTrial,
    StudyLocation,
    StudyStore,
    create_study,
    open_study,
    queue,
    retrying,
    storage_trouble,
    study_store,
    visible_url,
)
from benchmark.store.connection import connect
from benchmark.store.tables import LEASES, PREDICTIONS


@pytest.fixture
def location(postgres: PostgresServer, tmp_path: Path) -> StudyLocation:
    """A study's place in an empty PostgreSQL database."""
    return StudyLocation("mine", tmp_path, postgres.url())


@pytest.fixture
def store(location: StudyLocation) -> StudyStore:
    """A new study in a PostgreSQL database."""
    return create_study(location)


# Claims and leases as test_queue has them, here on PostgreSQL.
test_a_claimed_trial_is_prepared_before_others_look = test_queue.test_a_claimed_trial_is_prepared_before_others_look
test_a_lease_that_its_ended_trial_left_is_cleared = test_queue.test_a_lease_that_its_ended_trial_left_is_cleared
test_a_file_that_comes_too_late_is_not_noted = test_queue.test_a_file_that_comes_too_late_is_not_noted
test_a_process_that_dies_between_predictions_and_state_leaves_nothing = (
    test_queue.test_a_process_that_dies_between_predictions_and_state_leaves_nothing
)
test_a_process_that_vanishes_while_it_claims_loses_no_checkpoint = (
    test_queue.test_a_process_that_vanishes_while_it_claims_loses_no_checkpoint
)
test_a_renewed_lease_lasts = test_queue.test_a_renewed_lease_lasts
test_a_running_trial_without_a_lease_is_lost = test_queue.test_a_running_trial_without_a_lease_is_lost
test_a_value_is_reported_once = test_queue.test_a_value_is_reported_once
test_an_end_that_was_cut_off_can_be_tried_again = test_queue.test_an_end_that_was_cut_off_can_be_tried_again
test_an_expired_lease_frees_the_place_and_a_late_result_is_refused = (
    test_queue.test_an_expired_lease_frees_the_place_and_a_late_result_is_refused
)
test_an_interrupted_trial_is_continued_before_another_begins = (
    test_queue.test_an_interrupted_trial_is_continued_before_another_begins
)
test_nobody_renews_anothers_lease = test_queue.test_nobody_renews_anothers_lease
test_the_total_counts_running_pruned_and_complete_trials_and_no_failed_ones = (
    test_queue.test_the_total_counts_running_pruned_and_complete_trials_and_no_failed_ones
)


@pytest.mark.slow
class TestOptunasOwnContract(StorageTestCase):
    """Optuna's tests of a storage, on PostgreSQL."""

    @pytest.fixture
    def storage(self, location: StudyLocation) -> Iterator[BaseStorage]:
        storage = connect(location)
        yield storage
        storage.remove_session()


def test_what_was_stored_comes_back(store: StudyStore) -> None:
    labels = predictions(Split.VAL).log_probs.argmax(1)
    store.set_labels(Split.VAL, labels)
    store.add_to_fact("versions", "1.0")
    assert store.queue.complete(claimed(store), 0.75, BOTH, FACTS)
    (single,) = store.single_models()
    ensemble = Entrant("greedy", "ensemble", "mixed", (0,), (1.0,), *BOTH, single.cost)
    store.save_ensembles([ensemble])
    found = open_study(store.location)
    assert found.fact("versions") == ["1.0"]
    assert found.labels(Split.VAL).tolist() == labels.tolist()
    assert [found.predictions(0, item.split).digest for item in BOTH] == [item.digest for item in BOTH]
    (stored,) = found.ensembles()
    assert (stored.name, stored.members, stored.val.digest) == ("greedy", (0,), BOTH[0].digest)


def test_a_missing_study_names_the_command_that_makes_it(location: StudyLocation) -> None:
    with pytest.raises(MissingStudyError, match="run: bench search mine"):
        open_study(location)
    create_study(StudyLocation("other", location.root, location.storage))
    with pytest.raises(MissingStudyError, match="run: bench search mine"):
        open_study(location)


@pytest.mark.parametrize("hours", [1, -1])
def test_leases_go_by_the_clock_of_the_database(store: StudyStore, monkeypatch: pytest.MonkeyPatch, hours: int) -> None:
    running, real = claimed(store), time.time
    with monkeypatch.context() as patch:
        patch.setattr(time, "time", lambda: real() + 3600 * hours)
        elsewhere = claimed(again(store))
        assert store.queue.renew([running.number]) == set()
    last = claimed(again(store))
    assert [trial.number for trial in (running, elsewhere, last)] == [0, 1, 2]
    assert [trial.state for trial in store.trials()] == [TrialState.RUNNING] * 3


# Several processes ----------------------------------------------------------------------------------------------------


def together(jobs: int, job: Callable[..., Any], *given: Any, **options: Any) -> list[Future[Any]]:
    """The job in that many new processes, which begin at the same time; the job's last argument is its number."""
    context = get_context("spawn")
    barrier = context.Barrier(jobs)
    with ProcessPoolExecutor(jobs, context, _meet_at, (barrier,)) as pool:
        futures = [pool.submit(_begin, job, *given, number) for number in range(jobs)]
        if (meanwhile := options.get("meanwhile")) is not None:
            meanwhile()
    return futures


def _meet_at(barrier: Any) -> None:
    global _BARRIER
    _BARRIER = barrier


def _begin(job: Callable[..., Any], *given: Any) -> Any:
    _BARRIER.wait(600)
    return job(*given)


def _create(root: Path, url: str, number: int) -> None:
    create_study(StudyLocation("mine", root, url)).add_to_fact("seen", number)


def _create_two(root: Path, shared: str, each: str, number: int) -> None:
    _create(root, shared, number)
    _BARRIER.wait(600)
    create_study(StudyLocation(f"study{number}", root, each)).set_fact("seen", number)


@pytest.mark.slow
def test_eight_processes_may_make_the_study_or_one_each_in_an_empty_database(
    postgres: PostgresServer, tmp_path: Path
) -> None:
    shared, each = postgres.url(), postgres.url()
    for future in together(8, _create_two, tmp_path, shared, each):
        future.result()
    seen = open_study(StudyLocation("mine", tmp_path, shared)).fact("seen")
    assert sorted(seen) == list(range(8))
    for number in range(8):
        assert open_study(StudyLocation(f"study{number}", tmp_path, each)).fact("seen") == number


def _work(location: StudyLocation, total: int, lease_seconds: float, number: int) -> tuple[list[int], float]:
    """Run trials until `total` are complete: the numbers of those completed here, and the longest call."""
    queue.LEASE_SECONDS = lease_seconds
    store = open_study(location)
    _BARRIER.wait(600)
    completed, longest, deadline = [], 0.0, time.monotonic() + 200

    def timed(call: Callable[..., Any], *given: Any) -> Any:
        nonlocal longest
        began = time.monotonic()
        answer = call(*given)
        longest = max(longest, time.monotonic() - began)
        return answer

    while (claim := timed(store.queue.claim, total, prepare)) is not NoTrial.SPENT:
        assert time.monotonic() < deadline, "the trials do not come to an end"
        if not isinstance(claim, Claim):
            time.sleep(0.1)
            continue
        for step in (1, 2):
            timed(store.queue.report, claim.trial, step, 0.25 * step)
            timed(store.queue.should_prune, claim.trial)
        if timed(store.queue.complete, claim.trial, 0.5, of_trial(claim.trial.number), FACTS):
            completed.append(claim.trial.number)
    return completed, longest


def of_trial(number: int) -> tuple[Any, Any]:
    return predictions(Split.VAL, seed=number), predictions(Split.TEST, seed=1000 + number)


def check_exact(store: StudyStore, total: int, completed: list[int]) -> None:
    """So many are complete, each by one process and with its own predictions; nothing else is left."""
    trials = store.trials()
    complete = [trial.number for trial in trials if trial.state is TrialState.COMPLETE]
    assert len(complete) == total
    assert sorted(completed) == complete
    assert {trial.state for trial in trials} <= {TrialState.COMPLETE, TrialState.FAILED}
    for number in complete:
        for wanted in of_trial(number):
            assert store.predictions(number, wanted.split).digest == wanted.digest
        assert store.study.trials[number].intermediate_values == {1: 0.25, 2: 0.5}
    assert (count(store, PREDICTIONS), count(store, LEASES)) == (2 * total, 0)


@pytest.mark.slow
def test_four_processes_share_a_budget_exactly(store: StudyStore) -> None:
    results = [future.result() for future in together(4, _work, store.location, 40, 120.0)]
    check_exact(store, 40, [number for numbers, _ in results for number in numbers])
    assert len(store.trials()) == 40


# A server that goes away ----------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_server_that_crashes_and_comes_back_twice_costs_no_trial(store: StudyStore, postgres: PostgresServer) -> None:
    total, away = 120, (2.0, 3.0)

    def break_twice() -> None:
        for complete, seconds in zip((10, 25), away, strict=True):
            deadline = time.monotonic() + 180
            while sum(trial.state is TrialState.COMPLETE for trial in store.trials()) < complete:
                assert time.monotonic() < deadline, "the processes do not work"
                time.sleep(0.02)
            assert complete <= sum(trial.state is TrialState.COMPLETE for trial in store.trials()) < total
            postgres.restart(seconds)

    results = [future.result() for future in together(3, _work, store.location, total, 8.0, meanwhile=break_twice)]
    check_exact(store, total, [number for numbers, _ in results for number in numbers])
    waited = [longest for _, longest in results]
    assert max(waited) > min(away), "nobody noticed"
    assert max(waited) < retrying.PATIENCE_SECONDS


def test_opening_waits_for_a_server_that_is_just_starting(
    tmp_path: Path, postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = postgres.url()
    monkeypatch.setattr(retrying, "OPENING_SECONDS", 60.0)
    postgres.stop()
    starting = threading.Timer(1.0, postgres.start)
    starting.start()
    try:
        assert create_study(StudyLocation("mine", tmp_path, url)).trials() == []
    finally:
        starting.join()


def test_a_server_that_does_not_come_back_is_told_in_one_line(
    store: StudyStore, postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retrying, "PATIENCE_SECONDS", 1.0)
    trial = claimed(store)
    postgres.stop()
    calls: list[Callable[[], object]] = [
        lambda: store.queue.claim(9, prepare),
        lambda: store.queue.renew([0]),
        lambda: store.queue.report(trial, 1, 0.5),
        lambda: store.queue.complete(trial, 0.5, BOTH, FACTS),
        store.files.rows,
        store.trials,
    ]
    for call in calls:
        began = time.monotonic()
        with pytest.raises(Exception) as caught:  # noqa: PT011
            call()
        assert time.monotonic() - began < 10.0
        told = storage_trouble(caught.value)
        assert told is not None
        assert f"port {postgres.port} failed" in told
        assert len(told.splitlines()) == 1
        assert PASSWORD not in told + "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize("where", ["prepare", "tell"])
def test_a_crash_in_the_midst_of_a_call_is_survived(
    store: StudyStore, postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    crashes = []

    def crash_once() -> None:
        if not crashes:
            crashes.append(where)
            postgres.restart(0.3)

    def prepare_and_crash(claim: Claim) -> None:
        prepare(claim)
        if where == "prepare":
            crash_once()

    def tell_and_crash(*given: Any, **options: Any) -> None:
        type(store.study).tell(store.study, *given, **options)
        if where == "tell":
            crash_once()

    claim = store.queue.claim(9, prepare_and_crash)
    assert isinstance(claim, Claim)
    with monkeypatch.context() as patch:
        patch.setattr(store.study, "tell", tell_and_crash)
        assert store.queue.complete(claim.trial, 0.5, BOTH, FACTS) is True
    assert crashes == [where]
    assert store.trials()[claim.trial.number].state is TrialState.COMPLETE
    assert count(store, PREDICTIONS) == 2


def test_a_claim_that_lost_its_lock_in_a_crash_has_its_checkpoint_taken_once(
    store: StudyStore, postgres: PostgresServer
) -> None:
    test_queue.leave_checkpoint(store, claimed(store).number)
    expire(store)
    taken: list[Claim] = []

    def prepare_too_slowly(claim: Claim) -> None:
        prepare(claim)
        if not taken:
            postgres.restart()
            other = again(store).queue.claim(9, prepare)
            assert isinstance(other, Claim)
            taken.append(other)

    claim = store.queue.claim(9, prepare_too_slowly)
    assert isinstance(claim, Claim)
    # The attempt that was cut off is nobody's, and what it took goes on in the next.
    assert [trial.continues for trial in store.trials()] == [None, 0, None, 1]
    assert taken[0].checkpoint is None
    assert claim.checkpoint is not None
    assert list(store.files.checkpoints()) == [claim.trial.number]


@pytest.mark.parametrize("opening", [create_study, open_study])
def test_a_server_that_goes_away_while_a_study_is_opened_is_told_in_words(
    store: StudyStore,
    postgres: PostgresServer,
    monkeypatch: pytest.MonkeyPatch,
    opening: Callable[[StudyLocation], object],
) -> None:
    def connect_too_late(location: StudyLocation) -> Any:
        postgres.stop()
        return connect(location)

    monkeypatch.setattr(study_store, "connect", connect_too_late)
    with pytest.raises(BenchError, match="cannot open"):
        opening(store.location)


@pytest.mark.parametrize("opening", [create_study, open_study])
def test_a_study_is_opened_while_the_server_restarts(
    store: StudyStore,
    postgres: PostgresServer,
    opening: Callable[[StudyLocation], StudyStore],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(retrying, "OPENING_SECONDS", 60.0)
    postgres.stop()
    back = threading.Timer(1.0, postgres.start)
    back.start()
    try:
        assert opening(store.location).trials() == store.trials()
    finally:
        back.join()


# The password ---------------------------------------------------------------------------------------------------------


def test_what_prints_a_store_prints_no_password(store: StudyStore) -> None:
    assert "bench:***@127.0.0.1" in str(store)
    for shown in (str(store), repr(store), repr(store.location), str(store.location), repr(store._db)):
        assert PASSWORD not in shown


def test_a_password_among_the_options_is_hidden_and_works(location: StudyLocation) -> None:
    url = str(location.storage).replace(f":{PASSWORD}@", "@") + f"?password={PASSWORD}"
    assert PASSWORD not in visible_url(url)
    store = create_study(StudyLocation("mine", location.root, url))
    assert PASSWORD not in str(store) + repr(store.location)


@pytest.mark.parametrize("opening", [create_study, open_study])
@pytest.mark.parametrize("wrong", ["password", "host", "database"])
def test_a_database_that_cannot_be_opened_is_told_without_its_password(
    location: StudyLocation, wrong: str, opening: Callable[[StudyLocation], object], deaf_port: int
) -> None:
    url = str(location.storage)
    if wrong == "password":
        url = url.replace(PASSWORD, f"not-{PASSWORD}")
    elif wrong == "host":
        server = url.partition("@")[2].partition("/")[0]
        url = url.replace(server, f"127.0.0.1:{deaf_port}")
    else:
        url += "-missing"
    with pytest.raises(BenchError, match=r"cannot open postgresql\S*://bench:\*\*\*@127") as caught:
        opening(StudyLocation("mine", location.root, url))
    assert PASSWORD not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://bench:se@cret@host/db",
        "postgresql://bench:secret@host:port/db",
        "postgresql://bench@host/db?PASSWORD=secret",
    ],
)
def test_a_url_that_is_written_wrongly_shows_no_part_of_its_password(url: str, tmp_path: Path) -> None:
    with pytest.raises(BenchError) as caught:
        create_study(StudyLocation("mine", tmp_path, url))
    assert "cret" not in "".join(traceback.format_exception(caught.value)).replace("***", "")
