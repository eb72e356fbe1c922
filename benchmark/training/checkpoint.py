"""Weights and the whole state of a run as bytes, and back; knows no file and no store."""

from __future__ import annotations

import io
from typing import Any

import safetensors.torch
import torch
from torch import nn


def weights_to_bytes(model: nn.Module) -> bytes:
    """All weights and buffers in the safetensors format, by their names in the model's state."""
    # One by one contiguous and of its own: the format knows neither memory formats nor shared memory. A GPU puts them
    # in order faster than its host.
    state = {
        name: value.detach().clone(memory_format=torch.contiguous_format).cpu()
        for name, value in model.state_dict().items()
    }
    return safetensors.torch.save(state)


def load_weights(model: nn.Module, content: bytes) -> None:
    """Give a model the weights that `weights_to_bytes` wrote of one like it. Raises RuntimeError where it differs."""
    model.load_state_dict(safetensors.torch.load(content))


def state_to_bytes(state: dict[str, Any]) -> bytes:
    """A state of tensors, numbers and dicts of them, as torch.save writes it."""
    buffer = io.BytesIO()
    torch.save(state, buffer)
    return buffer.getvalue()


def state_from_bytes(content: bytes) -> dict[str, Any]:
    """The state again, its tensors in the host's memory. It is data and never code: see torch.load's `weights_only`."""
    state: dict[str, Any] = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    return state
