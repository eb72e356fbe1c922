"""The files of raw numbers: written with their origin, one per part and device, and read back; makes no page."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmark.errors import BenchError
from benchmark.origin import running_versions, source_commit
from studies.speed.plan import SPLIT_SEED, Plan, device_slug

_TOLD_VERSIONS = ("ensemble-bench", "python", "torch", "torchvision", "timm", "optuna", "numpy")
IDLE_LOAD = 0.5
"""Processes that wait for a core, on average over a minute: with more of them before it, a measurement is marked."""


@dataclass(frozen=True)
class Measured:
    """One part on one device: `origin` says where the `numbers` come from, both as plain JSON."""

    part: str
    slug: str
    """The device as a folder's name."""
    origin: Mapping[str, Any]
    numbers: Mapping[str, Any]

    @property
    def is_gpu(self) -> bool:
        """Whether the device is one."""
        return bool(self.origin["device_type"] == "cuda")


def origin_of(plan: Plan, command: str, load_before: float | None) -> dict[str, Any]:
    """What a reader needs to repeat a measurement that starts now; `load_before` in processes, None where unknown."""
    import torch

    from benchmark.training import choose_device

    return {
        "command": command,
        "commit": _commit(),
        "device": choose_device(plan.device).name,
        "device_type": plan.device,
        "cores": plan.cores,
        "threads": torch.get_num_threads(),
        "load_before": load_before,
        "dataset": plan.dataset,
        "split_seed": SPLIT_SEED,
        "val_rows": plan.val_rows,
        "repeats": plan.repeats,
        "quick": plan.quick,
        "versions": {name: version for name, version in running_versions().items() if name in _TOLD_VERSIONS},
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def write_result(folder: Path, part: str, origin: Mapping[str, Any], numbers: Mapping[str, Any]) -> Path:
    """Write `folder/speed/DEVICE/PART.json`, in the place of an older one, and return its path."""
    cores = None if origin["device_type"] == "cuda" else origin["cores"]
    path = folder / "speed" / device_slug(origin["device"], cores) / f"{part}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(
        {"part": part, "origin": origin, "numbers": numbers}, indent=2, ensure_ascii=False, allow_nan=False
    )
    path.write_text(text + "\n", encoding="utf-8")
    return path


def read_results(folder: Path) -> list[Measured]:
    """Every file of `folder/speed`, by device and part. Raises BenchError for one that is none."""
    found = []
    for path in sorted(folder.glob("speed/*/*.json")):
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            found.append(Measured(content["part"], path.parent.name, content["origin"], content["numbers"]))
        except (ValueError, KeyError, TypeError) as error:
            raise BenchError(f"{path} holds no numbers of these benchmarks ({error}); remove it") from error
    return found


def _commit() -> str:
    """The commit of this checkout; "+changes" where the package or these scripts were altered."""
    commit = source_commit()
    if commit == "unknown" or commit.endswith("+changes"):
        return commit
    status = ["git", "-C", str(Path(__file__).parent), "status", "--porcelain", "--", "."]
    changed = subprocess.run(status, capture_output=True, text=True, check=True).stdout.strip()
    return commit + ("+changes" if changed else "")
