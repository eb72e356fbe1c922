"""Workers are killed, paused and interrupted, and the study is as if nothing had happened."""

from __future__ import annotations

import os
import random
import re
import signal
import textwrap
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest
from crowd import Crowd, assert_whole, crowd, kill
from s3_server import client, s3_server, use_keys

from benchmark.records import Split, TrialState
from benchmark.store.queue import LEASE_SECONDS

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("_whole_machine")]

_STARTING_SECONDS = 8.0
_RANDOM_SECONDS = 30.0
"""So long random faults are made; the study then has to come to its end without them."""


@pytest.fixture(params=["sqlite", "postgresql"])
def storage(request: pytest.FixtureRequest) -> str | None:
    """Where the study is: None is its SQLite file."""
    return None if request.param == "sqlite" else request.getfixturevalue("postgres").url()


def test_kills_of_children_and_of_workers(tmp_path: Path, storage: str | None) -> None:
    """Six workers, sixty trials; five times a child is killed in mid-trial, five times a whole worker process."""
    randoms = random.Random(0)
    with crowd(tmp_path / "root", trials=60, storage=storage, epochs=2) as found:
        for _ in range(3):
            found.worker(workers=2)
        found.wait_until_running(4)
        for _ in range(5):
            found.wait_until(lambda: bool(found.children()) and found.states()["running"] > 0)
            kill(randoms.choice(found.children() or found.running()))
            time.sleep(randoms.uniform(0.2, 1.0))
            kill(randoms.choice(found.running()))
            found.worker(workers=2)
            time.sleep(randoms.uniform(0.5, 1.5))
        found.finish()
        store = assert_whole(found)
        reasons = {trial.reason for trial in store.trials() if trial.state is TrialState.FAILED}
        killed = "killed: the worker process ended with signal 9, perhaps because memory ran out"
        assert reasons <= {killed, "lost: worker vanished"}
        assert len(reasons) == 2


def test_eight_workers_start_on_an_empty_database(tmp_path: Path, storage: str | None) -> None:
    with crowd(tmp_path / "root", trials=16, storage=storage, epochs=0.5) as found:
        for _ in range(8):
            found.worker()
        said = found.finish()
        assert len(said) == 8
        assert_whole(found)


SHORT_WAITS = """
    import os, signal
    from pathlib import Path
    from benchmark.search import supervisor
    from benchmark.store import connection, queue
    queue.LEASE_SECONDS, connection._IDLE_TRANSACTION_SECONDS = 6.0, 3.0
    supervisor._RENEW_SECONDS, supervisor._CLAIM_AGAIN_SECONDS = 0.5, 0.2

    def pause_once():
        # The first process that comes here stops, with its children.
        try:
            Path({flag!r}).touch(exist_ok=False)
        except FileExistsError:
            return
        os.killpg(0, signal.SIGSTOP)
"""


def test_a_worker_that_was_paused_past_its_lease_drops_its_result_and_goes_on(
    tmp_path: Path, storage: str | None
) -> None:
    in_mid_trial = """
        progress = supervisor.Search._progress
        def progress_and_pause(*given):
            ended = progress(*given)
            pause_once()
            return ended
        supervisor.Search._progress = progress_and_pause
    """
    patch = textwrap.dedent(SHORT_WAITS.format(flag=str(tmp_path / "paused"))) + textwrap.dedent(in_mid_trial)
    with crowd(tmp_path / "root", trials=10, storage=storage, epochs=6, patch=patch) as found:
        paused = found.worker()
        found.wait_until(lambda: psutil.Process(paused.pid).status() == psutil.STATUS_STOPPED)
        assert found.states()["running"] == 1
        found.worker()
        found.wait_until(lambda: found.states()["failed"] == 1)
        os.killpg(paused.pid, signal.SIGCONT)
        said = found.finish()
        store = assert_whole(found)
        lost = [trial for trial in store.trials() if trial.state is TrialState.FAILED]
        assert {trial.reason for trial in lost} == {"lost: worker vanished"}
        assert "lost: its lease had ended" in said[0]
        assert re.search(r"trial +\d+ +(complete|pruned)", said[0].split("its lease had ended")[1]), said[0]


def test_a_worker_that_was_paused_while_it_held_the_lock_of_a_server_holds_up_nobody(
    tmp_path: Path, postgres: Any
) -> None:
    """The server ends its transaction, and with it the lock; the worker claims again when it goes on."""
    while_claiming = """
        configure = supervisor.configure
        def configure_and_pause(*given):
            configured = configure(*given)
            pause_once()
            return configured
        supervisor.configure = configure_and_pause
    """
    patch = textwrap.dedent(SHORT_WAITS.format(flag=str(tmp_path / "paused"))) + textwrap.dedent(while_claiming)
    with crowd(tmp_path / "root", trials=6, storage=postgres.url(), epochs=2, patch=patch) as found:
        paused = found.worker()
        found.wait_until(lambda: psutil.Process(paused.pid).status() == psutil.STATUS_STOPPED)
        found.worker()
        found.wait_until(lambda: found.states()["complete"] + found.states()["pruned"] >= 2)
        os.killpg(paused.pid, signal.SIGCONT)
        found.finish()
        assert_whole(found)


def test_ctrl_z_waits_for_the_lock_and_costs_no_trial_that_is_continued_in_time(tmp_path: Path) -> None:
    with crowd(tmp_path / "root", trials=4, epochs=6) as found:
        paused = found.worker()
        found.wait_until_running()
        stopped = time.monotonic()
        os.killpg(paused.pid, signal.SIGTSTP)
        found.wait_until(lambda: psutil.Process(paused.pid).status() == psutil.STATUS_STOPPED)
        assert {child.status() for child in found.children()} == {psutil.STATUS_STOPPED}
        # Another may claim: were the lock held, it would wait for the one that is stopped.
        found.worker()
        found.wait_until(lambda: found.states()["complete"] + found.states()["pruned"] >= 1)
        os.killpg(paused.pid, signal.SIGCONT)
        # Its lease was renewed up to ten seconds before. On a machine this slow it may have ended meanwhile.
        was_in_time = time.monotonic() - stopped < LEASE_SECONDS - 15
        found.finish()
        store = assert_whole(found)
        ended = [(trial.number, str(trial.state), trial.reason) for trial in store.trials()]
        counted = [state for _, state, reason in ended if was_in_time or reason != "lost: worker vanished"]
        assert set(counted) <= {"complete", "pruned"}, ended


@pytest.fixture(params=["folder", "s3"])
def artifacts(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, ...]]:
    """The words that say where weights and checkpoints go: beside the database, or a bucket of a server."""
    if request.param == "folder":
        yield ()
        return
    use_keys(monkeypatch)
    with s3_server() as endpoint, client(endpoint) as s3:
        s3.create_bucket(Bucket="faults")
        yield ("--artifacts", f"s3://faults/here?endpoint_url={endpoint}")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_search_ends_within_seconds_and_goes_on_exactly(
    tmp_path: Path, number: signal.Signals, artifacts: tuple[str, ...]
) -> None:
    always = 'checkpoints = "always"'
    with crowd(tmp_path / "whole", trials=1, epochs=24, search=always) as whole:
        whole.start("search", "mine", "--workers", "1")
        whole.finish()
        expected = assert_whole(whole).predictions(0, Split.TEST).digest
    with crowd(tmp_path / "root", trials=1, epochs=24, search=always) as found:
        interrupted = found.start("search", "mine", "--workers", "1", *artifacts)
        found.wait_until(lambda: bool(found.states()) and bool(found.store().files.checkpoints()))
        started = time.monotonic()
        # Ctrl-C reaches the children as well, SIGTERM the command alone.
        if number is signal.SIGINT:
            os.killpg(interrupted.pid, number)
        else:
            interrupted.send_signal(number)
        output, _ = interrupted.communicate(timeout=60)
        assert time.monotonic() - started < 45
        assert interrupted.returncode == 130, output
        assert "Traceback" not in output
        assert "to go on: the same command again" in output
        found.processes.remove(interrupted)
        found.start("search", "mine", "--workers", "1")
        (said,) = found.finish()
        assert "continues 0" in said
        store = assert_whole(found)
        assert bool(list(found.location.root.rglob("*.safetensors"))) is (not artifacts)
        assert [trial.reason for trial in store.trials()] == ["interrupted: the search was stopped", None]
        assert store.study.trials[1].user_attrs["curve"][0]["step"] == 1
        assert store.predictions(1, Split.TEST).digest == expected


def test_a_machine_that_goes_away_leaves_a_trial_that_goes_on(tmp_path: Path) -> None:
    with crowd(tmp_path / "root", trials=2, epochs=24, search='checkpoints = "always"') as found:
        gone = found.worker()
        found.wait_until(lambda: bool(found.states()) and bool(found.store().files.checkpoints()))
        kill(gone)
        found.worker()
        found.finish()
        first, second, *_ = assert_whole(found).trials()
        assert (first.reason, second.continues) == ("lost: worker vanished", 0)
        assert first.parameters == second.parameters


def test_a_child_ends_with_its_worker(tmp_path: Path) -> None:
    with crowd(tmp_path / "root", trials=2, epochs=500) as found:
        worker = found.worker()
        found.wait_until_running()
        (child,) = found.children()
        kill(worker)
        worker.wait()
        assert psutil.wait_procs([child], timeout=60)[1] == []


def test_random_faults(tmp_path: Path, storage: str | None, request: pytest.FixtureRequest) -> None:
    """Kill, pause and continue at random moments, and restart a server in between; FAULTS_SEED chooses others."""
    seed = int(os.environ.get("FAULTS_SEED", "0"))
    print(f"FAULTS_SEED={seed}")
    randoms = random.Random(seed)
    with crowd(tmp_path / "root", trials=30, storage=storage, epochs=2, search='checkpoints = "always"') as found:
        for _ in range(3):
            found.worker()
        found.wait_until_running()
        deadline = time.monotonic() + _RANDOM_SECONDS
        while time.monotonic() < deadline:
            randoms.choice(faults(found, request if storage else None, randoms))()
            while len(found.running()) < 3:
                found.worker()
            time.sleep(randoms.uniform(0.1, 2.0))
        found.finish()
        assert_whole(found)


def older_than(process: psutil.Process, seconds: float) -> bool:
    with suppress(psutil.NoSuchProcess):
        return time.time() - process.create_time() > seconds
    return False


def faults(found: Crowd, request: pytest.FixtureRequest | None, randoms: random.Random) -> list[Callable[[], Any]]:
    def pause() -> None:
        process = randoms.choice(found.running() or [None])
        if process is not None:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGSTOP)
                time.sleep(randoms.uniform(0.5, 3.0))
                os.killpg(process.pid, signal.SIGCONT)

    def kill_child() -> None:
        # One that is killed every time before it is ready ends its worker, which is another test's.
        ready = [child for child in found.children() if child.is_running() and older_than(child, _STARTING_SECONDS)]
        if ready:
            kill(randoms.choice(ready))

    def kill_worker() -> None:
        if found.running():
            kill(randoms.choice(found.running()))

    chosen: list[Callable[[], Any]] = [pause, kill_child, kill_worker]
    if request is not None:
        chosen.append(lambda: request.getfixturevalue("postgres").restart(randoms.uniform(0.0, 3.0)))
    return chosen
