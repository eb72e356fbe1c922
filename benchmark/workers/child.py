"""Inside a worker process: it trains one trial after another and keeps its warm state."""

from __future__ import annotations

import errno
import gc
import importlib
import os
import signal
import threading
import time
import traceback
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from functools import partial
from multiprocessing import parent_process
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING

from benchmark.artifacts import Artifacts
from benchmark.errors import BenchError, UnknownNameError
from benchmark.records import VIEWS, Cost, Predictions, Split, StoredFile
from benchmark.workers.messages import Failed, FailureKind, Finished, Job, Noted, Planned, Ready, Saved, WorkerSetup

if TYPE_CHECKING:
    from benchmark.datasets import Say
    from benchmark.training import Captures, DeviceData, TrainedModel, TrainingRun

_PREDICTED_TOGETHER = 256
"""Images in a batch when the time to predict one of them is measured."""
_OUT_OF_MEMORY = (
    "can't allocate memory",
    "CUDA error: out of memory",
    "CUBLAS_STATUS_ALLOC_FAILED",
    "CUDNN_STATUS_ALLOC_FAILED",
    "unable to find an engine to execute this computation",
)
"""What a plain RuntimeError says: of torch's allocator on a CPU, of CUDA outside of its allocator, of cuBLAS and cuDNN,
and of a convolution for none of whose ways there was room (ATen/native/cudnn/Conv_v8.cpp, try_configs)."""
_OF_A_DEVICE = ("CUDA error", "cuDNN error")
"""How a RuntimeError begins that tells of a fault that may have come from another process."""
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def load_data(setup: WorkerSetup, say: Say = lambda _: None) -> DeviceData:
    """The setup's data set, divided and on its device; sets the number of threads of this process.

    Raises BenchError where it is not the one that the setup names by its digests.
    """
    import torch

    from benchmark.datasets import dataset_of_size
    from benchmark.splits import stratified_split
    from benchmark.training import DeviceData, choose_device

    torch.set_num_threads(setup.threads)
    dataset = dataset_of_size(setup.dataset, setup.data_folder, say, setup.image_size)
    rows = stratified_split(dataset.train.labels, setup.val, setup.split_seed)
    if setup.digests not in (None, (dataset.fingerprint, rows.digest)):
        raise BenchError(f"the images of {dataset.name} are others than when the study was opened; restore them")
    where = choose_device(setup.device)
    if where.device.type == "cuda":
        torch.cuda.set_per_process_memory_fraction(setup.memory_share, where.device)
    data = DeviceData.load(dataset, rows, where)
    return data.with_val_in_train() if setup.trains_on_val else data


def import_what_trials_need(families: Iterable[str] = ()) -> None:
    """Import what takes seconds, once: not out of the first trial's, nor out of the first one of a family.

    What is missing or broken is told by the trial that needs it.
    """
    # The first optimizer of a process and the first count of its operations import them.
    import torch._dynamo
    import torch.utils.flop_counter  # noqa: F401

    import benchmark.datasets
    import benchmark.splits
    import benchmark.training  # noqa: F401
    from benchmark.architectures import ARCHITECTURES

    for name in sorted({name for family in families for name in ARCHITECTURES[family].tags.get("imports", ())}):
        with suppress(Exception):
            importlib.import_module(name)


def serve(connection: Connection, setup: WorkerSetup, environment: Mapping[str, str]) -> None:
    """The life of a worker process: until its parent closes the connection, or is gone.

    `environment` is that of the parent.
    """
    os.environ.clear()
    os.environ.update(environment)
    # Ctrl-C goes to the whole process group; the parent decides what becomes of the children.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _end_with_parent()
    device = _see_one_device(setup.device)
    import_what_trials_need(setup.families)
    from benchmark.training import Captures, keep_freed_memory, resident_bytes

    if device == "cpu":
        keep_freed_memory()
    try:
        try:
            data, captures = load_data(replace(setup, device=device)), Captures()
        except UnknownNameError:
            # The device is gone, and no other worker's affair.
            raise
        except BenchError as error:
            connection.send(Failed(_reason(error), traceback.format_exc(), FailureKind.NO_START, spoilt=True))
            return
        artifacts = None if setup.place is None else Artifacts(setup.place)
        # What is there by now stays: looking through it before every trial takes a sixth of a second.
        gc.collect()
        gc.freeze()
        while True:
            connection.send(Ready(data.where.name, resident_bytes()))
            work(connection, connection.recv(), data, captures, artifacts)
    except (EOFError, BrokenPipeError, ConnectionResetError):
        pass  # The parent is gone, and with it the reason to go on.


def work(
    connection: Connection, job: Job, data: DeviceData, captures: Captures, artifacts: Artifacts | None = None
) -> None:
    """Do one job and answer. Raises EOFError or an OSError of the connection where the parent is gone."""
    from benchmark.training import (
        DivergedError,
        TrainingRun,
        peak_memory_bytes,
        start_peak_memory,
        state_to_bytes,
        weights_to_bytes,
    )

    run = None
    try:
        start_peak_memory(data.where)
        run = TrainingRun(job.config, data, captures)
        connection.send(_begin(run, job, artifacts))
        saved, checkpoints = time.monotonic(), 0
        for record in run.reports():
            connection.send(replace(record, peak_memory_bytes=peak_memory_bytes(data.where)))
            if not connection.recv():
                return
            plan = job.checkpoints
            if plan is None or artifacts is None or record.step == job.config.reports:
                continue
            if time.monotonic() - saved >= plan.every_seconds:
                content = state_to_bytes(run.state_dict())
                file = _keep(connection, artifacts, plan.names[checkpoints % 2], content, "its checkpoint was")
                if file is not None:
                    connection.send(Saved(record.step, file))
                    checkpoints += 1
                saved = time.monotonic()
        trained = run.trained()
        finished = _finish(job, data, run, trained)
        if artifacts is not None and finished.val_accuracy >= job.keep_from:
            weights = _keep(connection, artifacts, job.weights, weights_to_bytes(trained.model), "its weights were")
            finished = replace(finished, weights=weights)
        connection.send(finished)
    except (EOFError, BrokenPipeError, ConnectionResetError):
        raise
    except Exception as error:
        spoilt = not isinstance(error, DivergedError | BenchError)
        spent = (0.0, 0.0) if run is None else run.seconds
        peak = peak_memory_bytes(data.where)
        connection.send(Failed(_reason(error), traceback.format_exc(), _kind(error), spoilt, *spent, peak))


def _begin(run: TrainingRun, job: Job, artifacts: Artifacts | None) -> Planned:
    from benchmark.training import state_from_bytes

    if job.resume_from is not None and artifacts is not None:
        # Missing, damaged, or of another release or device: what it would have saved is done again.
        with suppress(BenchError, OSError):
            return Planned(run.resume(state_from_bytes(artifacts.read(job.resume_from))), resumed=True)
    images = run.open(job.images)
    return Planned(images, preparing_seconds=run.preparing_seconds)


def _keep(connection: Connection, artifacts: Artifacts, name: str, content: bytes, what: str) -> StoredFile | None:
    """Write a file. Where that fails, the parent is told and the trial goes on without it, unless the disk is full."""
    try:
        return artifacts.write(name, content)
    except (BenchError, OSError) as error:
        if _kind(error) is FailureKind.NO_ROOM:
            raise
        connection.send(Noted(f"{what} not kept: {_reason(error)}"))
        return None


def _finish(job: Job, data: DeviceData, run: TrainingRun, trained: TrainedModel) -> Finished:
    from benchmark.training import images_that_fit, multiply_accumulates, peak_memory_bytes, predict, seconds_to_predict

    peak_bytes = peak_memory_bytes(data.where)
    views = job.config.views
    answer = partial(
        predict,
        trained.model,
        data,
        views=views,
        precision=job.config.precision,
        largest_batch=run.stepper.largest_prediction,
    )
    started = time.perf_counter()
    val = answer(data.val).cpu()
    test = answer(data.test).cpu()
    inference = partial(seconds_to_predict, trained.model, data, views=views, precision=job.config.precision)
    most = min(_PREDICTED_TOGETHER, images_that_fit(data))
    together = min(most, len(data.test), run.stepper.largest_prediction or most)
    inference_seconds, latency_seconds = inference(together) / together, inference(1)
    answering_seconds = time.perf_counter() - started
    val_accuracy = (val.argmax(dim=1) == data.val.labels.cpu()).float().mean().item()
    return Finished(
        val_accuracy=val_accuracy,
        predictions=(Predictions(Split.VAL, val.numpy()), Predictions(Split.TEST, test.numpy())),
        cost=Cost(
            parameters=sum(parameter.numel() for parameter in trained.model.parameters()),
            macs=multiply_accumulates(trained.model, data) * VIEWS[views],
            train_seconds=trained.train_seconds,
            inference_ms=1000 * inference_seconds,
            peak_memory_bytes=peak_bytes,
            latency_ms=1000 * latency_seconds,
        ),
        best_step=trained.best_step,
        images_seen=trained.images_seen,
        images_planned=trained.images_planned,
        evaluation_seconds=trained.evaluation_seconds + answering_seconds,
    )


def _kind(error: Exception) -> FailureKind:
    from torch import OutOfMemoryError

    if isinstance(error, OutOfMemoryError | MemoryError) or any(words in str(error) for words in _OUT_OF_MEMORY):
        return FailureKind.OUT_OF_MEMORY
    if isinstance(error, OSError) and error.errno in _NO_ROOM:
        return FailureKind.NO_ROOM
    if isinstance(error, RuntimeError) and str(error).startswith(_OF_A_DEVICE):
        return FailureKind.DEVICE
    return FailureKind.ERROR


def _reason(error: Exception) -> str:
    from benchmark.training import DivergedError

    text = str(error).strip().splitlines()[0] if str(error).strip() else ""
    if _kind(error) is FailureKind.OUT_OF_MEMORY:
        return f"out of memory: {text}"
    if _kind(error) is FailureKind.NO_ROOM:
        return f"no room left on the disk: {text}"
    if isinstance(error, DivergedError | BenchError):
        return text
    return f"{type(error).__name__}: {text}"


def _end_with_parent() -> None:
    """Have this process end as soon as its parent does, and not only when it speaks to it next."""
    parent = parent_process()
    if parent is not None:

        def watch() -> None:
            parent.join()
            os._exit(1)

        threading.Thread(target=watch, daemon=True).start()


def _see_one_device(device: str) -> str:
    """Leave this process one visible GPU, its own; the device by its name from now on."""
    kind, _, index = device.partition(":")
    if kind != "cuda":
        return device
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    os.environ["CUDA_VISIBLE_DEVICES"] = visible.split(",")[int(index or 0)] if visible else index or "0"
    return "cuda:0"
