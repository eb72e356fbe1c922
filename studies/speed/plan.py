"""How much is measured and on what: a plan for one machine; measures nothing."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

SPLIT_SEED = 0
"""Of the split into training and validation rows, as in the shipped studies."""


@dataclass(frozen=True)
class Plan:
    """What every part is told."""

    device: str
    """cpu or cuda: one machine's worth of cores, or its first GPU."""
    cores: int
    repeats: int = 5
    """Times that every side is measured, in turn."""
    window_seconds: float = 12.0
    """Length of one measurement of a rate, after `warm_seconds` that do not count."""
    warm_seconds: float = 2.0
    dataset: str = "cifar10"
    val_rows: int = 5000
    data_folder: Path | None = None
    scratch: Path = Path("build/speed")
    """Where databases of studies are kept; never a place for results."""
    pruning: tuple[str, ...] = ("on", "off")
    """Which of the two searches of a hundred trials are run; each takes the better part of an hour."""
    recipes: tuple[str, ...] = ()
    """Which recipes of the time to accuracy are run; none named is all."""
    mps: bool = True
    """Whether several workers on a GPU are measured under NVIDIA's MPS daemon too, where it is there."""
    quick: bool = False
    """Try out the code: a tiny data set and short windows. Such numbers mean nothing and are marked."""

    def __post_init__(self) -> None:
        if self.device not in ("cpu", "cuda"):
            raise ValueError(f"device must be cpu or cuda, not {self.device!r}")
        if min(self.cores, self.repeats) < 1 or self.window_seconds <= 0 or self.warm_seconds < 0:
            raise ValueError("cores and repeats must be at least 1, and a window longer than nothing")

    @property
    def side_by_side(self) -> int:
        """Processes of ours that share the machine: one single-threaded worker per core, or one on the GPU."""
        return self.cores if self.device == "cpu" else 1

    @property
    def environment(self) -> dict[str, str]:
        """The environment of a command that has this plan's device only."""
        return {**os.environ, **({"CUDA_VISIBLE_DEVICES": ""} if self.device == "cpu" else {})}

    @property
    def script_processes(self) -> int:
        """Processes of one thread that the user's script also tries, side by side; none where ours has one as well."""
        return self.side_by_side if self.side_by_side > 1 else 0

    @property
    def loader_workers(self) -> tuple[int, ...]:
        """Numbers of DataLoader workers that the user's script tries: none, up to one per core."""
        return tuple(sorted({0, max(1, self.cores // 4), max(1, self.cores // 2), self.cores}))


def quick_plan(device: str, cores: int, scratch: Path) -> Plan:
    """The plan for trying out the code on scikit-learn's digits in a minute or two."""
    return Plan(
        device=device,
        cores=cores,
        repeats=2,
        window_seconds=0.3,
        warm_seconds=0.1,
        dataset="digits",
        val_rows=297,
        scratch=scratch,
        quick=True,
    )


def device_slug(name: str, cores: int | None) -> str:
    """A device's name as a folder: `intel-xeon-processor-2-cores`; `cores` is None for a GPU."""
    words = re.sub(r"\((r|tm|c)\)", " ", name.lower())
    slug = re.sub(r"[^a-z0-9]+", "-", words).strip("-") or "unknown"
    return slug if cores is None else f"{slug}-{cores}-core{'s' if cores > 1 else ''}"
