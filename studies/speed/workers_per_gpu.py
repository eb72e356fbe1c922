"""Part `workers-per-gpu`: how much more one GPU trains when several worker processes share it; needs CUDA."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from benchmark.records import Budget
from studies.speed.crew import Crew, CrewError
from studies.speed.data import device_data
from studies.speed.plan import Plan
from studies.speed.rates import images_per_second
from studies.speed.recipes import GPU_STUDY, study_default
from studies.speed.trainer import Worker

WORKERS = (1, 2, 4)
FAMILIES = ("cnn", "resnet", "vgg")
"""Small networks; an EfficientNet's kernels take one process 14 s to choose and load, and four together longer."""
_DAEMON = "nvidia-cuda-mps-control"
_STEADY = Budget(epochs=100)
"""Long enough for the trainer to capture its passes; no run goes that far."""


def measure(plan: Plan) -> dict[str, object]:
    """Images per second of all workers together, for families' defaults, without the MPS daemon and with it."""
    rates: dict[str, dict[str, dict[str, list[float]]]] = {"without MPS": _rates(plan)}
    if not plan.mps:
        told = "not measured"
    elif shutil.which(_DAEMON):
        try:
            with _mps():
                rates["with MPS"] = _rates(plan)
            told = "measured"
        except (CrewError, subprocess.SubprocessError, OSError) as error:
            told = f"the daemon did not work here: {(str(error).strip() or repr(error)).splitlines()[-1]}"
    else:
        told = f"{_DAEMON} is not installed"
    return {"study": GPU_STUDY, "window_seconds": plan.window_seconds, "mps": told, "images_per_second": rates}


def _rates(plan: Plan) -> dict[str, dict[str, list[float]]]:
    """By family and number of workers; numbers take turns within a repeat."""
    rates: dict[str, dict[str, list[float]]] = {family: {str(size): [] for size in WORKERS} for family in FAMILIES}
    with Crew(max(WORKERS), 1, _prepare, plan) as crew:
        for family in FAMILIES:
            # Everybody loads and captures before it counts: windows are to begin together.
            crew.run(family)
            for _ in range(plan.repeats):
                for size in WORKERS:
                    rates[family][str(size)].append(sum(crew.run(family, members=size)))
    return rates


def _prepare(member: int, plan: Plan) -> Callable[[str], float]:
    worker = Worker(device_data(plan))
    streams: dict[str, Iterator[int]] = {}

    def task(family: str) -> float:
        if family not in streams:
            streams.clear()
            streams[family] = worker.steps(study_default(family, GPU_STUDY, _STEADY, seed=member))
        return images_per_second(streams[family], plan.warm_seconds, plan.window_seconds)

    return task


@contextmanager
def _mps() -> Iterator[None]:
    """An MPS daemon of our own; processes started meanwhile are its clients."""
    with tempfile.TemporaryDirectory(prefix="mps-") as folder:
        own = {"CUDA_MPS_PIPE_DIRECTORY": folder, "CUDA_MPS_LOG_DIRECTORY": folder}
        before = {name: os.environ.get(name) for name in own}
        os.environ.update(own)
        try:
            subprocess.run([_DAEMON, "-d"], check=True, timeout=30)
            yield
        finally:
            subprocess.run([_DAEMON], input="quit\n", text=True, check=False, timeout=60)
            for name, value in before.items():
                if value is None:
                    os.environ.pop(name, None)
                else:
                    os.environ[name] = value
