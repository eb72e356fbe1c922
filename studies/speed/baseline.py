"""The script that a user would write, after Optuna's own PyTorch example and torchvision's tutorials; uses no trainer.

PIL images through RandomCrop, RandomHorizontalFlip, ToTensor and Normalize, a DataLoader with batches of 128, float32
in the default memory format, torch's own number of threads, `loss.item()` after every batch for the running loss.
Nothing is made slower than its author would have made it: several settings, numbers of workers, which persist, and
numbers of such processes side by side are tried, and the best counts.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn
from torch.optim import SGD, Adam, Optimizer
from torch.optim.lr_scheduler import LRScheduler, OneCycleLR
from torch.utils.data import DataLoader
from torchvision import transforms
from torchvision.datasets import CIFAR10

from benchmark.architectures.cnn import cnn
from benchmark.records import Images
from studies.speed.data import load_dataset, split_rows
from studies.speed.plan import Plan

BATCH_SIZE = 128
WIDTH, DEPTH, STEM_STRIDE = 32, 2, 1
"""The small network of both sides in `training`: the `cnn` family's plain variant."""
SCRIPT_NETWORK = (
    f"`cnn`, plain, width {WIDTH}, depth {DEPTH}, batches of {BATCH_SIZE}, float32, answers from the image as it is"
)
_MEAN, _STD = (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)
"""Of CIFAR-10's channels, as everybody copies them."""
_PADDING = 4
_MOMENTUM, _WEIGHT_DECAY = 0.9, 5e-4


class ArraysAsCIFAR10(CIFAR10):  # type: ignore[misc]
    """torchvision's CIFAR10 over arrays that are there already: its own `__getitem__`, without its files and host.

    Pixels uint8 (N, H, W, C); of one channel they become gray PIL images, so that a tiny data set can stand in.
    """

    def __init__(self, images: Images, transform: object) -> None:
        # As torchvision holds them: pixels in one array in memory, labels in a list of ints.
        pixels = np.array(images.pixels)
        self.data = pixels[..., 0] if pixels.shape[3] == 1 else pixels
        self.targets = images.labels.tolist()
        self.transform = transform
        self.target_transform = None


@dataclass(frozen=True)
class Setting:
    """One recipe of the user's script: Adam at a constant rate, or an optimizer under a one-cycle schedule."""

    optimizer: str
    """adam, or sgd with Nesterov momentum."""
    rate: float
    """The constant rate, or the one-cycle schedule's highest."""
    one_cycle_epochs: int | None = None
    """Length of the one-cycle schedule; None is a constant rate."""

    def __str__(self) -> str:
        schedule = f"one cycle of {self.one_cycle_epochs} epochs" if self.one_cycle_epochs else "constant rate"
        return f"{self.optimizer} {self.rate:g}, {schedule}"


CONSTANT_ADAM = Setting("adam", 1e-3)


@dataclass(frozen=True)
class Reached:
    """How a run of the script towards a validation accuracy went.

    `train_seconds` is the time over training batches, loading included; `seconds` adds making the model and scoring
    validation after every epoch. Both end with the first score at or above the target, or when the run gave up.
    """

    reached: bool
    stopped: bool
    """Whether its seconds were spent before its schedule had ended."""
    accuracy: float
    epochs: int
    train_seconds: float
    seconds: float


class UserScript:
    """Data loaders, network, optimizer and schedule of one run of the script."""

    def __init__(self, plan: Plan, setting: Setting, workers: int, seed: int) -> None:
        torch.manual_seed(seed)
        dataset = load_dataset(plan)
        rows = split_rows(plan, dataset)
        self._device = torch.device(plan.device)
        self.train_loader = training_loader(dataset.train.take(rows.train), workers, pinned=plan.device == "cuda")
        self._val_loader = _scoring_loader(dataset.train.take(rows.val), workers, pinned=plan.device == "cuda")
        self._test_loader = _scoring_loader(dataset.test, workers, pinned=plan.device == "cuda")
        self._shape, self._classes = dataset.image_shape, len(dataset.classes)
        self.restart(setting, seed)

    def restart(self, setting: Setting, seed: int) -> None:
        """A new network with its optimizer and schedule."""
        torch.manual_seed(seed)
        model = cnn(self._shape, self._classes, variant="plain", width=WIDTH, depth=DEPTH, stem_stride=STEM_STRIDE)
        self.model = model.to(self._device)
        self._optimizer, self._schedule = _optimizer(self.model, setting, len(self.train_loader))

    def train_epoch(self) -> Iterator[int]:
        """One pass over the training rows; yields the images of each batch when its step is done."""
        self.model.train()
        running_loss = 0.0
        for images, labels in self.train_loader:
            images = images.to(self._device, non_blocking=True)
            labels = labels.to(self._device, non_blocking=True)
            self._optimizer.zero_grad()
            loss = nn.functional.cross_entropy(self.model(images), labels)
            loss.backward()  # type: ignore[no-untyped-call]
            self._optimizer.step()
            if self._schedule is not None:
                self._schedule.step()
            running_loss += loss.item()
            yield len(labels)

    def steps(self) -> Iterator[int]:
        """Endless steps, epoch after epoch; yields the images of each."""
        while True:
            yield from self.train_epoch()

    def accuracy(self) -> float:
        """Share of the validation rows that the network has right."""
        return self._share_right(self._val_loader)

    def test_accuracy(self) -> float:
        """Share of the test rows that the network has right."""
        return self._share_right(self._test_loader)

    def epochs(self, setting: Setting, seed: int, until: float) -> Iterator[float]:
        """A new network's validation accuracy after each epoch of a one-cycle schedule, as far as the time suffices.

        `until` is of time.perf_counter().
        """
        assert setting.one_cycle_epochs is not None
        self.restart(setting, seed)
        for _ in range(setting.one_cycle_epochs):
            for _ in self.train_epoch():
                if time.perf_counter() > until:
                    return
            accuracy = self.accuracy()
            if time.perf_counter() > until:
                return
            yield accuracy

    def run_until(self, target: float, setting: Setting, seed: int, max_epochs: int, max_seconds: float) -> Reached:
        """Train, scoring after every epoch, until `target` (in [0, 1]) is reached, or epochs or seconds are spent."""
        started, train_seconds, accuracy, begun = time.perf_counter(), 0.0, 0.0, 0
        self.restart(setting, seed)
        for begun in range(1, (setting.one_cycle_epochs or max_epochs) + 1):  # noqa: B007
            epoch_started = time.perf_counter()
            for _ in self.train_epoch():
                if time.perf_counter() - started > max_seconds:
                    break
            train_seconds += time.perf_counter() - epoch_started
            if time.perf_counter() - started > max_seconds:
                break
            accuracy = self.accuracy()
            if accuracy >= target:
                break
        reached, seconds = accuracy >= target, time.perf_counter() - started
        return Reached(reached, not reached and seconds > max_seconds, accuracy, begun, train_seconds, seconds)

    @torch.no_grad()
    def _share_right(self, loader: DataLoader[tuple[torch.Tensor, torch.Tensor]]) -> float:
        self.model.eval()
        right = 0
        for images, labels in loader:
            predicted = self.model(images.to(self._device)).argmax(dim=1)
            right += int((predicted == labels.to(self._device)).sum().item())
        return right / len(loader.dataset)  # type: ignore[arg-type]


def training_loader(images: Images, workers: int, *, pinned: bool) -> DataLoader[tuple[torch.Tensor, torch.Tensor]]:
    """Shuffled batches of 128, cropped and mirrored at random."""
    steps = [transforms.RandomCrop(images.pixels.shape[1], padding=_PADDING), transforms.RandomHorizontalFlip()]
    transform = transforms.Compose([*steps, *_to_normalised(images.pixels.shape[3])])
    return DataLoader(
        ArraysAsCIFAR10(images, transform),
        BATCH_SIZE,
        shuffle=True,
        num_workers=workers,
        pin_memory=pinned,
        persistent_workers=workers > 0,
    )


def _scoring_loader(images: Images, workers: int, *, pinned: bool) -> DataLoader[tuple[torch.Tensor, torch.Tensor]]:
    transform = transforms.Compose(_to_normalised(images.pixels.shape[3]))
    return DataLoader(
        ArraysAsCIFAR10(images, transform),
        500,
        num_workers=workers,
        pin_memory=pinned,
        persistent_workers=workers > 0,
    )


def _to_normalised(channels: int) -> list[object]:
    return [transforms.ToTensor(), transforms.Normalize(_MEAN[:channels], _STD[:channels])]


def _optimizer(model: nn.Module, setting: Setting, batches: int) -> tuple[Optimizer, LRScheduler | None]:
    optimizer: Optimizer
    if setting.optimizer == "adam":
        optimizer = Adam(model.parameters(), lr=setting.rate)
    else:
        optimizer = SGD(
            model.parameters(), lr=setting.rate, momentum=_MOMENTUM, weight_decay=_WEIGHT_DECAY, nesterov=True
        )
    if setting.one_cycle_epochs is None:
        return optimizer, None
    return optimizer, OneCycleLR(optimizer, max_lr=setting.rate, total_steps=setting.one_cycle_epochs * batches)
