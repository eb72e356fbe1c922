"""Starting worker processes, and sharing a machine out between them."""

from __future__ import annotations

import math
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing import forkserver, get_context, resource_tracker
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerContext, SpawnContext
from multiprocessing.process import BaseProcess
from pathlib import Path

from joblib import cpu_count

from benchmark.definition import StudySpec
from benchmark.processes import process_exists
from benchmark.workers.child import serve
from benchmark.workers.messages import WorkerSetup

_DYING_SECONDS = 10.0
_GPU_FILES = ("/dev/nvidiactl", "/dev/kfd", "/dev/dxg")
"""Of the drivers of NVIDIA and AMD, and of Windows underneath."""
_SHARED = 0.9
"""Of a GPU's memory; the rest is for what CUDA itself takes in every process."""
_SIDE_BY_SIDE = 4
"""Workers of a GPU whose kernels run beside each other; see docs/decisions.md."""


@dataclass(frozen=True, eq=False)
class Child:
    """A worker process as its parent sees it."""

    process: BaseProcess
    connection: Connection

    def end(self) -> None:
        """Kill the process, unless that was done; whatever it was doing is lost.

        One that does not die in time, as in a call of a driver that does not return, is not waited for longer, but by
        the end of the program.
        """
        if self.connection.closed:
            return
        self.connection.close()
        self.process.kill()
        self.process.join(_DYING_SECONDS)

    def send_signal(self, number: signal.Signals) -> None:
        """Send a signal, as to stop the process for a while; nothing where it is gone."""
        if self.process.pid is not None:
            with suppress(ProcessLookupError):
                os.kill(self.process.pid, number)


def start_child(setup: WorkerSetup) -> Child:
    """Start a worker process.

    On a CPU it is forked from a server that has imported what a worker needs and has done nothing else: all but the
    first, and whatever comes in the place of one that died, are there at once, and what was imported is in memory once.
    With a GPU it is spawned: a fork after CUDA is initialised does not work, and an import may do that.
    """
    if _can_be_forked(setup.device):
        # Where the server is killed as it starts; there is another one the next time.
        with suppress(EOFError, ConnectionError):
            return _start(_forking(), setup)
    return _start(get_context("spawn"), setup)


def warm_up() -> None:
    """Have what workers import begin to be imported, where they share it; returns at once, and knows no torch yet.

    On a machine that seems to have a GPU nothing is begun.
    """
    if _can_be_forked("cpu") and not any(map(os.path.exists, _GPU_FILES)):
        _forking()


def _can_be_forked(device: str) -> bool:
    # Elsewhere than on Linux, libraries of the system do not stand a fork.
    return device == "cpu" and sys.platform == "linux"


def _forking() -> ForkServerContext:
    """The context whose server runs from now on."""
    context = get_context("forkserver")
    context.set_forkserver_preload(["benchmark.workers.warm"])
    with _deaf_to_the_terminal():
        forkserver.ensure_running()
    return context


@contextmanager
def _deaf_to_the_terminal() -> Iterator[None]:
    """What is started here hears no Ctrl-C and no Ctrl-Z, which go to the whole process group: the parent alone is to.

    A child that stopped in the midst of a message, or the server that children are forked from, would hold the parent
    up before it stops itself.
    """
    if not hasattr(signal, "pthread_sigmask"):
        # On Windows.
        yield
        return
    # It would be started with the first process, and would undo the mask.
    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT, signal.SIGTSTP])
    try:
        # The mask is handed on.
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _start(context: ForkServerContext | SpawnContext, setup: WorkerSetup) -> Child:
    ours, theirs = context.Pipe()
    # A server keeps the environment of its own start.
    process = context.Process(target=serve, args=(theirs, setup, dict(os.environ)), daemon=True)
    try:
        with _deaf_to_the_terminal():
            process.start()
    finally:
        theirs.close()
    return Child(process, ours)


def devices() -> list[str]:
    """The devices to train on: every GPU, or else the CPU."""
    import torch

    # Counting alone asks the driver's tools, and knows not whether torch can use it: of one too old for it torch warns.
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    return [f"cuda:{index}" for index in range(count)] or ["cpu"]


def runs_mps() -> bool:
    """Whether NVIDIA's Multi-Process Service is there, by which kernels of several processes share a GPU.

    Without it they take turns. Its daemon, on Linux alone, tells its number in the folder that CUDA_MPS_PIPE_DIRECTORY
    names; a folder that another user keeps to himself is none that CUDA would find it in either.
    """
    if sys.platform != "linux":
        return False
    folder = Path(os.environ.get("CUDA_MPS_PIPE_DIRECTORY", "/tmp/nvidia-mps"))
    try:
        number = (folder / "nvidia-cuda-mps-control.pid").read_text().strip()
    except OSError:
        return False
    # What a daemon leaves that was killed is no daemon.
    return number.isdecimal() and int(number) > 0 and process_exists(int(number))


def worker_setups(
    devices: Sequence[str],
    workers: int | None,
    spec: StudySpec,
    data_folder: Path | None,
    *,
    trains_on_val: bool = False,
) -> list[WorkerSetup]:
    """One setup per worker: devices in turn, and a CPU's cores shared out between workers.

    `workers` None is one per GPU, four under MPS where each has a core, or one single-threaded worker per core: two
    processes of one thread do more than one process with two (docs/decisions.md). No worker has more threads than
    OMP_NUM_THREADS says, as torch by itself has not.
    """
    cores, on_cpu = cpu_count(), devices[0] == "cpu"
    if workers is None:
        workers = cores if on_cpu else len(devices) * _per_gpu(cores // len(devices))
    threads = max(1, min(cores // workers, _most_threads(cores))) if on_cpu else 1
    return [
        WorkerSetup(
            dataset=spec.dataset,
            image_size=spec.image_size,
            data_folder=data_folder,
            val=spec.split.val,
            split_seed=spec.split.seed,
            device=devices[number % len(devices)],
            threads=threads,
            # What workers on a CPU share they import before they know the study.
            families=() if on_cpu else tuple(spec.families),
            trains_on_val=trains_on_val,
            memory_share=_memory_share(math.ceil(workers / len(devices))),
        )
        for number in range(workers)
    ]


def _memory_share(workers: int) -> float:
    """Of a GPU's memory, for each of so many workers: what one has too little of is then no matter of the others."""
    return 1.0 if workers == 1 else _SHARED / workers


def _most_threads(cores: int) -> int:
    """What OMP_NUM_THREADS allows; all cores where it is not set, or is no number."""
    told = os.environ.get("OMP_NUM_THREADS", "").strip()
    return int(told) if told.isdecimal() else cores


def _per_gpu(cores: int) -> int:
    """Workers of a GPU that has so many CPU cores."""
    return max(1, min(_SIDE_BY_SIDE, cores)) if runs_mps() else 1


def memory_limit(gigabytes: float | None, workers: int) -> float:
    """Bytes that a worker process may hold on to between two trials.

    `gigabytes` None is its share of nine tenths of the machine's memory, or of the control group's where that is less.
    """
    if gigabytes is not None:
        return gigabytes * 1e9
    return 0.9 * _machine_bytes() / workers


def _machine_bytes() -> float:
    try:
        found = float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    except (AttributeError, ValueError, OSError):
        return math.inf
    with suppress(OSError, ValueError):
        # "max" where there is no limit.
        found = min(found, float(Path("/sys/fs/cgroup/memory.max").read_text()))
    return found
