"""What is captured stays undisturbed."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest
import torch

from benchmark.cuda_graphs import multiply_once, replayed, uncollected


@pytest.fixture(autouse=True)
def _collecting_afterwards() -> Iterator[None]:
    yield
    gc.enable()


def test_garbage_waits_until_a_capture_is_over() -> None:
    with uncollected():
        assert not gc.isenabled()
    assert gc.isenabled()
    with pytest.raises(ValueError, match="of a capture"), uncollected():
        raise ValueError("of a capture")
    assert gc.isenabled()


def test_who_collects_nothing_goes_on_so() -> None:
    gc.disable()
    with uncollected():
        pass
    assert not gc.isenabled()


def test_a_stream_is_opened_where_an_optimizer_asks_for_no_gradients() -> None:
    """Muon captures within its step, and the stream may not be there before: where the network is not captured."""
    with torch.no_grad():
        multiply_once(torch.device("cpu"))
        assert not torch.is_grad_enabled()


def test_work_on_a_cpu_is_what_it_was() -> None:
    def work() -> None:
        pass

    assert replayed(work, is_on_gpu=False) is work
