"""Small training runs on invented images, and what it takes to compare two of them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import nn

from benchmark.records import Budget, Choice, Dataset, Images, ProgressRecord, SplitRows, TrialConfig
from benchmark.training import DeviceData, TrainedModel, TrainingRun, choose_device

Ended = tuple[list[ProgressRecord], TrainedModel]
"""What a run reported, and what it returned."""

SGD = Choice("sgd", {"lr": 0.1, "momentum": 0.9, "weight_decay": 1e-4, "bias_scale": 1.0})
CONFIG = TrialConfig(
    architecture=Choice("cnn", {"variant": "plain", "width": 16, "depth": 2, "stem_stride": 1}),
    augmentations=(Choice("flip", {"mode": "random"}), Choice("crop", {"pixels": 1})),
    optimizer=SGD,
    schedule=Choice("linear", {"warmup": 0.1}),
    budget=Budget(epochs=2),
    batch_size=16,
    seed=5,
    reports=4,
    precision="float32",
)


def halves(side: int, device: str = "cpu") -> DeviceData:
    """64 + 32 + 20 images of `side` x `side` pixels whose class is the brighter half."""
    random = np.random.default_rng(0)

    def images(count: int) -> Images:
        labels = np.arange(count, dtype=np.int64) % 2
        pixels = random.integers(0, 200, (count, side, side, 3), np.uint8)
        for row, label in enumerate(labels):
            pixels[row, side // 2 * label : side // 2 * (label + 1)] += 40
        return Images(pixels, labels)

    dataset = Dataset("halves", ("upper", "lower"), images(96), images(20), "0")
    return DeviceData.load(dataset, SplitRows(np.arange(64), np.arange(64, 96)), choose_device(device))


def run(config: TrialConfig, data: DeviceData, images: int | None = None) -> Ended:
    running = TrainingRun(config, data)
    running.open(images)
    return to_the_end(running)


def to_the_end(running: TrainingRun) -> Ended:
    return list(running.reports()), running.trained()


def assert_same_run(one: Ended, other: Ended) -> None:
    """Bit for bit, but for the clock."""
    timeless = {"train_seconds": 0.0, "evaluation_seconds": 0.0, "images_per_second": 0.0}
    assert [replace(record, **timeless) for record in one[0]] == [replace(record, **timeless) for record in other[0]]
    assert same_weights(one[1].model, other[1].model)
    assert (one[1].best_step, one[1].images_seen) == (other[1].best_step, other[1].images_seen)


def same_weights(one: nn.Module, other: nn.Module) -> bool:
    pairs = zip(one.state_dict().values(), other.state_dict().values(), strict=True)
    return all(torch.equal(mine, theirs) for mine, theirs in pairs)
