"""Work captured as CUDA graphs; knows nothing of networks or optimizers.

A graph launches all of its kernels at once, where a host takes longer to launch a small one than a GPU to run it.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache

import torch


@contextmanager
def uncollected() -> Iterator[None]:
    """No garbage is collected here, as long as something is captured.

    Garbage may hold another graph, and to destroy one invalidates the capture that is under way: "operation not
    permitted when stream is capturing". Torch collected before it captured until 2.9 (pytorch/pytorch#161037).
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


@lru_cache
def capturing_stream(device: torch.device) -> torch.cuda.Stream:
    """The stream on which everything of that device is captured.

    Libraries keep a workspace for every stream, for good: it is there before the first capture, so that no memory that
    was a network's is held by one.
    """
    stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
    with torch.cuda.stream(stream):
        multiply_once(device)
    return stream


def multiply_once(device: torch.device) -> None:
    """A matrix product and its gradient, for what they leave behind, also where no gradients are asked for.

    Autograd's thread has opened the device then, and the library of matrix products has its workspaces for this stream.
    """
    with torch.enable_grad():
        weights = torch.ones(1, 1, device=device, requires_grad=True)
        (weights @ weights).sum().backward()  # type: ignore[no-untyped-call]


def replayed(work: Callable[[], None], is_on_gpu: bool) -> Callable[[], None]:
    """`work` on tensors that are always the same ones; on a GPU as one CUDA graph from the second call on.

    The first call loads the kernels and their workspaces, which cannot be captured. The same kernels run either way.
    `work` holds tensors and nothing that holds the result: a cycle would keep the graph's memory until it is collected.
    """
    if not is_on_gpu:
        return work
    calls: list[Callable[[], None]] = []

    def call() -> None:
        if not calls:
            calls.append(work)
        elif len(calls) == 1:
            calls.append(_captured(work))
        calls[-1]()

    return call


def _captured(work: Callable[[], None]) -> Callable[[], None]:
    """The kernels that `work` launches as a CUDA graph; capturing runs none of them."""
    graph = torch.cuda.CUDAGraph()
    stream = capturing_stream(torch.device("cuda", torch.cuda.current_device()))
    with uncollected(), torch.cuda.graph(graph, stream=stream):
        work()
    return graph.replay
