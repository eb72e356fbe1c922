"""Forward and backward passes, loss included, as CUDA graphs that later trials of the same shapes find again.

A small network is bound by the launches of its kernels: a graph launches all of them at once. Source: Ng et al. 2021,
"Accelerating PyTorch with CUDA Graphs", pytorch.org. Knows no optimizer.
"""

from __future__ import annotations

import gc
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import cast

import torch
from torch import Tensor, nn

from benchmark.cuda_graphs import uncollected
from benchmark.training.growth import Size
from benchmark.training.memory import let_go_on_gpu

_KEPT = 2
"""Networks that are kept with their graphs; each holds the memory of its activations, gigabytes for large batches."""

Scoring = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
"""Maps normalised images (B, C, H, W) and soft targets (B, K) to their mean loss, a scalar with its gradients, and to
loss and share of right answers (2,) without."""
Capture = Callable[[nn.Module, Tensor, Tensor], Scoring]
"""Maps a module that is called as a Scoring, with a batch of the shapes to come, to what is called in its place."""


class CapturedNetwork:
    """A network in training mode whose passes are captured, once for each image size that it meets."""

    def __init__(self, model: nn.Module, scoring: Scoring, capture: Capture) -> None:
        self.model = model
        self._scoring = scoring
        self._capture = capture
        self._by_size: dict[Size, Scoring] = {}

    def __call__(self, images: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """As a Scoring, of batches with as many images in every call."""
        size: Size = (images.shape[2], images.shape[3])
        if size not in self._by_size:
            self._by_size[size] = self._captured(images, targets)
        loss, outcome = self._by_size[size](images, targets)
        # A graph writes to the same memory each time.
        return loss, outcome.detach().clone()

    def _captured(self, images: Tensor, targets: Tensor) -> Scoring:
        # Warming up runs the network in training mode. Its running statistics must not notice, nor may its dropout: a
        # run that finds its network captured draws the same numbers as the one that had it captured.
        before = {name: value.clone() for name, value in self.model.state_dict().items()}
        with torch.random.fork_rng([images.device] if images.is_cuda else []):
            # Given away: a graph reads its input from this very memory from now on.
            captured = self._capture(_Passes(self.model, self._scoring), images.clone(), targets.clone())
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
            kept = CapturedNetwork(fresh, lambda images, targets: scoring(fresh, images, targets), self._capture)
        else:
            kept.model.load_state_dict(fresh.state_dict())
            kept.model.zero_grad(set_to_none=True)
            kept.model.train()
        self._kept[key] = kept
        if len(self._kept) > _KEPT:
            self._kept.popitem(last=False)
            # What captured it holds itself in a cycle, and with it gigabytes: no part of the run that begins.
            gc.collect()
            let_go_on_gpu()
        return kept


class _Passes(nn.Module):
    """What is captured: a module of its own, since capturing replaces a module's forward."""

    def __init__(self, model: nn.Module, scoring: Scoring) -> None:
        super().__init__()
        self.model = model
        self._scoring = scoring

    def forward(self, images: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        return self._scoring(images, targets)


def captured_on_cuda(passes: nn.Module, images: Tensor, targets: Tensor) -> Scoring:
    """Forward and backward of `passes` as graphs for batches of this shape, by torch.cuda.make_graphed_callables."""
    # Gradients come from the capture's stream to parameters of the usual one, in order: autograd waits on the device.
    torch.autograd.graph.set_warn_on_accumulate_grad_stream_mismatch(False)
    # A parameter that the output does not depend on has no gradient, as without a graph. One pass loads what cannot be
    # loaded within a capture; torch's three are for averaging gradients between processes.
    with uncollected():
        captured = torch.cuda.make_graphed_callables(
            passes, (images, targets), num_warmup_iters=1, allow_unused_input=True
        )
    return cast(Scoring, captured)
