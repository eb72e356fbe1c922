"""Predict with a model: log-probabilities, mirrored views and what a forward pass costs; decides nothing."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode

from benchmark.training.data import DeviceData, Part

_BATCH = 500


@torch.inference_mode()
def predict(model: nn.Module, data: DeviceData, part: Part, *, mirror: bool, precision: str = "auto") -> Tensor:
    """Log-probabilities, float32 (N, K), of every row of `part`, on the device.

    With `mirror` the logits of an image and of its mirror image are averaged before the softmax.
    """
    was_training = model.training
    model.eval()
    outputs = []
    with data.where.autocast(precision, model):
        for start in range(0, len(part), _BATCH):
            images = data.normalise(part.pixels[start : start + _BATCH])
            logits = model(images).float()
            if mirror:
                logits = (logits + model(images.flip(3)).float()) / 2
            outputs.append(functional.log_softmax(logits, dim=1))
    model.train(was_training)
    return torch.cat(outputs)


@torch.inference_mode()
def multiply_accumulates(model: nn.Module, data: DeviceData) -> int:
    """Multiply-accumulates of one forward pass of one image: matrix products and convolutions, as torch counts them."""
    was_training = model.training
    model.eval()
    with FlopCounterMode(display=False) as counter:
        model(data.normalise(data.train.pixels[:1]))
    model.train(was_training)
    return int(counter.get_total_flops()) // 2
