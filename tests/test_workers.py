"""What a child answers to a job, and how a machine is shared out between children."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from multiprocessing import Pipe
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_model

from benchmark import workers
from benchmark.architectures import ARCHITECTURES
from benchmark.definition import parse_study
from benchmark.errors import BenchError
from benchmark.records import Budget, Choice, ProgressRecord, Split, TrialConfig
from benchmark.training import Captures, DeviceData, DivergedError, TrainedModel, predict, train
from benchmark.workers import Failed, Finished, Job, Planned, WorkerSetup, worker_setups

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


@pytest.fixture(scope="module")
def data() -> Iterator[DeviceData]:
    threads = torch.get_num_threads()
    yield workers.load_data(SETUP)
    torch.set_num_threads(threads)


def answers(data: DeviceData, config: TrialConfig, weights: Path, replies: list[bool]) -> list[Any]:
    """Everything that a child says while it works on the job and hears the replies."""
    ours, theirs = Pipe()
    with ours, theirs:
        for reply in replies:
            ours.send(reply)
        workers._work(theirs, Job(config, weights), data, Captures())
        said = []
        while ours.poll():
            said.append(ours.recv())
        return said


def test_a_job_is_planned_reported_and_finished(data: DeviceData, tmp_path: Path) -> None:
    weights = tmp_path / "trial.partial"
    planned, first, second, finished = answers(data, CONFIG, weights, [True, True])
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
    assert finished.cost.peak_memory_bytes is None or finished.cost.peak_memory_bytes > 0
    # Reports and the final predictions of both splits.
    assert finished.evaluation_seconds > second.evaluation_seconds > first.evaluation_seconds > 0

    model = ARCHITECTURES["cnn"].build(data.image_shape, data.num_classes, **CONFIG.architecture.params)
    assert finished.cost.parameters == sum(parameter.numel() for parameter in model.parameters())
    load_model(model, str(weights))
    again = predict(model.eval(), data, data.test, views="two", precision="float32")
    torch.testing.assert_close(again, torch.from_numpy(test.log_probs), atol=1e-4, rtol=1e-4)


def test_views_are_paid_for(data: DeviceData, tmp_path: Path) -> None:
    costs = [
        answers(data, replace(CONFIG, views=views), tmp_path / "w", [True] * 2)[-1].cost.macs
        for views in ("one", "two", "six")
    ]
    assert costs == [costs[0], 2 * costs[0], 6 * costs[0]]
    assert costs[0] > 0


@pytest.mark.parametrize("averaging", [Choice("none"), Choice("lookahead")])
def test_a_budget_in_seconds_is_planned_and_can_be_repeated(
    data: DeviceData, tmp_path: Path, averaging: Choice
) -> None:
    config = replace(CONFIG, budget=Budget(seconds=0.2), averaging=averaging, batch_size=64)
    planned, *_, finished = answers(data, config, tmp_path / "w", [True] * 2)
    assert planned.images == finished.images_seen
    again = run_to_the_end(config, data, planned.images)
    predicted = predict(again.model, data, data.test, views="two", precision="float32")
    assert torch.equal(predicted, torch.from_numpy(finished.predictions[1].log_probs))


def run_to_the_end(config: TrialConfig, data: DeviceData, images: int) -> TrainedModel:
    reports = train(config, data, images)
    while True:
        try:
            next(reports)
        except StopIteration as stop:
            trained: TrainedModel = stop.value
            return trained


def test_a_job_that_is_stopped_leaves_nothing(data: DeviceData, tmp_path: Path) -> None:
    said = answers(data, CONFIG, tmp_path / "trial.partial", [False])
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
            "diverged: the loss was not finite",
        ),
        ({"architecture": Choice("cnn", {"variant": "none"})}, "KeyError: 'none'"),
        ({"architecture": Choice("cnnn")}, "unknown architecture 'cnnn'; did you mean 'cnn'?"),
    ],
)
def test_a_job_that_fails_says_why(data: DeviceData, tmp_path: Path, change: dict[str, Any], reason: str) -> None:
    failed = answers(data, replace(CONFIG, **change), tmp_path / "w", [True] * 2)[-1]
    assert isinstance(failed, Failed)
    assert failed.reason.startswith(reason)
    assert "Traceback" in failed.details
    # The child goes on with the next job.
    assert isinstance(answers(data, CONFIG, tmp_path / "w", [True] * 2)[-1], Finished)


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (torch.OutOfMemoryError("3 GB wanted\nmore"), "out of memory: 3 GB wanted"),
        (MemoryError(), "out of memory: "),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: 8 GB"), "out of memory: DefaultCPUAllocator"),
        (DivergedError(4), "diverged: the loss was not finite by step 4"),
        (BenchError("no such folder"), "no such folder"),
        (ValueError(""), "ValueError: "),
    ],
)
def test_reasons(error: Exception, reason: str) -> None:
    assert workers._reason(error).startswith(reason)


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
    monkeypatch: pytest.MonkeyPatch, devices: list[str], asked: int | None, expected: list[tuple[str, int]]
) -> None:
    monkeypatch.setattr(workers, "cpu_count", lambda: 4)
    setups = worker_setups(devices, asked, spec(), None)
    assert [(setup.device, setup.threads) for setup in setups] == expected
    assert {(setup.dataset, setup.val, setup.split_seed) for setup in setups} == {("digits", 50, 3)}


def test_the_split_is_the_setups(data: DeviceData) -> None:
    other = workers.load_data(replace(SETUP, split_seed=1))
    assert len(data.val) == len(other.val) == math.floor(0.1 * (len(data.train) + len(data.val)) + 0.5)
    assert not torch.equal(data.val.pixels, other.val.pixels)
