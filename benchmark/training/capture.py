"""A network's passes, from a batch to its gradients, as a CUDA graph that later trials of the same shapes find again.

A small network is bound by the launches of its kernels: a graph launches all of them at once. Source: Ng et al. 2021,
"Accelerating PyTorch with CUDA Graphs", pytorch.org, whole-network capture. Knows no optimizer.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from functools import partial

import torch
from torch import Tensor, nn

from benchmark.cuda_graphs import capturing_stream, uncollected
from benchmark.training.growth import Size
from benchmark.training.memory import let_go_on_gpu

_KEPT = 2
"""Networks that are kept with their graphs; each holds the memory of its activations, gigabytes for large batches."""

Scoring = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
"""Maps normalised images (B, C, H, W) and soft targets (B, K) to their mean loss, a scalar to be differentiated, and to
loss and share of right answers (2,), which are not."""
Passes = Callable[[Tensor, Tensor], Tensor]
"""Maps such a batch to loss and share of right answers, and leaves the loss's gradients with the parameters."""
Capture = Callable[[nn.Module, Scoring, Tensor, Tensor], Passes]
"""Captures the passes of a module for batches of these shapes; it may keep the two tensors."""


class CapturedNetwork:
    """A network in training mode whose passes are captured, once for each image size that it meets."""

    def __init__(self, model: nn.Module, scoring: Scoring, capture: Capture) -> None:
        self.model = model
        self._scoring = scoring
        self._capture = capture
        self._by_size: dict[Size, Passes] = {}

    def __call__(self, images: Tensor, targets: Tensor) -> Tensor:
        """As Passes, of batches with as many images in every call; gradients that were there before are gone."""
        size: Size = (images.shape[2], images.shape[3])
        if size not in self._by_size:
            self._by_size[size] = self._captured(images, targets)
        return self._by_size[size](images, targets)

    def _captured(self, images: Tensor, targets: Tensor) -> Passes:
        # Warming up runs the network in training mode. Its running statistics must not notice, nor may its dropout: a
        # run that finds its network captured draws the same numbers as the one that had it captured.
        before = {name: value.clone() for name, value in self.model.state_dict().items()}
        with torch.random.fork_rng([images.device] if images.is_cuda else []):
            captured = self._capture(self.model, self._scoring, images.clone(), targets.clone())
        self.model.load_state_dict(before)
        self.model.zero_grad(set_to_none=True)
        return captured


class Captures:
    """The captured networks of one worker, by what determines their shapes; the least recently used goes first."""

    def __init__(self, capture: Capture | None = None) -> None:
        self._capture = capture or captured_on_cuda
        self._kept: OrderedDict[Hashable, CapturedNetwork] = OrderedDict()

    def network(
        self, key: Hashable, fresh: nn.Module, scoring: Callable[[nn.Module, Tensor, Tensor], tuple[Tensor, Tensor]]
    ) -> CapturedNetwork:
        """A captured network with the weights of `fresh`: the kept one of this key, its weights reset, or `fresh`.

        `scoring` is a Scoring that takes its model first.
        """
        kept = self._kept.pop(key, None)
        if kept is None:
            kept = CapturedNetwork(fresh, partial(scoring, fresh), self._capture)
        else:
            kept.model.load_state_dict(fresh.state_dict())
            kept.model.zero_grad(set_to_none=True)
            kept.model.train()
        self._kept[key] = kept
        if len(self._kept) > _KEPT:
            # Gigabytes, and no part of the run that begins.
            self._kept.popitem(last=False)
            let_go_on_gpu()
        return kept


def captured_on_cuda(model: nn.Module, scoring: Scoring, images: Tensor, targets: Tensor) -> Passes:
    """Forward and backward passes as one graph, which reads its batches from the memory of these two tensors.

    Raises RuntimeError where the network waits for the device on its way, and says how to register it.
    """
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]

    def passes() -> tuple[Tensor, list[Tensor | None]]:
        loss, outcome = scoring(images, targets)
        # Not backward(), which adds up on the stream where a parameter was used first, and that is not captured. One
        # that the loss does not depend on has no gradient, as without a graph.
        return outcome, as_backward_leaves_them(torch.autograd.grad(loss, parameters, allow_unused=True), parameters)

    stream = capturing_stream(images.device)
    stream.wait_stream(torch.cuda.current_stream(images.device))
    with torch.cuda.stream(stream):
        # Loads what cannot be loaded within a capture.
        passes()
    graph = torch.cuda.CUDAGraph()
    try:
        with uncollected(), torch.cuda.graph(graph, stream=stream):
            outcome, gradients = passes()
    except RuntimeError as error:
        # Where something fails in a capture, so does its end.
        cause = error.__context__ or error
        if isinstance(cause, torch.OutOfMemoryError):
            raise cause from None
        what, _, _ = str(cause).partition("\n")
        raise RuntimeError(
            f"cannot be captured as a CUDA graph: {what} (a network that waits for the device on its way is registered "
            "with captured=False)"
        ) from cause
    torch.cuda.current_stream(images.device).wait_stream(stream)

    def replay(new_images: Tensor, new_targets: Tensor) -> Tensor:
        images.copy_(new_images)
        targets.copy_(new_targets)
        graph.replay()
        for parameter, gradient in zip(parameters, gradients, strict=True):
            parameter.grad = gradient
        # The next replay writes to the same memory.
        return outcome.clone()

    return replay


def as_backward_leaves_them(gradients: Sequence[Tensor | None], parameters: Sequence[Tensor]) -> list[Tensor | None]:
    """Gradients that lie in memory as their parameters do, and each in memory of its own, so that they can be changed.

    Those of two parameters that are added, for example, are one tensor.
    """
    found: list[Tensor | None] = []
    taken: set[int] = set()
    for gradient, parameter in zip(gradients, parameters, strict=True):
        if gradient is not None:
            if gradient.stride() != parameter.stride() or gradient.data_ptr() in taken:
                gradient = torch.empty_like(parameter).copy_(gradient)
            taken.add(gradient.data_ptr())
        found.append(gradient)
    return found
