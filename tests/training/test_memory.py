"""Peak memory rises with what is held, and is forgotten; the allocator goes on working when it keeps what is freed."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch

from benchmark.training import choose_device, peak_memory_bytes, start_peak_memory

CPU = choose_device("cpu")
BLOCK_BYTES = 200_000_000
SLACK_BYTES = 60_000_000

linux = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")

KEEPING = """
import torch
from benchmark.training import choose_device, keep_freed_memory, peak_memory_bytes, start_peak_memory

keep_freed_memory()
keep_freed_memory()
cpu = choose_device("cpu")
for _ in range(2):
    start_peak_memory(cpu)
    before = peak_memory_bytes(cpu)
    for number in range(200):
        block = torch.full((5_000_000,), float(number))
        assert block[0] == block[-1] == number
        del block
    small = [torch.ones(100) for _ in range(1_000)]
    assert sum(one.sum() for one in small) == 100_000
    print(peak_memory_bytes(cpu) - before)
"""


def peak() -> int:
    found = peak_memory_bytes(CPU)
    assert found is not None
    return found


def hold_and_free() -> None:
    # Written to: pages that nobody touched take no memory.
    torch.ones(BLOCK_BYTES // 4)


@linux
def test_the_peak_is_what_was_held_since_the_start() -> None:
    start_peak_memory(CPU)
    before = peak()
    assert before > 0
    hold_and_free()
    held = peak()
    assert held - before > BLOCK_BYTES - SLACK_BYTES
    # It remains although the memory is free again.
    assert peak() == held
    start_peak_memory(CPU)
    assert peak() < held - BLOCK_BYTES + SLACK_BYTES


@linux
def test_freed_memory_is_kept_and_used_again() -> None:
    """In a process of its own, which changes its allocator: 200 blocks of 20 MB share the place of a few."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", KEEPING], capture_output=True, text=True, check=False, timeout=600
    )
    assert done.returncode == 0, done.stderr
    for rise in map(int, done.stdout.split()):
        assert rise < 200_000_000


def test_a_system_that_tells_and_allows_nothing_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    class Forbidden:
        def __init__(self, path: str) -> None:
            pass

        def exists(self) -> bool:
            return False

        def write_text(self, text: str) -> None:
            raise PermissionError

    monkeypatch.setattr("benchmark.training.memory.Path", Forbidden)
    start_peak_memory(CPU)
    assert peak_memory_bytes(CPU) is None


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_the_peak_on_a_gpu_is_what_was_reserved_of_it() -> None:
    where = choose_device("cuda")
    start_peak_memory(where)
    before = peak_memory_bytes(where)
    assert before is not None
    block = torch.ones(BLOCK_BYTES // 4, device=where.device)
    del block
    found = peak_memory_bytes(where)
    assert found is not None
    assert BLOCK_BYTES <= found - before < BLOCK_BYTES + SLACK_BYTES
    start_peak_memory(where)
    assert peak_memory_bytes(where) == before
