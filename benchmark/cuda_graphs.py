"""Work captured as CUDA graphs; knows nothing of networks or optimizers.

A graph launches all of its kernels at once, where a host takes longer to launch a small one than a GPU to run it.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager

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
    with uncollected(), torch.cuda.graph(graph):
        work()
    return graph.replay
