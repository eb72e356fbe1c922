"""Part `installed`: the accuracy that ten minutes of the machine buy by AutoKeras and by `bench run`.

AutoKeras, too, searches architectures for images, and the first networks that it trains need no weights from a hub. It
runs in an environment of its own, which uv makes as the head of `autokeras_search.py` says. Each round both run, in
turn.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from benchmark.errors import BenchError
from studies.from_empty import run_from_empty
from studies.speed.data import load_dataset, split_rows
from studies.speed.plan import Plan
from studies.speed.recipes import study_of
from studies.speed.ten_minutes import MINUTES, QUICK_MINUTES, ROUNDS

_SCRIPT = Path(__file__).with_name("autokeras_search.py")


def measure(plan: Plan) -> dict[str, object]:
    """Validation and test accuracy of both after the same time."""
    minutes = QUICK_MINUTES if plan.quick else MINUTES
    uv, images = _uv(), _images(plan)
    sides: dict[str, list[dict[str, Any]]] = {"AutoKeras": [], "bench run": []}
    # Seeds from 1: AutoKeras takes 0 for none.
    for seed in range(1, 2 if plan.quick else 1 + min(ROUNDS, plan.repeats)):
        sides["AutoKeras"].append(_autokeras(uv, images, seed, 60 * minutes, plan))
        ours = run_from_empty(study_of(plan), minutes, seed, plan.scratch, plan.data_folder, plan.environment)
        sides["bench run"].append(ours)
    return {"minutes": minutes, "study": study_of(plan), "sides": sides}


def _autokeras(uv: list[str], images: Path, seed: int, seconds: float, plan: Plan) -> dict[str, Any]:
    words = ["run", "--no-project", "--script", str(_SCRIPT), str(images), str(seed), f"{seconds:g}"]
    words.append(str(plan.scratch / "autokeras"))
    ended = subprocess.run([*uv, *words], stdout=subprocess.PIPE, text=True, check=True, env=plan.environment)
    told: dict[str, Any] = json.loads(ended.stdout)
    return told


def _images(plan: Plan) -> Path:
    """The study's split as arrays in a file: pixels uint8 (N, H, W, C) and labels int64 (N,) of every part."""
    dataset = load_dataset(plan)
    rows = split_rows(plan, dataset)
    parts = {"train": dataset.train.take(rows.train), "val": dataset.train.take(rows.val), "test": dataset.test}
    path = plan.scratch / f"{plan.dataset}.npz"
    path.parent.mkdir(parents=True, exist_ok=True)
    arrays: dict[str, Any] = {}
    for name, part in parts.items():
        arrays |= {f"{name}_pixels": part.pixels, f"{name}_labels": part.labels}
    np.savez(path, **arrays)
    return path


def _uv() -> list[str]:
    """How to call uv. Raises BenchError where it is not here."""
    if found := shutil.which("uv"):
        return [found]
    if find_spec("uv") is not None:
        return [sys.executable, "-m", "uv"]
    raise BenchError("AutoKeras is run by uv, in an environment of its own: python -m pip install uv")
