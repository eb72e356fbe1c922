"""What a search does about trials that need too much, hang, leak, or are interrupted; with scripted children."""

from __future__ import annotations

import errno
import os
import signal
import threading
import time
from dataclasses import replace
from multiprocessing.connection import Connection
from typing import Any

import optuna
import pytest
import sqlalchemy
from scripted_search import (
    Observer,
    Script,
    ScriptedProcess,
    fail,
    finished,
    progress,
    searching,
    states,
    succeed,
    weights_of,
)

from benchmark.artifacts import Artifacts
from benchmark.errors import BenchError
from benchmark.records import FileKind, PlannedRun, RunPlan, TrialState
from benchmark.sampling import FamilyView
from benchmark.search import SearchLimits, slots, supervisor
from benchmark.space import Space
from benchmark.store import Claim, NoTrial, StudyStore, open_study, retrying
from benchmark.store.tables import LEASES
from benchmark.workers import Failed, FailureKind, Job, Noted, Planned, Saved


def seen(jobs: list[Job], then: Script = succeed) -> Script:
    """A script that notes its job first."""

    def script(connection: Connection, job: Job, artifacts: Artifacts) -> None:
        jobs.append(job)
        then(connection, job, artifacts)

    return script


# Memory ---------------------------------------------------------------------------------------------------------------


def out_of_memory(connection: Connection, job: Job, artifacts: Artifacts) -> None:
    connection.send(Planned(400))
    connection.send(progress(1, 0.25))
    connection.recv()
    connection.send(Failed("out of memory: 9 GB", "Traceback", FailureKind.OUT_OF_MEMORY, spoilt=True))


def test_a_trial_out_of_memory_begins_again_in_parts_in_a_fresh_child(store: StudyStore, scripts: list[Script]) -> None:
    jobs: list[Job] = []
    scripts += [seen(jobs, out_of_memory), seen(jobs, out_of_memory), seen(jobs)]
    observer = Observer()
    search = searching(store, observer)
    assert search.run(SearchLimits(1)) == "spent"
    assert [job.config.accumulation for job in jobs] == [1, 2, 4]
    assert {job.config.batch_size for job in jobs} == {128}, "the batch itself stays"
    assert [job.images for job in jobs] == [None, 400, 400], "and so do the images"
    assert states(store) == {"complete": 1}
    facts = store.study.trials[0].user_attrs
    assert (facts["accumulation"], [report["step"] for report in facts["curve"]]) == (4, [1, 2, 3, 4])
    assert store.study.trials[0].intermediate_values == {1: 0.25, 2: 0.5, 3: 0.5, 4: 0.5}
    assert [what for _, what in observer.notes] == [
        "out of memory: again with batches in 2",
        "out of memory: again with batches in 4",
    ]


def test_a_trial_out_of_memory_beside_what_others_left_is_tried_whole_in_a_fresh_child(
    store: StudyStore, scripts: list[Script]
) -> None:
    jobs: list[Job] = []
    scripts += [succeed, seen(jobs, out_of_memory), seen(jobs, out_of_memory), seen(jobs)]
    # One child does two trials: the first script is of its first.
    observer = Observer()
    assert searching(store, observer).run(SearchLimits(2)) == "spent"
    assert [job.config.accumulation for job in jobs] == [1, 1, 2]
    assert [what for _, what in observer.notes] == [
        "out of memory: again in a fresh process",
        "out of memory: again with batches in 2",
    ]


@pytest.mark.parametrize("faults", [1, 2])
def test_a_trial_whose_gpu_failed_is_tried_once_more(store: StudyStore, scripts: list[Script], faults: int) -> None:
    def fault(connection: Connection, job: Job, artifacts: Artifacts) -> None:
        connection.send(Planned(400))
        connection.send(Failed("RuntimeError: CUDA error: unknown", "Traceback", FailureKind.DEVICE, spoilt=True))

    jobs: list[Job] = []
    scripts += [*[seen(jobs, fault)] * faults, seen(jobs)]
    observer = Observer()
    assert searching(store, observer).run(SearchLimits(1)) == "spent"
    assert [job.config.accumulation for job in jobs] == [1] * (faults + 1)
    assert observer.notes == [(0, "RuntimeError: CUDA error: unknown: again in a fresh process")]
    assert states(store) == ({"complete": 1} if faults == 1 else {"failed": 1, "complete": 1})


def test_memory_has_a_floor(store: StudyStore, scripts: list[Script]) -> None:
    jobs: list[Job] = []
    scripts += [*[seen(jobs, out_of_memory)] * 5, seen(jobs)]
    searching(store, Observer()).run(SearchLimits(1))
    # A batch of 128 is divided down to 8 images.
    assert [job.config.accumulation for job in jobs] == [1, 2, 4, 8, 16, 1]
    failed = store.trials()[0]
    assert (failed.state, failed.reason) == (TrialState.FAILED, "out of memory: 9 GB")


def test_a_child_that_holds_on_to_memory_is_replaced(
    store: StudyStore, scripts: list[Script], monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[Any] = []
    begin = slots.start_child

    def counting(setup: Any) -> Any:
        started.append(setup)
        return begin(setup)

    monkeypatch.setattr(slots, "start_child", counting)
    scripts.append(succeed)
    monkeypatch.setattr(ScriptedProcess, "resident_bytes", 3_000_000_000)
    searching(store, Observer(), more="worker_memory = 4").run(SearchLimits(3))
    assert len(started) == 1
    # Over its limit from the beginning, it still does one trial each time.
    searching(store, Observer(), more="worker_memory = 2").run(SearchLimits(6))
    assert len(started) == 1 + 1 + 3
    assert states(store) == {"complete": 6}


# Time -----------------------------------------------------------------------------------------------------------------


def test_a_hung_trial_is_ended_at_its_time_limit(
    store: StudyStore, scripts: list[Script], monkeypatch: pytest.MonkeyPatch
) -> None:
    over = threading.Event()

    def hang(connection: Connection, job: Job, artifacts: Artifacts) -> None:
        # Not a word, and deaf to a closed pipe.
        over.wait(60)

    scripts += [succeed, hang, succeed]
    started = time.monotonic()
    kill = ScriptedProcess.kill

    def end(process: ScriptedProcess) -> None:
        # A thread cannot be killed as a process is.
        over.set()
        kill(process)

    monkeypatch.setattr(ScriptedProcess, "kill", end)
    search = searching(store, Observer(), more="trial_timeout = 6")
    assert search.run(SearchLimits(2)) == "spent"
    assert time.monotonic() - started < 50
    assert states(store) == {"complete": 2, "failed": 1}
    assert store.trials()[1].reason == "timed out after 6 s"


def test_the_time_limit_does_not_run_while_the_search_is_stopped(
    store: StudyStore, scripts: list[Script], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "_PAUSE_SECONDS", 2.0)
    observer = Observer()
    observer.on_report = lambda number, step: time.sleep(5.0) if (number, step) == (1, 2) else None
    scripts.append(succeed)
    assert searching(store, observer, more="trial_timeout = 4").run(SearchLimits(2)) == "spent"
    assert states(store) == {"complete": 2}


def test_a_run_that_another_process_planned_and_did_not_take_is_left_to_it(
    store: StudyStore, scripts: list[Script]
) -> None:
    jobs: list[Job] = []
    scripts.append(seen(jobs))
    search = searching(store, Observer())
    parameters = {"family": "cnn"}
    search._plan = RunPlan((PlannedRun(1, 0, 11, parameters),), {})
    stranger = {"trial": 2, "replicate": 0, "seed": 22, "images": None}
    store.study.enqueue_trial(parameters, user_attrs={"default": False, "planned": stranger})
    assert search.run(SearchLimits(9)) == "spent"
    assert [job.config.seed for job in jobs] == [11]
    assert [(trial.state, trial.interrupted) for trial in store.trials()] == [
        (TrialState.FAILED, True),
        (TrialState.COMPLETE, False),
    ]


def test_a_planned_run_that_is_given_out_again_has_the_seconds_that_are_left(
    store: StudyStore, scripts: list[Script]
) -> None:
    jobs: list[Job] = []

    def die_late(connection: Connection, job: Job, artifacts: Artifacts) -> None:
        jobs.append(job)
        connection.send(Planned(400))
        time.sleep(2.0)
        connection.send(Failed("CUDA error: uncorrectable", "Traceback", FailureKind.DEVICE, spoilt=True))

    scripts += [die_late, seen(jobs)]
    search = searching(store, Observer())
    budget = replace(search._space.spec.budget, epochs=None, seconds=100.0, adapts=True)
    search._space = Space(replace(search._space.spec, budget=budget))
    search._plan = RunPlan((PlannedRun(1, 0, 11, {"family": "cnn"}),), {})
    search.run(SearchLimits(1, timeout=120.0))
    first, second = (job.config.budget.seconds for job in jobs)
    assert first == 100
    # All but these seconds were for what follows training, and the second job begins two seconds later or more.
    assert second is not None
    assert 50 < second <= 98


# A full disk ----------------------------------------------------------------------------------------------------------


def test_a_full_disk_ends_the_search_with_a_plain_message(store: StudyStore, scripts: list[Script]) -> None:
    def no_room(connection: Connection, job: Job, artifacts: Artifacts) -> None:
        error = OSError(errno.ENOSPC, "No space left on device")
        connection.send(Failed(f"no room left on the disk: {error}", "Traceback", FailureKind.NO_ROOM, spoilt=True))

    scripts += [succeed, no_room, succeed]
    with pytest.raises(BenchError, match=r"^no room left on the disk: .* make room, and the same command goes on$"):
        searching(store, Observer()).run(SearchLimits(2))
    assert states(store) == {"complete": 1, "failed": 1}
    assert store.trials()[1].interrupted, "it takes no place, and nothing is held against its configuration"
    searching(store, Observer()).run(SearchLimits(2))
    assert states(store) == {"complete": 2, "failed": 1}


def test_a_trial_that_finished_is_stored_though_its_weights_could_not_be_kept(
    store: StudyStore, scripts: list[Script]
) -> None:
    def without_weights(connection: Connection, job: Job, artifacts: Artifacts) -> None:
        connection.send(Planned(400))
        connection.send(Noted("its weights were not kept: cannot write in s3://shelf"))
        connection.send(finished(0.5))

    scripts += [without_weights, succeed]
    observer = Observer()
    assert searching(store, observer).run(SearchLimits(2)) == "spent"
    assert states(store) == {"complete": 2}
    assert observer.notes == [(0, "its weights were not kept: cannot write in s3://shelf")]
    assert [row.name for row in store.files.rows()] == ["trial-00001.safetensors"]


# Interruption and going on --------------------------------------------------------------------------------------------


def checkpointing(connection: Connection, job: Job, artifacts: Artifacts) -> None:
    """Two reports, a checkpoint after the second, and then nothing until somebody ends it."""
    assert job.checkpoints is not None
    connection.send(Planned(400))
    for step in (1, 2):
        connection.send(progress(step, 0.1 * step))
        connection.recv()
    connection.send(Saved(2, artifacts.write(job.checkpoints.names[0], b"state")))
    connection.send(progress(3, 0.3))
    connection.recv()
    connection.recv()


def going_on(connection: Connection, job: Job, artifacts: Artifacts) -> None:
    """The rest of a trial that was interrupted after its second report."""
    assert job.resume_from is not None
    assert artifacts.read(job.resume_from) == b"state"
    connection.send(Planned(400, resumed=True))
    for step in (3, 4):
        connection.send(progress(step, 0.1 * step))
        connection.recv()
    connection.send(replace(finished(0.4), weights=artifacts.write(job.weights, b"weights")))


def test_an_interrupted_trial_goes_on_from_its_checkpoint(store: StudyStore, scripts: list[Script]) -> None:
    jobs: list[Job] = []
    scripts += [seen(jobs, checkpointing), seen(jobs, going_on), seen(jobs)]
    observer = Observer()
    observer.on_report = lambda number, step: os.kill(os.getpid(), signal.SIGTERM) if step == 3 else None
    assert searching(store, observer).run(SearchLimits(2)) == "interrupted"
    assert states(store) == {"failed": 1}
    assert [path.name for path in weights_of(store).iterdir()] == ["trial-00000.0.checkpoint"]

    observer = Observer()
    assert searching(store, observer).run(SearchLimits(2)) == "spent"
    assert observer.continued == {1: 0}
    assert states(store) == {"complete": 2, "failed": 1}
    assert (jobs[1].config, jobs[1].images) == (jobs[0].config, 400), "the same trial: its seed, too"
    assert jobs[1].weights == "trial-00001.safetensors"
    went_on = store.study.trials[1]
    assert went_on.params == store.study.trials[0].params
    assert went_on.intermediate_values == pytest.approx({1: 0.1, 2: 0.2, 3: 0.3, 4: 0.4})
    assert [report["step"] for report in went_on.user_attrs["curve"]] == [1, 2, 3, 4]
    assert went_on.user_attrs["default"] is True
    assert jobs[2].resume_from is None
    assert jobs[2].config.seed != jobs[1].config.seed
    kept = sorted(path.name for path in weights_of(store).iterdir())
    assert kept == ["trial-00001.safetensors", "trial-00002.safetensors"]


def test_a_trial_that_goes_on_is_compared_by_what_it_had_at_the_same_report(
    store: StudyStore, scripts: list[Script]
) -> None:
    scripts += [checkpointing, going_on]
    observer = Observer()
    observer.on_report = lambda number, step: os.kill(os.getpid(), signal.SIGTERM) if step == 3 else None
    searching(store, observer, pruner="halving").run(SearchLimits(1))
    searching(store, Observer(), pruner="halving").run(SearchLimits(1))
    assert states(store) == {"complete": 1, "failed": 1}
    # Of four reports the second is the first after which a trial may end.
    assert store.study.trials[1].system_attrs["completed_rung_0"] == pytest.approx(0.2)
    rivals = FamilyView(store.study, "cnn")
    assert [trial.number for trial in rivals.get_trials()] == [1], "the interrupted one is told by what goes on with it"
    assert rivals.get_trials(states=(optuna.trial.TrialState.FAIL,)) == []


def test_what_a_gpu_began_a_cpu_begins_anew_with_its_own_budget(store: StudyStore, scripts: list[Script]) -> None:
    jobs: list[Job] = []
    scripts += [out_of_memory, checkpointing, seen(jobs)]
    observer = Observer()
    observer.on_report = lambda number, step: os.kill(os.getpid(), signal.SIGTERM) if step == 3 else None
    searching(store, observer, device="cuda:0").run(SearchLimits(1))
    searching(store, Observer()).run(SearchLimits(1))
    (job,) = jobs
    assert (job.resume_from, job.images, job.config.accumulation) == (None, None, 1)
    again = store.trials()[1]
    assert (again.state, again.continues) == (TrialState.COMPLETE, 0)


def test_a_trial_in_parts_is_told_in_parts_after_it_went_on(store: StudyStore, scripts: list[Script]) -> None:
    jobs: list[Job] = []
    scripts += [out_of_memory, checkpointing, seen(jobs, going_on)]
    observer = Observer()
    observer.on_report = lambda number, step: os.kill(os.getpid(), signal.SIGTERM) if step == 3 else None
    searching(store, observer).run(SearchLimits(1))
    searching(store, Observer()).run(SearchLimits(1))
    assert [job.config.accumulation for job in jobs] == [2]
    assert [trial.user_attrs["accumulation"] for trial in store.study.trials] == [2, 2]


def test_a_checkpoint_that_cannot_be_read_costs_only_time(store: StudyStore, scripts: list[Script]) -> None:
    def from_the_beginning(connection: Connection, job: Job, artifacts: Artifacts) -> None:
        assert job.resume_from is not None
        succeed(connection, job, artifacts)

    scripts += [checkpointing, from_the_beginning, succeed]
    observer = Observer()
    observer.on_report = lambda number, step: os.kill(os.getpid(), signal.SIGINT) if step == 3 else None
    searching(store, observer).run(SearchLimits(1))
    searching(store, Observer()).run(SearchLimits(1))
    went_on = store.study.trials[1]
    assert [report["step"] for report in went_on.user_attrs["curve"]] == [1, 2, 3, 4]
    assert states(store) == {"complete": 1, "failed": 1}


def test_checkpoints_may_be_switched_off(store: StudyStore, scripts: list[Script]) -> None:
    jobs: list[Job] = []
    scripts.append(seen(jobs))
    for more, seconds in (('checkpoints = "never"', None), ("", 60.0), ('checkpoints = "always"', 0.0)):
        searching(store, Observer(), more=more).run(SearchLimits(len(jobs) + 1))
        plan = jobs[-1].checkpoints
        assert (None if plan is None else plan.every_seconds) == seconds


# Other processes ------------------------------------------------------------------------------------------------------


def other_process(store: StudyStore) -> StudyStore:
    other = open_study(store.location)
    other.queue.owner = "elsewhere:machine:1:1"
    return other


def claim_one(store: StudyStore, total: int) -> Claim:
    def prepare(claim: Claim) -> None:
        claim.trial.suggest_categorical("family", ("cnn",))

    claim = store.queue.claim(total, prepare)
    assert isinstance(claim, Claim)
    return claim


@pytest.mark.parametrize("ends", ["fails", "is pruned"])
def test_a_place_that_another_process_holds_is_waited_for(
    store: StudyStore, scripts: list[Script], monkeypatch: pytest.MonkeyPatch, ends: str
) -> None:
    monkeypatch.setattr(supervisor, "_CLAIM_AGAIN_SECONDS", 0.05)
    other = other_process(store)
    theirs = claim_one(other, 2).trial
    waited: list[float] = []

    def end_theirs() -> None:
        waited.append(time.monotonic())
        if len(waited) == 3:
            other.queue.fail(theirs, "of itself", {}) if ends == "fails" else other.queue.prune(theirs, {})

    observer = Observer()
    observer.on_waiting = end_theirs
    scripts.append(succeed)
    assert searching(store, observer).run(SearchLimits(2)) == "spent"
    assert len(waited) >= 3
    expected = {"complete": 2, "failed": 1} if ends == "fails" else {"complete": 1, "pruned": 1}
    assert states(store) == expected
    assert observer.last == expected


def test_a_lost_trial_is_given_up_when_the_lease_is_renewed(
    store: StudyStore, scripts: list[Script], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "_RENEW_SECONDS", 0.0)

    def endless(connection: Connection, job: Job, artifacts: Artifacts) -> None:
        connection.send(Planned(400))
        connection.send(progress(1, 0.5))
        connection.recv()
        connection.recv()

    def take_it_away(number: int, step: int) -> None:
        if number == 0:
            with store._db.begin() as connection:
                connection.execute(sqlalchemy.update(LEASES).values(expires_at=0.0))
            assert isinstance(claim_one(other_process(store), 2), Claim)
            # The other has tidied, and the child writes once more.
            store.files.remove(["trial-00000.1.checkpoint"])
            weights_of(store).mkdir(parents=True)
            (weights_of(store) / "trial-00000.1.checkpoint").write_bytes(b"half")

    observer = Observer()
    observer.on_report = take_it_away
    scripts += [endless, succeed]
    observer.on_waiting = lambda: end_all(other_process(store))
    assert searching(store, observer).run(SearchLimits(2)) == "spent"
    assert observer.ends[0] == (TrialState.FAILED, "lost: its lease had ended")
    assert store.trials()[0].reason == "lost: worker vanished"
    assert not (weights_of(store) / "trial-00000.1.checkpoint").exists()
    assert states(store)["failed"] == 1
    assert sum(states(store)[state] for state in ("complete", "pruned")) == 2


def test_a_machine_that_slept_renews_its_leases_before_it_looks_for_lost_ones(
    store: StudyStore, scripts: list[Script], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The clock that leases go by went on, that of the process stood still."""
    slept, by_the_wall = [0.0], time.time
    monkeypatch.setattr(time, "time", lambda: by_the_wall() + slept[0])
    woke, claims = [], []
    claim = store.queue.claim

    def claim_and_note(*given: Any) -> Any:
        claims.append(time.monotonic())
        return claim(*given)

    monkeypatch.setattr(store.queue, "claim", claim_and_note)

    def two_reports(connection: Connection, job: Job, artifacts: Artifacts) -> None:
        connection.send(Planned(400))
        for step in (1, 2):
            connection.send(progress(step, 0.5))
            connection.recv()
        connection.send(finished(0.5))

    def sleep(number: int, step: int) -> None:
        slept[0] += 3600.0
        woke.append(time.monotonic())

    observer = Observer()
    observer.on_report = sleep
    scripts += [two_reports, succeed]
    assert searching(store, observer, workers=2).run(SearchLimits(4)) == "spent"
    assert states(store) == {"complete": 4}
    # Another search on this machine may be about to renew its own.
    assert min(abs(claimed - then) for claimed in claims for then in woke if claimed > then) > 1.0


def test_a_checkpoint_that_comes_after_its_trial_was_lost_is_removed(store: StudyStore, scripts: list[Script]) -> None:
    def too_late(connection: Connection, job: Job, artifacts: Artifacts) -> None:
        assert job.checkpoints is not None
        connection.send(Planned(400))
        connection.send(progress(1, 0.5))
        connection.recv()
        connection.send(Saved(1, artifacts.write(job.checkpoints.names[1], b"state")))
        connection.send(progress(2, 0.5))
        connection.recv()

    def take_it_away(number: int, step: int) -> None:
        if number == 0:
            with store._db.begin() as connection:
                connection.execute(sqlalchemy.update(LEASES).values(expires_at=0.0))
            with store.exclusive():
                other.queue.fail_lost()

    observer, other = Observer(), other_process(store)
    observer.on_report = take_it_away
    scripts += [too_late, succeed]
    assert searching(store, observer).run(SearchLimits(1)) == "spent"
    assert observer.ends[0] == (TrialState.FAILED, "lost: its lease had ended")
    assert observer.continued == {}
    assert [path.name for path in weights_of(store).iterdir()] == ["trial-00001.safetensors"]


def test_a_lease_is_renewed_before_another_claim_that_may_take_long(
    store: StudyStore, scripts: list[Script], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "_RENEW_SECONDS", 0.0)
    monkeypatch.setattr(supervisor, "wait", patient(supervisor.wait))
    calls: list[str] = []

    def noting(name: str) -> None:
        call = getattr(store.queue, name)

        def noted(*given: Any) -> Any:
            calls.append(name)
            return call(*given)

        monkeypatch.setattr(store.queue, name, noted)

    for name in ("claim", "renew", "report"):
        noting(name)
    scripts.append(succeed)
    searching(store, Observer(), workers=2).run(SearchLimits(2))
    first = calls.index("claim")
    assert calls[first : first + 3] == ["claim", "renew", "claim"]
    assert calls.index("report") > first + 2, "both workers were ready at once"


def end_all(other: StudyStore) -> None:
    """The other process prunes what it runs."""
    for trial in other.study.get_trials(deepcopy=False):
        if trial.state is optuna.trial.TrialState.RUNNING:
            other.queue.prune(optuna.Trial(other.study, trial._trial_id), {})


def test_the_total_may_be_the_databases_and_change(store: StudyStore, scripts: list[Script]) -> None:
    store.set_fact("trials", 2)
    observer = Observer()
    observer.on_report = lambda number, step: store.set_fact("trials", 4) if (number, step) == (1, 4) else None
    scripts.append(succeed)
    assert searching(store, observer).run(SearchLimits(None)) == "spent"
    assert states(store) == {"complete": 4}
    assert store.queue.claim(4, lambda claim: None) is NoTrial.SPENT


def test_a_second_signal_does_not_wait(
    store: StudyStore, scripts: list[Script], monkeypatch: pytest.MonkeyPatch
) -> None:
    scripts.append(succeed)
    observer = Observer()

    def twice() -> None:
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)

    patient = []
    fail = store.queue.fail

    def fail_and_note(*given: Any) -> bool:
        patient.append(not getattr(retrying._CALLS, "once", False))
        return fail(*given)

    monkeypatch.setattr(store.queue, "fail", fail_and_note)
    observer.on_report = lambda number, step: twice()
    with pytest.raises(KeyboardInterrupt):
        searching(store, observer).run(SearchLimits(2))
    assert states(store) == {"failed": 1}
    assert patient == [False]


@pytest.mark.parametrize("times", [4, 5])
def test_a_child_that_is_killed_while_it_starts_is_started_again(
    store: StudyStore, scripts: list[Script], monkeypatch: pytest.MonkeyPatch, times: int
) -> None:
    begin, serve, starting = slots.start_child, ScriptedProcess._serve, threading.Lock()
    killed: list[int] = []

    def killed_at_first(setup: Any) -> Any:
        with starting:
            child = begin(setup)
            if len(killed) < times:
                killed.append(1)
                child.process._theirs.close()
                child.process.exitcode = -9
        return child

    def serve_later(process: ScriptedProcess) -> None:
        with starting:
            pass
        serve(process)

    monkeypatch.setattr(slots, "start_child", killed_at_first)
    monkeypatch.setattr(ScriptedProcess, "_serve", serve_later)
    scripts.append(succeed)
    if times < 5:
        assert searching(store, Observer()).run(SearchLimits(1)) == "spent"
    else:
        with pytest.raises(BenchError, match=r"a worker could not start \(signal 9\)"):
            searching(store, Observer()).run(SearchLimits(1))


def patient(call: Any) -> Any:
    """The call `wait`, the first time only when all connections have something to say."""
    calls: list[int] = []

    def later(connections: list[Connection], *given: Any) -> Any:
        if not calls:
            assert all(connection.poll(60) for connection in connections)
        calls.append(1)
        return call(connections, *given)

    return later


def test_failures_of_another_kind_are_not_tried_again(store: StudyStore, scripts: list[Script]) -> None:
    jobs: list[Job] = []
    scripts += [seen(jobs, fail), seen(jobs)]
    searching(store, Observer()).run(SearchLimits(1))
    assert [job.config.accumulation for job in jobs] == [1, 1]
    assert jobs[0].config.seed != jobs[1].config.seed


def test_files_are_announced_before_they_are_written(store: StudyStore, scripts: list[Script]) -> None:
    known: list[set[tuple[str, FileKind]]] = []

    def look(connection: Connection, job: Job, artifacts: Artifacts) -> None:
        known.append({(row.name, row.kind) for row in open_study(store.location).files.rows()})
        succeed(connection, job, artifacts)

    scripts.append(look)
    searching(store, Observer()).run(SearchLimits(1))
    assert known == [
        {
            ("trial-00000.safetensors", FileKind.WEIGHTS),
            ("trial-00000.0.checkpoint", FileKind.CHECKPOINT),
            ("trial-00000.1.checkpoint", FileKind.CHECKPOINT),
        }
    ]
    assert [row.name for row in store.files.rows()] == ["trial-00000.safetensors"]
