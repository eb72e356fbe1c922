"""Part `families`: what one worker reaches with every family's default, as `bench speed` measures it."""

from __future__ import annotations

import json
from collections.abc import Callable

from benchmark.definition import shipped_study
from benchmark.speed import device_named, measure_speed, to_json
from studies.speed.crew import Crew
from studies.speed.plan import Plan
from studies.speed.recipes import study_of

_SECONDS, _QUICK_SECONDS = 2.0, 0.05


def measure(plan: Plan) -> dict[str, object]:
    """The report of `bench speed` on the shipped study of this kind of device, as its JSON has it."""
    # In a process of its own: it sets threads and memory up as a worker's.
    with Crew(1, None, _prepare, plan) as crew:
        numbers: dict[str, object] = json.loads(crew.run()[0])
    return numbers


def _prepare(member: int, plan: Plan) -> Callable[[], str]:
    del member
    spec = shipped_study(study_of(plan))
    device = device_named("cpu" if plan.device == "cpu" else "auto")
    seconds = _QUICK_SECONDS if plan.quick else _SECONDS
    return lambda: to_json(measure_speed(spec, device, plan.data_folder, seconds=seconds))
