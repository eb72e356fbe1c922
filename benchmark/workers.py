"""Worker processes: a child that trains one trial after another and keeps its warm state; knows no Optuna and no SQL.

The parent (see `search`) owns the database. It sends a Job and gets back Planned, then a ProgressRecord per report,
each of which it answers with True (go on) or False (stop), then Finished or Failed. A child holds nothing that is not
lost without harm, so it may be killed at any moment.
"""

from __future__ import annotations

import signal
import time
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import TYPE_CHECKING

from joblib import cpu_count

from benchmark.definition import StudySpec
from benchmark.errors import BenchError
from benchmark.records import VIEWS, Cost, Predictions, ProgressRecord, Split, TrialConfig

if TYPE_CHECKING:
    from benchmark.training import Captures, DeviceData, TrainedModel


@dataclass(frozen=True)
class WorkerSetup:
    """What a child needs to know once: the data, its division, and the device it trains on."""

    dataset: str
    data_folder: Path | None
    val: int | float
    split_seed: int
    device: str
    threads: int


@dataclass(frozen=True)
class Job:
    """One trial to train; weights go to `weights` (a file that the parent renames or removes)."""

    config: TrialConfig
    weights: Path


@dataclass(frozen=True)
class Ready:
    """The child has its data on the device and waits for a job."""

    device: str


@dataclass(frozen=True)
class Planned:
    """The number of training images that the job's budget buys on this machine."""

    images: int


@dataclass(frozen=True, eq=False)
class Finished:
    """A trial that used its whole budget (or stopped early by its own patience)."""

    val_accuracy: float
    predictions: tuple[Predictions, ...]
    cost: Cost
    best_step: int
    images_seen: int
    evaluation_seconds: float


@dataclass(frozen=True)
class Failed:
    """A trial that ended with an error, in words for the user, with the traceback for us."""

    reason: str
    details: str
    spoilt: bool = False
    """Whether the child may be left in a bad state (out of memory, a device error), and is better replaced."""


Answer = Ready | Planned | ProgressRecord | Finished | Failed


@dataclass(frozen=True, eq=False)
class Child:
    """A worker process as its parent sees it."""

    process: BaseProcess
    connection: Connection

    def end(self) -> None:
        """Kill the process; whatever it was doing is lost."""
        self.connection.close()
        self.process.kill()
        self.process.join()


def start_child(setup: WorkerSetup) -> Child:
    """Start a worker process. It is spawned, never forked: a fork after CUDA is initialised does not work."""
    context = get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(theirs, setup), daemon=True)
    process.start()
    theirs.close()
    return Child(process, ours)


def devices() -> list[str]:
    """The devices to train on: every GPU, or else the CPU."""
    import torch

    return [f"cuda:{index}" for index in range(torch.cuda.device_count())] or ["cpu"]


def worker_setups(
    devices: Sequence[str], workers: int | None, spec: StudySpec, data_folder: Path | None
) -> list[WorkerSetup]:
    """One setup per worker: devices in turn, and a CPU's cores shared out between workers.

    `workers` None is one per GPU, or one single-threaded worker per core: on small networks two processes of one
    thread do twice the work of one process with two.
    """
    if workers is None:
        workers = cpu_count() if devices[0] == "cpu" else len(devices)
    threads = max(1, cpu_count() // workers) if devices[0] == "cpu" else 1
    return [
        WorkerSetup(
            dataset=spec.dataset,
            data_folder=data_folder,
            val=spec.split.val,
            split_seed=spec.split.seed,
            device=devices[number % len(devices)],
            threads=threads,
        )
        for number in range(workers)
    ]


def load_data(setup: WorkerSetup) -> DeviceData:
    """The setup's data set, divided and on its device; sets the number of threads of this process."""
    import torch

    from benchmark.datasets import DATASETS
    from benchmark.splits import stratified_split
    from benchmark.training import DeviceData, choose_device

    torch.set_num_threads(setup.threads)
    dataset = DATASETS[setup.dataset].build(setup.data_folder, lambda _: None)
    rows = stratified_split(dataset.train.labels, setup.val, setup.split_seed)
    return DeviceData.load(dataset, rows, choose_device(setup.device))


def _serve(connection: Connection, setup: WorkerSetup) -> None:
    # Ctrl-C goes to the whole process group; the parent decides what becomes of the children.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # The first optimizer of a process imports it, which takes seconds: not out of the first trial's.
    import torch._dynamo  # noqa: F401

    from benchmark.training import Captures, keep_freed_memory

    keep_freed_memory()
    try:
        data, captures = load_data(setup), Captures()
        connection.send(Ready(data.where.name))
        while True:
            _work(connection, connection.recv(), data, captures)
    except (EOFError, BrokenPipeError, ConnectionResetError):
        pass  # The parent is gone, and with it the reason to go on.


def _work(connection: Connection, job: Job, data: DeviceData, captures: Captures) -> None:
    from benchmark.training import DivergedError, TrainingRun, start_peak_memory

    try:
        start_peak_memory(data.where)
        run = TrainingRun(job.config, data, captures)
        connection.send(Planned(run.open()))
        reports = run.reports()
        while True:
            try:
                record = next(reports)
            except StopIteration as stop:
                connection.send(_finish(job, data, stop.value))
                return
            connection.send(record)
            if not connection.recv():
                return
    except (EOFError, BrokenPipeError, ConnectionResetError):
        raise
    except Exception as error:
        spoilt = not isinstance(error, DivergedError | BenchError)
        connection.send(Failed(_reason(error), traceback.format_exc(), spoilt))


def _finish(job: Job, data: DeviceData, trained: TrainedModel) -> Finished:
    from safetensors.torch import save_model

    from benchmark.training import multiply_accumulates, peak_memory_bytes, predict

    peak_bytes = peak_memory_bytes(data.where)
    views, precision = job.config.views, job.config.precision
    started = time.perf_counter()
    val = predict(trained.model, data, data.val, views=views, precision=precision).cpu()
    val_seconds = time.perf_counter() - started
    test = predict(trained.model, data, data.test, views=views, precision=precision).cpu()
    test_seconds = time.perf_counter() - started - val_seconds
    save_model(trained.model, str(job.weights))
    return Finished(
        val_accuracy=(val.argmax(dim=1) == data.val.labels.cpu()).float().mean().item(),
        predictions=(Predictions(Split.VAL, val.numpy()), Predictions(Split.TEST, test.numpy())),
        cost=Cost(
            parameters=sum(parameter.numel() for parameter in trained.model.parameters()),
            macs=multiply_accumulates(trained.model, data) * VIEWS[views],
            train_seconds=trained.train_seconds,
            inference_ms=1000 * test_seconds / len(data.test),
            peak_memory_bytes=peak_bytes,
        ),
        best_step=trained.best_step,
        images_seen=trained.images_seen,
        evaluation_seconds=trained.evaluation_seconds + val_seconds + test_seconds,
    )


def _reason(error: Exception) -> str:
    from torch import OutOfMemoryError

    from benchmark.training import DivergedError

    text = str(error).strip().splitlines()[0] if str(error).strip() else ""
    if isinstance(error, OutOfMemoryError | MemoryError) or "can't allocate memory" in text:
        return f"out of memory: {text}"
    if isinstance(error, DivergedError | BenchError):
        return text
    return f"{type(error).__name__}: {text}"
