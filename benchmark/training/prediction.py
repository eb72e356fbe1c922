"""Predict with a model: log-probabilities, mirrored views and what a forward pass costs; decides nothing."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from itertools import chain

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional

from benchmark.training.data import DeviceData, Part
from benchmark.training.folding import folded
from benchmark.training.growth import Size, resized

_BATCH = {"cpu": 125, "cuda": 2000}
"""Images at a time: few enough on a CPU that activations stay in its caches, and freed blocks are used again."""
_PIXELS = {"cpu": 1000 * 32 * 32, "cuda": 2000 * 32 * 32}
"""Of all images at a time: of larger ones there are fewer, so that prediction takes less memory than training."""
_TIMED_SECONDS = 0.05
_SHIFTS = ((1, 1), (-1, -1))
"""Rows and columns by which the third and the fifth view are moved."""


@torch.inference_mode()
def predict(
    model: nn.Module,
    data: DeviceData,
    part: Part,
    *,
    views: str,
    precision: str = "auto",
    size: Size | None = None,
    largest_batch: int | None = None,
) -> Tensor:
    """Log-probabilities, float32 (N, K), of every row of `part`, on the device; of images made smaller to `size`.

    `largest_batch`: at most so many images at a time, where memory is short; half as many, and again half, where a GPU
    has none for them. On a CPU batch norms are folded.

    `views` (a name in records.VIEWS) are averaged as logits before the softmax: "two" adds the mirror image; "six"
    gives these two half of the weight, and the other half to both moved by a pixel down-right and up-left, with
    reflected borders. Source: Jordan 2024, arXiv:2404.00498, section 3.5.
    """
    was_training = model.training
    answering = _for_prediction(model.eval(), data)
    batch = min(most_predicted(data), largest_batch or len(part))

    def answers(batch: int) -> Tensor:
        outputs = []
        with data.where.autocast(precision, model):
            for rows, new in _batches(len(part), batch, fill_up=_fills_up(data)):
                images = resized(data.normalise(part.take(rows)), size)
                outputs.append(functional.log_softmax(_averaged_logits(answering, images, views), dim=1)[-new:])
        return torch.cat(outputs)

    try:
        while True:
            try:
                return answers(batch)
            except torch.OutOfMemoryError:
                if batch == 1:
                    raise
            # Behind the error, which holds what was there when it came.
            batch //= 2
            torch.cuda.empty_cache()
    finally:
        model.train(was_training)


@torch.inference_mode()
def seconds_to_predict(
    model: nn.Module, data: DeviceData, images: int, *, views: str, precision: str = "auto"
) -> float:
    """Median seconds to predict the first `images` test images at once, all views included; one run does not count.

    It takes a twentieth of a second, and two runs at least.
    """
    was_training = model.training
    answering = _for_prediction(model.eval(), data)
    pixels = data.test.take(slice(images))

    def once() -> float:
        started = time.perf_counter()
        with data.where.autocast(precision, model):
            functional.log_softmax(_averaged_logits(answering, data.normalise(pixels), views), dim=1)
        data.where.synchronise()
        return time.perf_counter() - started

    once()
    taken = [once()]
    while sum(taken) < _TIMED_SECONDS:
        taken.append(once())
    model.train(was_training)
    return statistics.median(taken)


def most_predicted(data: DeviceData) -> int:
    """How many images are predicted at a time on this device where memory is not short."""
    return min(_BATCH[data.where.device.type], images_that_fit(data))


def images_that_fit(data: DeviceData) -> int:
    """How many images of this size a forward pass may have, so that it takes less memory than training does."""
    return max(1, _PIXELS[data.where.device.type] // (data.image_shape.height * data.image_shape.width))


def _batches(rows: int, batch: int, *, fill_up: bool) -> Iterator[tuple[slice, int]]:
    """The rows of each batch, and how many of them, its last ones, are in no batch before.

    `fill_up`: the last batch is as large as the others, with rows that were there before.
    """
    for start in range(0, rows, batch):
        end = min(start + batch, rows)
        yield slice(max(0, end - batch) if fill_up else start, end), end - start


def _fills_up(data: DeviceData) -> bool:
    """Whether all batches have one size: a GPU chooses and loads kernels anew for another, which takes longer."""
    return data.where.device.type != "cpu"


def _for_prediction(model: nn.Module, data: DeviceData) -> nn.Module:
    """The network with its batch norms folded, on a CPU: a GPU would be done before the folding is."""
    return folded(model) if data.where.device.type == "cpu" else model


def _averaged_logits(model: nn.Module, images: Tensor, views: str) -> Tensor:
    if views == "one":
        logits: Tensor = model(images)
        return logits.float()
    if views == "two":
        return (_averaged_logits(model, images, "one") + _averaged_logits(model, images.flip(3), "one")) / 2
    moved = [_averaged_logits(model, _moved(images, *shift), "two") for shift in _SHIFTS]
    return _averaged_logits(model, images, "two") / 2 + (moved[0] + moved[1]) / 4


def _moved(images: Tensor, rows: int, columns: int) -> Tensor:
    """Images moved down by `rows` and right by `columns` of one pixel either way, reflected about the outer pixels."""
    padded = functional.pad(images, (1, 1, 1, 1), mode="reflect")
    height, width = images.shape[2:]
    return padded[:, :, 1 - rows : 1 - rows + height, 1 - columns : 1 - columns + width]


@torch.inference_mode()
def multiply_accumulates(model: nn.Module, data: DeviceData) -> int:
    """Multiply-accumulates of one forward pass of one image: matrix products and convolutions, as torch counts them.

    Shapes alone pass the network, so that nothing is computed, and a GPU loads no kernels for it. An image does where
    that cannot be, as where a network looks at its numbers on the way.
    """
    was_training = model.training
    model.eval()
    image = data.normalise(data.train.take(slice(1)))
    tensors = chain(model.named_parameters(), model.named_buffers())
    shapes = {name: torch.empty_like(tensor, device="meta") for name, tensor in tensors}
    try:
        return _counted(lambda: functional_call(model, shapes, (image.to("meta"),)))
    except Exception:
        return _counted(lambda: model(image))
    finally:
        model.train(was_training)


def _counted(forward: Callable[[], object]) -> int:
    from torch.utils.flop_counter import FlopCounterMode  # imports Triton, which reading a study need not

    with FlopCounterMode(display=False) as counter:
        forward()
    return int(counter.get_total_flops()) // 2
