"""Part `time-to-80`: seconds until a network has 80 % of the validation rows right, each side with its own best recipe.

The script tries its settings once each, ours budgets from small to large, both with seeds that do not count. Then all
sides run every seed in turn. A candidate that misses the target once gives way to the side's next one, and all begin
again.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from functools import cache
from typing import Any

from benchmark.records import Budget, TrialConfig
from studies.speed.baseline import CONSTANT_ADAM, SCRIPT_NETWORK, Reached, Setting, UserScript
from studies.speed.crew import Crew, seed_of
from studies.speed.data import device_data
from studies.speed.plan import Plan
from studies.speed.rates import images_per_second
from studies.speed.recipes import CPU_STUDY, study_default
from studies.speed.trainer import CAPTURED_EPOCHS, TrainedOnce, Worker

TARGET = 0.80
SEEDS = 3
TRYING_SEED = 1000
SETTINGS = (
    Setting("sgd", 0.4, 2),
    Setting("adam", 5e-3, 2),
    Setting("sgd", 0.2, 3),
    Setting("sgd", 0.4, 3),
    Setting("adam", 5e-3, 3),
    Setting("sgd", 0.2, 4),
    Setting("sgd", 0.2, 5),
    CONSTANT_ADAM,
)
"""What the user's script tries, in this order; a run that takes longer than the fastest so far is stopped."""
_WARM_EPOCHS = 0.02
MAX_EPOCHS, MAX_SECONDS = 20, 1800.0
BUDGETS = (0.4, 0.5, 0.6, 0.75, 0.9, 1.1, 1.3, 1.6, 2.0, 3.0)
"""Epochs that ours tries, in this order, with the default `cnn` of the CPU study."""


@dataclass(eq=False)
class Side:
    """One side on its way: candidates in the order in which they are taken, and the runs so far."""

    name: str
    candidates: list[Any]
    attempt: Callable[[Any, int], dict[str, Any]]
    """Runs a candidate with a seed; its answer has `reached`."""
    kept: list[dict[str, Any]] = field(default_factory=list)
    """Of the first candidate, one run for each seed."""
    missed: list[dict[str, Any]] = field(default_factory=list)
    """Of candidates that gave way."""

    def take_turn(self, seed: int) -> bool:
        """Run the first candidate with that seed; False where it missed, and has given way to the next one."""
        outcome = {"candidate": str(self.candidates[0])} | self.attempt(self.candidates[0], seed)
        if outcome["reached"]:
            self.kept.append(outcome)
            return True
        self.missed += [*self.kept, outcome]
        self.candidates.pop(0)
        return False


def take_turns(sides: Sequence[Side], seeds: int) -> None:
    """Run every seed on every side, one side after the other, so that runs of a seed are neighbours in time.

    Where a side misses, the sides begin again, it with its next candidate; one that has none left is out.
    """
    seed = 0
    while seed < seeds:
        if all(side.take_turn(seed) for side in sides if side.candidates):
            seed += 1
        else:
            seed = 0
            for side in sides:
                side.kept.clear()


def measure(plan: Plan) -> dict[str, object]:
    """Each seed's seconds on both sides in turn, and everything that was tried on the way."""
    target, seeds = (0.5, 1) if plan.quick else (TARGET, SEEDS)
    with (
        Crew(1, None, _prepare_script, plan) as script,
        Crew(plan.script_processes, 1, _prepare_script, plan) as scripts,
        Crew(1, None, _prepare_ours, plan) as alone,
        Crew(plan.side_by_side, 1, _prepare_ours, plan) as crew,
    ):
        tried, workers = _try_settings(plan, script, target)
        budgets = _try_budgets(crew, target)
        # Ours first: where it misses, less has to be done again.
        sides = [
            Side("bench, one run at a time", list(budgets), lambda *what: _our_runs(alone, target, *what)),
            Side("script", _worth_repeating(tried), lambda *what: _script_runs(script, target, workers, *what)),
        ]
        if plan.side_by_side > 1:
            sides += [
                Side("bench, one run per core", list(budgets), lambda *what: _our_runs(crew, target, *what)),
                Side(
                    "script, one run per core",
                    _worth_repeating(tried),
                    lambda *what: _script_runs(scripts, target, 0, *what),
                ),
            ]
        take_turns(sides, seeds)
    ours = study_default("cnn", CPU_STUDY, Budget(epochs=1.0), TRYING_SEED)
    return {
        "target": target,
        "val_rows": plan.val_rows,
        "networks": {"script": SCRIPT_NETWORK, "bench": _described(ours)},
        "script_workers": workers,
        "settings_tried": tried,
        "sides": {
            side.name: {"runs": side.kept, "missed": side.missed}
            for side in sorted(sides, key=lambda side: side.name.startswith("bench"))
        },
    }


def _described(config: TrialConfig) -> str:
    network = ", ".join(f"{name} {value}" for name, value in config.architecture.params.items())
    return (
        f"the default `cnn` of `{CPU_STUDY}` ({network}), {config.optimizer.name}, batches of {config.batch_size}, "
        f"images that grow from {config.start_size:g} of the side, precision {config.precision}, answers from "
        f"{config.views} views"
    )


def _try_budgets(crew: Crew, target: float) -> list[float]:
    """The budgets from the first one on that reaches the target with seeds that do not count."""
    for number, epochs in enumerate(BUDGETS):
        if _our_runs(crew, target, epochs, TRYING_SEED)["reached"]:
            return list(BUDGETS[number:])
    return []


def _try_settings(plan: Plan, script: Crew, target: float) -> tuple[list[dict[str, Any]], int]:
    """Every setting once, as far as it can still be the fastest; and the number of workers that loads fastest."""
    rates: dict[int, list[float]] = {workers: [] for workers in plan.loader_workers}
    for _ in range(plan.repeats):
        for number, found in rates.items():
            found += script.run("rate", number)
    workers = max(rates, key=lambda number: statistics.median(rates[number]))
    tried: list[dict[str, Any]] = []
    limit = MAX_SECONDS
    # The last is the one that a tiny data set learns with.
    for number, setting in list(enumerate(SETTINGS))[-1 if plan.quick else 0 :]:
        (run,) = script.run("run", workers, target, setting, TRYING_SEED, limit)
        tried.append({"number": number, "setting": str(setting)} | asdict(run))
        if run.reached:
            limit = min(limit, run.seconds)
    return tried, workers


def _worth_repeating(tried: Sequence[dict[str, Any]]) -> list[Setting]:
    """Settings that reached the target, fastest first; then those that were stopped, since they still might."""
    reached = sorted((one for one in tried if one["reached"]), key=lambda one: float(one["seconds"]))
    stopped = [one for one in tried if one["stopped"]]
    return [SETTINGS[one["number"]] for one in (*reached, *stopped)]


def _script_runs(script: Crew, target: float, workers: int, setting: Setting, seed: int) -> dict[str, Any]:
    runs: list[Reached] = script.run("run", workers, target, setting, seed, MAX_SECONDS)
    return _outcome(runs, target, seed, max(run.epochs for run in runs))


def _our_runs(crew: Crew, target: float, epochs: float, seed: int) -> dict[str, Any]:
    return _outcome(crew.run(epochs, seed), target, seed, epochs)


def _outcome(runs: Sequence[Reached | TrainedOnce], target: float, seed: int, epochs: float) -> dict[str, Any]:
    """What runs side by side came to together."""
    return {
        "reached": all(run.accuracy >= target for run in runs),
        "seeds": [seed_of(member, seed) for member in range(len(runs))],
        "accuracies": [run.accuracy for run in runs],
        "epochs": epochs,
        # The machine is free again when the last of them ends.
        "train_seconds": max(run.train_seconds for run in runs),
        "seconds": max(run.seconds for run in runs),
    }


def _prepare_script(member: int, plan: Plan) -> Callable[..., float | Reached]:
    @cache
    def script(workers: int) -> UserScript:
        return UserScript(plan, CONSTANT_ADAM, workers, seed=member)

    def task(what: str, workers: int, *arguments: Any) -> float | Reached:
        if what == "rate":
            return images_per_second(script(workers).steps(), plan.warm_seconds, plan.window_seconds)
        target, setting, seed, limit = arguments
        return script(workers).run_until(target, setting, seed_of(member, seed), MAX_EPOCHS, limit)

    return task


def _prepare_ours(member: int, plan: Plan) -> Callable[[float, int], TrainedOnce]:
    worker = Worker(device_data(plan))
    # What a process imports once is no part of a run; the script has tried its settings by then.
    warming = Budget(epochs=CAPTURED_EPOCHS if plan.device == "cuda" else _WARM_EPOCHS)
    worker.train(study_default("cnn", CPU_STUDY, warming, TRYING_SEED), worker.data.val)

    def task(epochs: float, seed: int) -> TrainedOnce:
        config = study_default("cnn", CPU_STUDY, Budget(epochs=epochs), seed_of(member, seed))
        return worker.train(config, worker.data.val)

    return task
