"""Part `training`: training images per second of one network, end to end."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache

from studies.speed.baseline import BATCH_SIZE, DEPTH, STEM_STRIDE, WIDTH, Setting, UserScript
from studies.speed.crew import Crew
from studies.speed.data import device_data
from studies.speed.plan import Plan
from studies.speed.rates import images_per_second
from studies.speed.recipes import plain_cnn
from studies.speed.trainer import Worker

PRECISIONS = ("auto", "float32")
NESTEROV_SGD = Setting("sgd", 0.1)
"""What ours steps with, too."""


def measure(plan: Plan) -> dict[str, object]:
    """Training images per second of the machine, each side in turn; ours in the usual precision and in float32."""
    rates: dict[str, list[float]] = {f"script, {workers} workers": [] for workers in plan.loader_workers}
    several = f"script, {plan.script_processes} processes of one thread"
    rates |= {several: []} if plan.script_processes else {}
    rates |= {f"bench, {precision}": [] for precision in PRECISIONS}
    with (
        Crew(1, None, _prepare_script, plan) as script,
        Crew(plan.script_processes, 1, _prepare_script, plan) as scripts,
        Crew(plan.side_by_side, 1, _prepare_ours, plan) as workers,
    ):
        for _ in range(plan.repeats):
            for number in plan.loader_workers:
                rates[f"script, {number} workers"] += script.run(number)
            if plan.script_processes:
                rates[several].append(sum(scripts.run(0)))
            for precision in PRECISIONS:
                rates[f"bench, {precision}"].append(sum(workers.run(precision)))
    return {
        "network": f"cnn, plain, width {WIDTH}, depth {DEPTH}, stem stride {STEM_STRIDE}",
        "optimizer": "SGD with Nesterov momentum",
        "batch_size": BATCH_SIZE,
        "processes": plan.side_by_side,
        "seeds": list(range(plan.side_by_side)),
        "window_seconds": plan.window_seconds,
        "images_per_second": rates,
    }


def _prepare_script(member: int, plan: Plan) -> Callable[[int], float]:
    @cache
    def steps(workers: int) -> Iterator[int]:
        return UserScript(plan, NESTEROV_SGD, workers, seed=member).steps()

    return lambda workers: images_per_second(steps(workers), plan.warm_seconds, plan.window_seconds)


def _prepare_ours(member: int, plan: Plan) -> Callable[[str], float]:
    worker = Worker(device_data(plan))

    @cache
    def steps(precision: str) -> Iterator[int]:
        return worker.steps(plain_cnn(WIDTH, DEPTH, STEM_STRIDE, BATCH_SIZE, member, precision, plan.dataset))

    return lambda precision: images_per_second(steps(precision), plan.warm_seconds, plan.window_seconds)
