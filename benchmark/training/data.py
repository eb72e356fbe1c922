"""The data set on the device, and the stream of augmented batches out of it; knows nothing of models.

What is trained on stays uint8 on the device, which on a CPU is the memory where it lies; a batch is an index gather,
and augmentation is batched tensor work.
"""

from __future__ import annotations

import warnings
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from benchmark.augmentations import Batch
from benchmark.augmentations.pipeline import Pipeline
from benchmark.records import Choice, Dataset, Images, ImageShape, SplitRows
from benchmark.training.device import DeviceChoice

_STATISTICS_IMAGES = 2000
_COUNTED_AT_ONCE = 1000
"""Images whose pixels are counted together, so that they need not be in memory all at once."""
BATCHES_AT_ONCE = {"cpu": 1, "cuda": 4}
"""That are prepared together: launching some forty kernels takes a host longer than running them does a GPU. On a CPU
one batch at a time stays in its caches. As many steps are timed together, so that they have their part of that."""
_PIXELS_AT_ONCE = 4096 * 32 * 32
"""Of larger images fewer batches are prepared together, since they take memory; one at the least."""


@dataclass(frozen=True, eq=False)
class Part:
    """Rows of one split: their labels, int64 (N,), and where their pixels are."""

    images: Tensor
    """uint8 (M, H, W, C). On a CPU it is the data set's own memory, never to be written to: a cached one is a mapped
    file, which is in memory once for all processes."""
    labels: Tensor
    rows: Tensor | None = None
    """Of the images, int64 (N,); None is all of them, in order."""

    @classmethod
    def of(cls, images: Images) -> Self:
        """All of these images, where they lie."""
        return cls(_not_to_be_written(images.pixels), _not_to_be_written(images.labels))

    @property
    def pixels(self) -> Tensor:
        """All pixels of the part, as `take` gives them."""
        return self.take(slice(None))

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, which: Tensor | slice) -> Tensor:
        """Pixels uint8 (B, C, H, W) of some rows of the part, in channels_last memory."""
        return self._as_they_lie(which).permute(0, 3, 1, 2)

    def only(self, which: Tensor) -> Part:
        """Some rows of the part, int64 (B,), without a copy of their pixels."""
        return Part(self.images, self.labels[which], which if self.rows is None else self.rows[which])

    def to(self, device: torch.device) -> Part:
        """The part on a device; on another than a CPU a copy of its own rows alone."""
        if device.type == "cpu":
            return self
        return Part(self._as_they_lie().to(device), self.labels.to(device))

    def spread(self, share: float) -> Part:
        """About `share` of the rows, evenly spread, so that data sorted by class keep their balance."""
        if share == 1:
            return self
        return self.only(
            torch.linspace(0, len(self) - 1, max(1, round(share * len(self))), device=self.labels.device).long()
        )

    def followed_by(self, other: Part) -> Part:
        """The rows of both; without a copy of their pixels where these are the same images."""
        labels = torch.cat([self.labels, other.labels])
        if self.images is other.images and self.rows is not None and other.rows is not None:
            return Part(self.images, labels, torch.cat([self.rows, other.rows]))
        return Part(torch.cat([self._as_they_lie(), other._as_they_lie()]), labels)

    def _as_they_lie(self, which: Tensor | slice = slice(None)) -> Tensor:
        """Some rows of the part, uint8 (B, H, W, C): whole ones of that memory; indexing another view would turn it."""
        return self.images[which if self.rows is None else self.rows[which]]


@dataclass(frozen=True, eq=False)
class DeviceData:
    """Training, validation and test rows, and the training rows' channel statistics, which are on the device `where`.

    mean, std: float32 (C,), of pixels scaled to [0, 1]. The test part is for predicting at the end and nothing else.
    """

    where: DeviceChoice
    train: Part
    val: Part
    test: Part
    mean: Tensor
    std: Tensor
    num_classes: int
    val_trains: bool = False
    """Whether the validation rows are among the training rows: nothing may then be chosen by them."""
    _statistics: dict[Callable[[Tensor], Tensor], Tensor] = field(default_factory=dict, init=False, repr=False)

    @classmethod
    def load(cls, dataset: Dataset, rows: SplitRows, where: DeviceChoice) -> DeviceData:
        """Move a data set onto a device, divided by `rows`."""
        published = Part.of(dataset.train)
        train = published.only(_not_to_be_written(rows.train)).to(where.device)
        mean, std = _channel_statistics(train)
        return cls(
            where=where,
            train=train,
            val=published.only(_not_to_be_written(rows.val)).to(where.device),
            test=Part.of(dataset.test).to(where.device),
            mean=mean,
            std=std,
            num_classes=len(dataset.classes),
        )

    def with_val_in_train(self) -> DeviceData:
        """The same with validation rows after the training rows among those that train; `val` still has them."""
        train = self.train.followed_by(self.val)
        mean, std = (one.to(self.mean.device) for one in _channel_statistics(train))
        return replace(self, train=train, mean=mean, std=std, val_trains=True)

    @classmethod
    def to_ask(cls, dataset: Dataset, rows: SplitRows, where: DeviceChoice) -> DeviceData:
        """For networks that are asked and not trained: the images stay in the host's memory, and go by batches."""
        host = torch.device("cpu")
        held = cls.load(dataset, rows, replace(where, device=host))
        return replace(held, where=where, mean=held.mean.to(where.device), std=held.std.to(where.device))

    @property
    def image_shape(self) -> ImageShape:
        """Size of one image."""
        _, height, width, channels = self.train.images.shape
        return ImageShape(channels, height, width)

    def statistics(self, of: Callable[[Tensor], Tensor]) -> Tensor:
        """What a function says of 2,000 training images, of all classes alike, normalised; it is asked once."""
        if of not in self._statistics:
            # Evenly spread: the rows of a folder's images are sorted by class.
            images = self.train.spread(min(1.0, _STATISTICS_IMAGES / len(self.train))).pixels
            self._statistics[of] = of(self.normalise(images))
        return self._statistics[of]

    def normalise(self, images: Tensor) -> Tensor:
        """Images as a network takes them: float32 (B, C, H, W), standardised by the training rows' channel statistics.

        `images`: uint8 in 0..255 or float in [0, 1].
        """
        # Those of a study that is only asked are not on the device.
        images = images.to(self.mean.device)
        if images.dtype == torch.uint8:
            images = images.float().div_(255)
        return (images - self.mean.view(1, -1, 1, 1)).div_(self.std.view(1, -1, 1, 1))


class BatchStream:
    """Endless normalised training batches: a fresh permutation each epoch, whole batches only.

    Where the training set is smaller than a batch, the batch is the training set. Same seed, same batches. On a GPU
    several are drawn and augmented at once, so that an augmentation sees them as one.
    """

    def __init__(self, data: DeviceData, augmentations: Sequence[Choice], batch_size: int, seed: int) -> None:
        self._data = data
        self.batch_size = min(batch_size, len(data.train))
        self._generator = torch.Generator(data.where.device).manual_seed(seed)
        self._epoch = -1
        self._order = torch.empty(0, dtype=torch.int64)
        self._position = 0
        """Of the next rows in the order, behind those of the batches that are prepared."""
        self._augment = Pipeline(augmentations)
        shape = data.image_shape
        fitting = _PIXELS_AT_ONCE // (self.batch_size * shape.height * shape.width)
        self._batches_at_once = max(1, min(BATCHES_AT_ONCE[data.where.device.type], fitting))
        self._prepared: deque[tuple[Tensor, Tensor]] = deque()
        self._before = self._place()
        """Where the stream was before it prepared these batches."""
        self._taken = 0
        """How many of them were taken since."""

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> tuple[Tensor, Tensor]:
        """Images float32 (B, C, H, W), normalised, and soft targets float32 (B, K)."""
        if not self._prepared:
            self._prepare()
        self._taken += 1
        return self._prepared.popleft()

    def state_dict(self) -> dict[str, Any]:
        """Where the stream is, to go on from exactly there."""
        return {**self._before, "taken": self._taken}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where the stream that gave this state was."""
        self._generator.set_state(state["generator"].cpu())
        self._order = state["order"].to(self._data.where.device)
        self._position, self._epoch = state["position"], state["epoch"]
        self._prepared.clear()
        self._before, self._taken = self._place(), 0
        for _ in range(state["taken"]):
            next(self)

    def _place(self) -> dict[str, Any]:
        return {
            "generator": self._generator.get_state(),
            "order": self._order,
            "position": self._position,
            "epoch": self._epoch,
        }

    def _prepare(self) -> None:
        """Draw and augment as many batches as belong together, and begin another epoch where this one has none left."""
        self._before, self._taken = self._place(), 0
        if self._position + self.batch_size > len(self._order):
            self._epoch += 1
            self._position = 0
            self._order = torch.randperm(
                len(self._data.train), generator=self._generator, device=self._data.where.device
            )
        count = min(self._batches_at_once, (len(self._order) - self._position) // self.batch_size)
        start, self._position = self._position, self._position + count * self.batch_size
        images, targets = self._batch(self._order[start : self._position], self._epoch)
        self._prepared.extend(
            zip(torch.split(images, self.batch_size), torch.split(targets, self.batch_size), strict=True)
        )

    def _batch(self, indices: Tensor, epoch: int) -> tuple[Tensor, Tensor]:
        part = self._data.train
        batch = Batch(
            images=part.take(indices),
            targets=functional.one_hot(part.labels[indices], self._data.num_classes).float(),
            indices=indices,
            epoch=epoch,
            fill=self._data.mean,
            generator=self._generator,
        )
        batch = self._augment(batch)
        return self._data.normalise(batch.images), batch.targets


def _not_to_be_written(array: NDArray[Any]) -> Tensor:
    """An array as a tensor of the same memory, which may be a file that was mapped to be read."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
        return torch.from_numpy(np.ascontiguousarray(array))


def _channel_statistics(part: Part) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation per channel, float32 (C,), of pixels scaled to [0, 1]; exact, from histograms."""
    device = part.images.device
    counts = torch.zeros(part.images.shape[3], 256, dtype=torch.int64, device=device)
    for start in range(0, len(part), _COUNTED_AT_ONCE):
        pixels = part.take(slice(start, start + _COUNTED_AT_ONCE))
        counts += torch.stack([torch.bincount(channel.reshape(-1), minlength=256) for channel in pixels.unbind(1)])
    shares = counts.double() / counts.sum(dim=1, keepdim=True)
    levels = torch.arange(256, dtype=torch.float64, device=device) / 255
    mean = (shares * levels).sum(dim=1, keepdim=True)
    deviation = (shares * (levels - mean) ** 2).sum(dim=1).sqrt()
    # A constant channel carries nothing: dividing it by a tiny deviation would only amplify rounding.
    return mean.squeeze(1).float(), deviation.float().clamp_min(1e-3)
