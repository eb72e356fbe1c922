"""The parts by name: what each measures and where it can run; imports a part only to run it."""

from __future__ import annotations

import importlib
from dataclasses import dataclass

from studies.speed.plan import Plan


@dataclass(frozen=True)
class Part:
    """One benchmark: `module` has measure(plan), which returns its raw numbers as plain JSON."""

    name: str
    title: str
    module: str
    devices: tuple[str, ...] = ("cpu", "cuda")

    def measure(self, plan: Plan) -> dict[str, object]:
        """Run it. May take hours."""
        numbers: dict[str, object] = importlib.import_module(f"studies.speed.{self.module}").measure(plan)
        return numbers


PARTS = (
    Part("families", "What one worker reaches, by family", "families"),
    Part("pipeline", "The data pipeline alone", "pipeline"),
    Part("training", "Training the same network", "training"),
    Part("time-to-80", "Time to 80 % validation accuracy", "time_to_80"),
    Part("ten-minutes", "What ten minutes buy", "ten_minutes", ("cpu",)),
    Part("installed", "What ten minutes of AutoKeras buy", "installed", ("cpu",)),
    Part("time-to-accuracy", "Time to accuracy on the test set", "time_to_accuracy"),
    Part("hundred", "A hundred trials", "hundred"),
    Part("workers-per-gpu", "Several workers on one GPU", "workers_per_gpu", ("cuda",)),
)


def part_named(name: str) -> Part:
    """The part of that name. Raises KeyError."""
    return {part.name: part for part in PARTS}[name]
