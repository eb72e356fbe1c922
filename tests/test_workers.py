"""What a child answers to a job, and how a machine is shared out between children."""

from __future__ import annotations

import errno
import math
import os
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from itertools import count
from multiprocessing import Pipe
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import psutil
import pytest
import safetensors.torch
import torch
from PIL import Image

from benchmark.architectures import ARCHITECTURES
from benchmark.artifacts import Artifacts, beside_database
from benchmark.cache import VARIABLE
from benchmark.datasets import DATASETS
from benchmark.definition import parse_study
from benchmark.errors import BenchError
from benchmark.records import Budget, Choice, ProgressRecord, Split, TrialConfig
from benchmark.splits import stratified_split
from benchmark.training import Captures, DeviceData, DivergedError, TrainedModel, TrainingRun, loop, predict
from benchmark.workers import (
    CheckpointPlan,
    Failed,
    FailureKind,
    Finished,
    Job,
    Noted,
    Planned,
    Ready,
    Saved,
    WorkerSetup,
    child,
    launch,
    load_data,
    memory_limit,
    runs_mps,
    start_child,
    worker_setups,
)

SETUP = WorkerSetup(dataset="digits", data_folder=None, val=0.1, split_seed=0, device="cpu", threads=1)
CONFIG = TrialConfig(
    architecture=Choice("cnn", {"variant": "plain", "width": 16, "depth": 2}),
    augmentations=(),
    optimizer=Choice("sgd", {"lr": 0.1}),
    schedule=Choice("linear"),
    budget=Budget(epochs=1),
    batch_size=256,
    seed=0,
    reports=2,
    precision="float32",
)
JOB = Job(CONFIG, "trial-00000.safetensors")


def job(**change: Any) -> Job:
    """JOB with another configuration."""
    return replace(JOB, config=replace(CONFIG, **change))


@pytest.fixture(scope="module")
def data() -> Iterator[DeviceData]:
    threads = torch.get_num_threads()
    yield load_data(SETUP)
    torch.set_num_threads(threads)


def answers(data: DeviceData, job: Job, folder: Path, replies: list[bool]) -> list[Any]:
    """Everything that a child says while it works on the job and hears the replies."""
    ours, theirs = Pipe()
    with ours, theirs:
        for reply in replies:
            ours.send(reply)
        child.work(theirs, job, data, Captures(), Artifacts(beside_database(folder)))
        said = []
        while ours.poll():
            said.append(ours.recv())
        return said


def test_a_job_is_planned_reported_and_finished(data: DeviceData, tmp_path: Path) -> None:
    planned, first, second, finished = answers(data, JOB, tmp_path, [True, True])
    assert planned == Planned(len(data.train))
    assert isinstance(first, ProgressRecord)
    assert isinstance(second, ProgressRecord)
    assert (first.step, second.step) == (1, 2)
    assert isinstance(finished, Finished)
    assert finished.best_step in (1, 2)
    assert finished.images_seen == second.images_seen == round(len(data.train) / 256) * 256
    assert [item.split for item in finished.predictions] == [Split.VAL, Split.TEST]
    val, test = finished.predictions
    assert (len(val.log_probs), len(test.log_probs)) == (len(data.val), len(data.test))
    assert finished.val_accuracy == pytest.approx((val.log_probs.argmax(1) == data.val.labels.numpy()).mean())
    assert finished.cost.train_seconds > 0
    assert finished.cost.inference_ms > 0
    assert finished.cost.latency_ms is not None
    # One image alone costs more than one of many.
    assert finished.cost.latency_ms > finished.cost.inference_ms
    if sys.platform == "linux":
        assert first.peak_memory_bytes is not None
        assert second.peak_memory_bytes is not None
        assert finished.cost.peak_memory_bytes is not None
        assert 0 < first.peak_memory_bytes <= second.peak_memory_bytes <= finished.cost.peak_memory_bytes
    # Reports and the final predictions of both splits.
    assert finished.evaluation_seconds > second.evaluation_seconds > first.evaluation_seconds > 0

    model = ARCHITECTURES["cnn"].build(data.image_shape, data.num_classes, **CONFIG.architecture.params)
    assert finished.cost.parameters == sum(parameter.numel() for parameter in model.parameters())
    assert finished.weights is not None
    content = Artifacts(beside_database(tmp_path)).read(finished.weights)
    model.load_state_dict(safetensors.torch.load(content))
    again = predict(model.eval(), data, data.test, views="two", precision="float32")
    torch.testing.assert_close(again, torch.from_numpy(test.log_probs), atol=1e-4, rtol=1e-4)


def test_views_are_paid_for(data: DeviceData, tmp_path: Path) -> None:
    costs = [answers(data, job(views=views), tmp_path, [True] * 2)[-1].cost.macs for views in ("one", "two", "six")]
    assert costs == [costs[0], 2 * costs[0], 6 * costs[0]]
    assert costs[0] > 0


@pytest.mark.parametrize("averaging", [Choice("none"), Choice("lookahead")])
def test_a_budget_in_seconds_is_planned_and_can_be_repeated(
    data: DeviceData, tmp_path: Path, averaging: Choice
) -> None:
    asked = job(budget=Budget(seconds=0.2), averaging=averaging, batch_size=64)
    config = asked.config
    planned, *_, finished = answers(data, asked, tmp_path, [True] * 2)
    assert planned.images == finished.images_seen
    again = run_to_the_end(config, data, planned.images)
    predicted = predict(again.model, data, data.test, views="two", precision="float32")
    assert torch.equal(predicted, torch.from_numpy(finished.predictions[1].log_probs))


def run_to_the_end(config: TrialConfig, data: DeviceData, images: int) -> TrainedModel:
    run = TrainingRun(config, data)
    run.open(images)
    assert list(run.reports())
    return run.trained()


def test_a_job_that_is_stopped_leaves_nothing(data: DeviceData, tmp_path: Path) -> None:
    said = answers(data, JOB, tmp_path, [False])
    assert [type(message) for message in said] == [Planned, ProgressRecord]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (
            {
                "optimizer": Choice("sgd", {"lr": 1e30}),
                "architecture": Choice("cnn", {"variant": "whitening"}),
                "schedule": Choice("linear", {"warmup": 0.0}),
            },
            "diverged at step",
        ),
        ({"architecture": Choice("cnn", {"variant": "none"})}, "KeyError: 'none'"),
        ({"architecture": Choice("cnnn")}, "unknown architecture 'cnnn'; did you mean 'cnn'?"),
    ],
)
def test_a_job_that_fails_says_why(data: DeviceData, tmp_path: Path, change: dict[str, Any], reason: str) -> None:
    failed = answers(data, job(**change), tmp_path, [True] * 2)[-1]
    assert isinstance(failed, Failed)
    assert failed.reason.startswith(reason)
    assert "Traceback" in failed.details
    has_trained = reason.startswith("diverged")
    assert (failed.train_seconds > 0) is has_trained
    assert (failed.peak_memory_bytes or 0) > 0 or sys.platform != "linux"
    # The child goes on with the next job.
    assert isinstance(answers(data, JOB, tmp_path, [True] * 2)[-1], Finished)


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (torch.OutOfMemoryError("3 GB wanted\nmore"), "out of memory: 3 GB wanted"),
        (MemoryError(), "out of memory: "),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: 8 GB"), "out of memory: DefaultCPUAllocator"),
        (DivergedError(4), "diverged at step 4: the training loss was not finite"),
        (OSError(errno.ENOSPC, "No space left on device"), "no room left on the disk: [Errno 28] No space left"),
        (BenchError("no such folder"), "no such folder"),
        (ValueError(""), "ValueError: "),
    ],
)
def test_reasons(error: Exception, reason: str) -> None:
    assert child._reason(error).startswith(reason)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (torch.OutOfMemoryError("3 GB"), FailureKind.OUT_OF_MEMORY),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: 8 GB"), FailureKind.OUT_OF_MEMORY),
        (RuntimeError("CUDA error: out of memory\nCompile with `TORCH_USE_CUDA_DSA`"), FailureKind.OUT_OF_MEMORY),
        (
            RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
            FailureKind.OUT_OF_MEMORY,
        ),
        (RuntimeError("CUDA error: an illegal memory access was encountered"), FailureKind.DEVICE),
        (RuntimeError("cuDNN error: CUDNN_STATUS_EXECUTION_FAILED"), FailureKind.DEVICE),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), FailureKind.ERROR),
        (RuntimeError("cannot be captured as a CUDA graph: CUDA error: operation not permitted"), FailureKind.ERROR),
        (OSError(errno.ENOSPC, "full"), FailureKind.NO_ROOM),
        (OSError(errno.EDQUOT, "quota"), FailureKind.NO_ROOM),
        (OSError(errno.EACCES, "forbidden"), FailureKind.ERROR),
        (ValueError(""), FailureKind.ERROR),
    ],
)
def test_kinds_of_failure(error: Exception, kind: FailureKind) -> None:
    assert child._kind(error) is kind


AWAY = "cannot write in s3://shelf: could not connect"


def unwritable(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    """Let no file be written."""

    def write(*_: object) -> None:
        raise error

    monkeypatch.setattr(Artifacts, "write", write)


@pytest.mark.parametrize(
    ("error", "told"),
    [(BenchError(AWAY), AWAY), (PermissionError(errno.EACCES, "no"), "PermissionError: [Errno 13] no")],
)
def test_a_trial_whose_files_cannot_be_written_finishes_without_and_says_so(
    data: DeviceData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, told: str
) -> None:
    unwritable(monkeypatch, error)
    said = answers(data, CHECKPOINTED, tmp_path, [True] * 4)
    assert [type(message) for message in said] == [
        Planned,
        *[ProgressRecord, Noted] * 3,
        ProgressRecord,
        Noted,
        Finished,
    ]
    *lost, without_weights = [message.what for message in said if isinstance(message, Noted)]
    assert lost == [f"its checkpoint was not kept: {told}"] * 3
    assert without_weights == f"its weights were not kept: {told}"
    assert said[-1].weights is None
    assert len(said[-1].predictions) == 2


@pytest.mark.parametrize("asked", ["weights", "checkpoints"])
def test_a_full_disk_is_no_matter_of_one_file(
    data: DeviceData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asked: str
) -> None:
    unwritable(monkeypatch, OSError(errno.ENOSPC, "No space left on device"))
    failed = answers(data, JOB if asked == "weights" else CHECKPOINTED, tmp_path, [True] * 4)[-1]
    assert isinstance(failed, Failed)
    assert failed.kind is FailureKind.NO_ROOM


@pytest.mark.parametrize(("keep_from", "kept"), [(0.0, True), (1.01, False)])
def test_weights_that_will_not_be_kept_are_not_written(
    data: DeviceData, tmp_path: Path, keep_from: float, kept: bool
) -> None:
    finished = answers(data, replace(JOB, keep_from=keep_from), tmp_path, [True] * 2)[-1]
    assert (finished.weights is not None) is kept
    assert [path.name for path in tmp_path.iterdir()] == ([JOB.weights] if kept else [])


# Going on -------------------------------------------------------------------------------------------------------------

CHECKPOINTED = replace(
    job(reports=4, augmentations=(Choice("flip", {"mode": "alternating"}),)),
    checkpoints=CheckpointPlan(("0.checkpoint", "1.checkpoint"), every_seconds=0.0),
)


def test_a_job_goes_on_from_its_checkpoint_as_if_nothing_had_happened(data: DeviceData, tmp_path: Path) -> None:
    said = answers(data, CHECKPOINTED, tmp_path, [True] * 4)
    saved = [message for message in said if isinstance(message, Saved)]
    assert [(message.step, message.file.name) for message in saved] == [
        (1, "0.checkpoint"),
        (2, "1.checkpoint"),
        (3, "0.checkpoint"),
    ], "two names in turn, and none after the last report"
    # The second checkpoint: the first one's file is the third's by now.
    planned, *records, finished = answers(
        data, replace(CHECKPOINTED, resume_from=saved[1].file, checkpoints=None), tmp_path, [True] * 2
    )
    assert planned == Planned(said[0].images, resumed=True)
    assert [record.step for record in records] == [3, 4]
    for one, other in zip(finished.predictions, said[-1].predictions, strict=True):
        assert one.digest == other.digest


@pytest.mark.parametrize("damage", ["missing", "altered"])
def test_a_checkpoint_that_is_damaged_is_done_without(data: DeviceData, tmp_path: Path, damage: str) -> None:
    said = answers(data, CHECKPOINTED, tmp_path, [True] * 4)
    path = tmp_path / "1.checkpoint"
    path.unlink() if damage == "missing" else path.write_bytes(path.read_bytes()[:-1])
    (saved,) = [message for message in said if isinstance(message, Saved) and message.step == 2]
    planned, *records, finished = answers(
        data, replace(CHECKPOINTED, resume_from=saved.file, checkpoints=None), tmp_path, [True] * 4
    )
    assert planned == Planned(said[0].images, resumed=False)
    assert [record.step for record in records] == [1, 2, 3, 4]
    assert finished.predictions[0].digest == said[-1].predictions[0].digest


def test_a_checkpoint_of_another_release_is_done_without(
    data: DeviceData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = answers(data, CHECKPOINTED, tmp_path, [True] * 4)
    (saved,) = [message for message in said if isinstance(message, Saved) and message.step == 2]
    monkeypatch.setattr(loop, "_PROGRESS", (*loop._PROGRESS, "sighs"))
    planned, *records, finished = answers(
        data, replace(CHECKPOINTED, resume_from=saved.file, checkpoints=None), tmp_path, [True] * 4
    )
    assert planned == Planned(said[0].images, resumed=False)
    assert [record.step for record in records] == [1, 2, 3, 4]
    assert finished.predictions[0].digest == said[-1].predictions[0].digest


def test_a_checkpoint_after_every_other_report_does_not_overwrite_the_last_one_either(
    data: DeviceData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = SimpleNamespace(monotonic=partial(next, count()), perf_counter=time.perf_counter)
    monkeypatch.setattr(child, "time", clock)
    plan = CheckpointPlan(("a", "b"), every_seconds=2.0)
    said = answers(data, replace(job(reports=6), checkpoints=plan), tmp_path, [True] * 6)
    saved = [message for message in said if isinstance(message, Saved)]
    assert [(message.step, message.file.name) for message in saved] == [(2, "a"), (4, "b")]


def test_a_short_trial_leaves_no_checkpoint(data: DeviceData, tmp_path: Path) -> None:
    plan = CheckpointPlan(("a", "b"), every_seconds=60.0)
    said = answers(data, replace(CHECKPOINTED, checkpoints=plan), tmp_path, [True] * 4)
    assert not [message for message in said if isinstance(message, Saved)]


# A machine ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("visible", "device", "expected"),
    [
        (None, "cuda:3", ("cuda:0", "3")),
        (None, "cuda", ("cuda:0", "0")),
        ("4,6,GPU-ab", "cuda:1", ("cuda:0", "6")),
        ("4,6,GPU-ab", "cuda:2", ("cuda:0", "GPU-ab")),
        ("4", "cpu", ("cpu", "4")),
        (None, "cpu", ("cpu", None)),
    ],
)
def test_a_child_sees_its_own_gpu_only(
    monkeypatch: pytest.MonkeyPatch, visible: str | None, device: str, expected: tuple[str, str | None]
) -> None:
    environment = {} if visible is None else {"CUDA_VISIBLE_DEVICES": visible}
    monkeypatch.setattr(child.os, "environ", environment)
    assert (child._see_one_device(device), environment.get("CUDA_VISIBLE_DEVICES")) == expected


@pytest.fixture
def started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], launch.Child]]:
    """Starts a worker whose data set is prepared in the cache folder of that name, and waits until it is ready."""
    for name in ("cat", "dog"):
        (tmp_path / "images" / name).mkdir(parents=True)
        for number in range(20):
            pixels = np.full((8, 8, 3), number + 50 * (name == "dog"), np.uint8)
            Image.fromarray(pixels).save(tmp_path / "images" / name / f"{number}.png")
    children = []

    def start(cache: str) -> launch.Child:
        monkeypatch.setenv(VARIABLE, str(tmp_path / cache))
        children.append(start_child(replace(SETUP, dataset="folder", data_folder=tmp_path / "images", val=0.2)))
        assert children[-1].connection.poll(300)
        assert isinstance(children[-1].connection.recv(), Ready)
        assert (tmp_path / cache / "folder").exists()
        return children[-1]

    yield start
    for one in children:
        one.end()
        assert not one.process.is_alive()


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="workers are forked on Linux alone")
def test_workers_on_a_cpu_are_forked_from_one_server_and_live_in_their_parents_environment(
    started: Callable[[str], launch.Child],
) -> None:
    first, second = (psutil.Process(started(cache).process.pid) for cache in ("first", "second"))
    assert first.pid != second.pid
    assert first.ppid() == second.ppid() != os.getpid()


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTSTP])
@pytest.mark.skipif(sys.platform != "linux", reason="workers are forked on Linux alone")
def test_the_terminals_signals_are_the_parents_alone(
    started: Callable[[str], launch.Child], number: signal.Signals
) -> None:
    """A worker that stopped in the midst of a message would hold its parent up before it stops itself."""
    worker = started("first")
    server = psutil.Process(psutil.Process(worker.process.pid).ppid())
    worker.send_signal(number)
    server.send_signal(number)
    second = started("second")
    for one in (worker, second):
        one.connection.send("no job")
        for answer in (Failed, Ready):
            assert one.connection.poll(60)
            assert isinstance(one.connection.recv(), answer)
    worker.send_signal(signal.SIGSTOP)
    worker.connection.send("no job")
    assert not worker.connection.poll(1)
    worker.send_signal(signal.SIGCONT)
    assert worker.connection.poll(60)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="workers are forked on Linux alone")
def test_workers_outlive_the_server_that_they_were_forked_from_and_it_is_replaced(
    started: Callable[[str], launch.Child],
) -> None:
    first = started("first")
    server = psutil.Process(psutil.Process(first.process.pid).ppid())
    server.kill()
    started("second")
    assert not server.is_running() or server.status() == psutil.STATUS_ZOMBIE
    first.connection.send("no job")
    assert isinstance(first.connection.recv(), Failed)


@pytest.mark.slow
@pytest.mark.parametrize(
    "device",
    [
        "cpu",
        pytest.param(
            "cuda:0",
            marks=[
                pytest.mark.gpu,
                pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
            ],
        ),
    ],
)
def test_a_worker_gives_the_same_trial_twice(device: str, tmp_path: Path) -> None:
    worker = start_child(replace(SETUP, device=device, place=beside_database(tmp_path)))
    try:
        first, second = (trained_by(worker, job(batch_size=32, budget=Budget(epochs=2))) for _ in range(2))
    finally:
        worker.end()
    assert first.val_accuracy == second.val_accuracy > 0.3
    for one, other in zip(first.predictions, second.predictions, strict=True):
        assert np.array_equal(one.log_probs, other.log_probs)
    assert first.weights == second.weights


def trained_by(worker: launch.Child, asked: Job) -> Finished:
    """What a worker that is ready, or will be, says at the end of a job."""
    while True:
        assert worker.connection.poll(300)
        answer = worker.connection.recv()
        if isinstance(answer, Ready):
            worker.connection.send(asked)
        elif isinstance(answer, ProgressRecord):
            worker.connection.send(True)
        elif isinstance(answer, Finished):
            return answer
        else:
            assert isinstance(answer, Planned), answer


def test_workers_share_the_machines_memory() -> None:
    assert memory_limit(2.5, 3) == 2.5e9
    assert memory_limit(None, 4) == pytest.approx(memory_limit(None, 1) / 4)
    assert memory_limit(None, 1) > 2**30


def spec() -> Any:
    text = 'dataset = "digits"\nfamilies = ["cnn"]\n[budget]\nepochs = 1\n[split]\nval = 50\nseed = 3\n'
    return parse_study("mine", text, "mine.toml")


@pytest.mark.parametrize(
    ("devices", "asked", "expected"),
    [
        (["cpu"], None, [("cpu", 1)] * 4),
        (["cpu"], 2, [("cpu", 2)] * 2),
        (["cpu"], 3, [("cpu", 1)] * 3),
        (["cpu"], 8, [("cpu", 1)] * 8),
        (["cuda:0", "cuda:1"], None, [("cuda:0", 1), ("cuda:1", 1)]),
        (["cuda:0", "cuda:1"], 3, [("cuda:0", 1), ("cuda:1", 1), ("cuda:0", 1)]),
    ],
)
def test_a_machine_is_shared_out(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    devices: list[str],
    asked: int | None,
    expected: list[tuple[str, int]],
) -> None:
    monkeypatch.setenv("CUDA_MPS_PIPE_DIRECTORY", str(tmp_path))
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(launch, "cpu_count", lambda: 4)
    setups = worker_setups(devices, asked, spec(), None)
    assert [(setup.device, setup.threads) for setup in setups] == expected
    assert {(setup.dataset, setup.val, setup.split_seed) for setup in setups} == {("digits", 50, 3)}
    assert {setup.families for setup in setups} == {() if devices == ["cpu"] else ("cnn",)}


@pytest.mark.parametrize(
    ("devices", "workers", "expected"),
    [(["cuda:0"], 1, 1.0), (["cuda:0", "cuda:1"], 2, 1.0), (["cuda:0"], 3, 0.3), (["cuda:0", "cuda:1"], 3, 0.45)],
)
def test_workers_of_a_gpu_share_its_memory(devices: list[str], workers: int, expected: float) -> None:
    setups = worker_setups(devices, workers, spec(), None)
    assert [setup.memory_share for setup in setups] == pytest.approx([expected] * workers)


def test_a_gpu_that_torch_cannot_use_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    for is_available, expected in ((True, ["cuda:0", "cuda:1"]), (False, ["cpu"])):
        monkeypatch.setattr(torch.cuda, "is_available", lambda told=is_available: told)
        assert launch.devices() == expected


def test_what_a_family_imports_is_imported_before_its_first_trial_and_may_be_broken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a_fine_package.py").write_text("")
    (tmp_path / "a_broken_package.py").write_text("raise RuntimeError('operator torchvision::nms does not exist')")
    monkeypatch.syspath_prepend(tmp_path)
    entry = ARCHITECTURES["cnn"]
    needy = replace(entry, tags={**entry.tags, "imports": ("a_broken_package", "a_fine_package", "a_missing_package")})
    monkeypatch.setitem(ARCHITECTURES._entries, "cnn", needy)
    monkeypatch.delitem(sys.modules, "a_fine_package", raising=False)
    child.import_what_trials_need(["resnet"])
    assert "a_fine_package" not in sys.modules
    child.import_what_trials_need(["cnn", "resnet"])
    assert "a_fine_package" in sys.modules


@pytest.mark.parametrize(("told", "expected"), [("1", 1), ("3", 3), ("9", 4), ("0", 1), ("4,3", 4), ("", 4)])
def test_no_worker_has_more_threads_than_the_environment_allows(
    monkeypatch: pytest.MonkeyPatch, told: str, expected: int
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", told)
    monkeypatch.setattr(launch, "cpu_count", lambda: 4)
    (setup,) = worker_setups(["cpu"], 1, spec(), None)
    assert setup.threads == expected


@pytest.mark.skipif(sys.platform != "linux", reason="MPS is for Linux alone")
@pytest.mark.parametrize(
    ("devices", "cores", "asked", "expected"),
    [
        (["cpu"], 4, None, 4),
        (["cuda:0"], 16, None, 4),
        (["cuda:0"], 2, None, 2),
        (["cuda:0"], 16, 1, 1),
        (["cuda:0", "cuda:1"], 16, None, 8),
        (["cuda:0", "cuda:1"], 1, None, 2),
    ],
)
def test_workers_under_mps(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, devices: list[str], cores: int, asked: int | None, expected: int
) -> None:
    (tmp_path / "nvidia-cuda-mps-control.pid").write_text(f"{os.getpid()}\n")
    monkeypatch.setenv("CUDA_MPS_PIPE_DIRECTORY", str(tmp_path))
    monkeypatch.setattr(launch, "cpu_count", lambda: cores)
    setups = worker_setups(devices, asked, spec(), None)
    assert len(setups) == expected
    assert Counter(setup.device for setup in setups) == dict.fromkeys(devices, expected // len(devices))


@pytest.mark.parametrize("number", ["", "0", "4194305", "../self", None])
def test_no_mps_where_its_daemon_is_gone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, number: str | None) -> None:
    told = tmp_path / "nvidia-cuda-mps-control.pid"
    told.mkdir() if number is None else told.write_text(number)
    monkeypatch.setenv("CUDA_MPS_PIPE_DIRECTORY", str(tmp_path))
    assert not runs_mps()
    monkeypatch.setenv("CUDA_MPS_PIPE_DIRECTORY", str(tmp_path / "nowhere"))
    assert not runs_mps()


def test_the_split_is_the_setups(data: DeviceData) -> None:
    other = load_data(replace(SETUP, split_seed=1))
    assert len(data.val) == len(other.val) == math.floor(0.1 * (len(data.train) + len(data.val)) + 0.5)
    assert not torch.equal(data.val.pixels, other.val.pixels)


def test_other_images_than_the_studys_are_refused(data: DeviceData) -> None:
    dataset = DATASETS["digits"].build(None, lambda _: None)
    digests = (dataset.fingerprint, stratified_split(dataset.train.labels, SETUP.val, SETUP.split_seed).digest)
    assert len(load_data(replace(SETUP, digests=digests)).val) == len(data.val)
    for other in (("0" * 64, digests[1]), (digests[0], "0" * 16)):
        with pytest.raises(BenchError, match="the images of digits are others than when the study was opened"):
            load_data(replace(SETUP, digests=other))


@pytest.mark.parametrize(
    "words",
    [
        "GET was unable to find an engine to execute this computation",
        "cuDNN error: CUDNN_STATUS_ALLOC_FAILED",
        "CUDA error: out of memory",
    ],
)
def test_what_cudnn_says_where_memory_is_short_is_out_of_memory(words: str) -> None:
    assert child._kind(RuntimeError(words)) is FailureKind.OUT_OF_MEMORY
    assert child._kind(RuntimeError("an illegal memory access")) is FailureKind.ERROR
