"""The workers of a search as plain tasks of a Ray cluster; Optuna stays the only scheduler, and the database the truth.

A task does what `bench worker` does with one worker, on a node that has a GPU or a core to spare. Ray starts it again
elsewhere when its node dies; what the study lost with it comes back by leases, as everywhere.
"""

from __future__ import annotations

import logging
import os
import socket
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from benchmark.errors import BenchError
from benchmark.processes import hearing
from benchmark.records import ProgressRecord, TrialRecord, TrialState, count_done
from benchmark.search import Ending, Search, SearchLimits, SearchObserver
from benchmark.space import Space
from benchmark.store import StudyLocation, StudyStore
from benchmark.study import open_to_join, place_of_files
from benchmark.workers import devices, worker_setups

_POLL_SECONDS = 2.0
_ENDING_SECONDS = 30.0
_ANSWER_SECONDS = 10.0


@dataclass(frozen=True)
class _Task:
    """What a task needs to know; it is sent through Ray."""

    name: str
    root: Path
    storage: str = field(repr=False)
    deadline: float | None
    """When all of them end, in seconds since 1970: a task that begins late, or again, has what is left."""
    data: Path | None


class _Unheard(SearchObserver):
    """Tells nobody: the driver reads the database."""

    def started(self, number: int, family: str, is_default: bool, continues: int | None) -> None: ...
    def reported(self, number: int, reports: int, record: ProgressRecord) -> None: ...
    def noted(self, number: int, what: str) -> None: ...
    def ended(self, number: int, state: TrialState, score: float | None, reason: str | None) -> None: ...
    def standing(self, trials: Sequence[TrialRecord], total: int) -> None: ...
    def without(self, reason: str, left: int) -> None: ...
    def waiting(self) -> None: ...
    def tick(self) -> None: ...


def search_on_ray(
    store: StudyStore,
    total: int,
    workers: int | None,
    timeout: float | None,
    data: Path | None,
    observer: SearchObserver,
    say: Callable[[str], None],
) -> Ending:
    """Run workers on a Ray cluster until `total` trials are done; why it ended.

    The cluster is the one that RAY_ADDRESS names ("auto" is the one that this machine belongs to), else one of this
    machine's own. `workers` None is one per GPU of the cluster, or one per core where it has none. Raises BenchError
    where Ray is missing, the cluster does not answer, or all workers fail.
    """
    deadline = None if timeout is None else time.time() + timeout
    ray = _ray()
    location = store.location
    address = os.environ.get("RAY_ADDRESS") or "local"
    _see_that_it_answers(address)
    # Ray would change this setting itself one day, and says so on every start.
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    try:
        # By name, since without one Ray looks for clusters of this machine, also where they are gone, for minutes.
        ray.init(address, log_to_driver=False, logging_level=logging.ERROR, include_dashboard=False)
    except (ConnectionError, RuntimeError, ValueError) as error:
        at = "on this machine" if address == "local" else f"at RAY_ADDRESS={address}"
        raise BenchError(f"no Ray cluster to be had {at}: {' '.join(str(error).split())}") from error
    try:
        resources = ray.cluster_resources()
        gpus = int(resources.get("GPU", 0))
        count = workers or gpus or max(1, int(resources.get("CPU", 1)))
        say(f"study {location.name}: {count} workers on a Ray cluster of {len(ray.nodes())} nodes with {gpus} GPUs")
        # A node's death is not the worker's fault: as often as it happens.
        task = ray.remote(num_cpus=1, num_gpus=1 if gpus else 0, max_retries=-1)(_work)
        # A task's folder is another one.
        there = location.absolute
        asked = _Task(there.name, there.root, there.url, deadline, None if data is None else data.absolute())
        return _watch(ray, [task.remote(asked) for _ in range(count)], store, total, observer)
    finally:
        ray.shutdown()


def _ray() -> Any:
    try:
        import ray
    except ImportError:
        raise BenchError("--engine ray needs Ray: pip install ray") from None
    return ray


def _see_that_it_answers(address: str) -> None:
    """Raises BenchError where nothing listens at an address HOST:PORT: Ray itself would try for five minutes.

    Of its other forms, as ray://HOST:PORT, it knows itself.
    """
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit() or "://" in address:
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), _ANSWER_SECONDS).close()
    except OSError as error:
        raise BenchError(f"no Ray cluster answers at RAY_ADDRESS={address}: {error.strerror or error}") from error


def _watch(ray: Any, running: list[Any], store: StudyStore, total: int, observer: SearchObserver) -> Ending:
    """Show the study while tasks run, and end them where the user does."""
    failures: list[str] = []
    # They end it as Ctrl-C does.
    with hearing({"SIGTERM": _stop, "SIGHUP": _stop}):
        try:
            while running:
                ended, running = ray.wait(running, timeout=_POLL_SECONDS)
                failures += [message for task in ended if (message := _failure(ray, task)) is not None]
                observer.standing(store.trials(), total)
        except KeyboardInterrupt:
            for task in running:
                ray.cancel(task)
            ray.wait(running, num_returns=len(running), timeout=_ENDING_SECONDS)
            return "interrupted"
    if count_done(store.trials()) >= total:
        return "spent"
    if failures:
        raise BenchError(f"{len(failures)} workers failed, the last with: {failures[-1]}")
    return "timeout"


def _failure(ray: Any, task: Any) -> str | None:
    """Why a task failed, in one line; None where it did not."""
    try:
        ray.get(task)
    except ray.exceptions.RayTaskError as error:
        return str(error.cause)
    except ray.exceptions.RayError as error:
        return str(error).strip().splitlines()[-1]
    return None


def _work(task: _Task) -> None:
    """One task: a worker with one child, on the GPU that Ray has made visible to it, or on one core."""
    location = StudyLocation(task.name, task.root, task.storage)
    spec, store = open_to_join(location, task.data, lambda _: None)
    left = None if task.deadline is None else task.deadline - time.time()
    if left is not None and left <= 0:
        return
    setups = [replace(setup, threads=1) for setup in worker_setups(devices(), 1, spec, task.data)]
    Search(store, Space(spec), setups, place_of_files(store), _Unheard()).run(SearchLimits(None, left))


def _stop(number: int, _: object) -> None:
    raise KeyboardInterrupt(number)
