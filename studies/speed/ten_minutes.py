"""Part `ten-minutes`: the accuracy that ten minutes of the machine buy, by the script's search and by `bench run`.

The script searches as Optuna's own example does, for as long, in processes that share a database. Beside it the same
script trains once for as long, without a search. Epochs per trial and the one run's rate were chosen before, on
validation, with a seed that does not count. Each round all sides run in turn.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict
from functools import cache
from typing import Any

import optuna

from studies.from_empty import run_from_empty
from studies.speed.baseline import CONSTANT_ADAM, SCRIPT_NETWORK, Setting, UserScript
from studies.speed.crew import Crew
from studies.speed.plan import Plan
from studies.speed.recipes import study_of
from studies.speed.script_search import RATES, Found, epoch_seconds, new_search, one_run, search, trials_of

MINUTES, QUICK_MINUTES = 10.0, 0.4
"""Ten are the time limit in Optuna's example."""
ROUNDS = 3
TRYING_SEED = 1000
TRIALS_IN_TIME = (1, 2)
"""So many trials of a process fit into the time: one takes all of it, or half."""
ONE_RUN_RATES = (0.1, 0.3)
"""Of SGD's one-cycle schedule: 0.2 and 0.4 reach 80 % in three epochs (`time_to_80`), and longer ones bear less."""
_MARGIN = 0.9
"""Of the time, for epochs that take as long as the one that was timed: some take longer, and what does not end counts
little."""
_SEEDS_PER_ROUND = 1000
"""Processes side by side have seeds of their own."""


def measure(plan: Plan) -> dict[str, object]:
    """Validation and test accuracy of every side after the same time, and what the script tried before."""
    minutes = QUICK_MINUTES if plan.quick else MINUTES
    seconds = 60 * minutes
    sides: dict[str, list[dict[str, Any]]] = {
        name: [] for name in ("script, search", "script, one run", "bench run", "bench run, best model")
    }
    with (
        Crew(plan.side_by_side, 1, _prepare, plan) as searchers,
        Crew(1, None, _prepare, plan) as alone,
    ):
        slowest = max(searchers.run(epoch_seconds, 0, TRYING_SEED))
        lengths = {max(1, int(_MARGIN * seconds / trials / slowest)) for trials in TRIALS_IN_TIME}
        searches = {epochs: _search(searchers, plan, epochs, TRYING_SEED, seconds) for epochs in sorted(lengths)}
        length = max(searches, key=lambda epochs: float(searches[epochs]["val_accuracy"]))
        by_workers = {workers: alone.run(epoch_seconds, workers, TRYING_SEED)[0] for workers in plan.loader_workers}
        workers = min(by_workers, key=by_workers.__getitem__)
        epochs = max(1, int(_MARGIN * seconds / by_workers[workers]))
        settings = [Setting("sgd", rate, epochs) for rate in ONE_RUN_RATES]
        runs = {setting: _one_run(alone, workers, setting, TRYING_SEED, seconds) for setting in settings}
        setting = max(runs, key=lambda one: float(runs[one]["val_accuracy"]))
        for seed in range(1 if plan.quick else min(ROUNDS, plan.repeats)):
            sides["script, search"].append(_search(searchers, plan, length, seed, seconds))
            sides["script, one run"].append(_one_run(alone, workers, setting, seed, seconds))
            ours = run_from_empty(study_of(plan), minutes, seed, plan.scratch, plan.data_folder, plan.environment)
            sides["bench run"].append(ours)
            if ours["best_confirmed"] is not None:
                sides["bench run, best model"].append({"seed": seed} | ours["best_confirmed"])
    return {
        "minutes": minutes,
        "study": study_of(plan),
        "network": SCRIPT_NETWORK,
        "searched": {name: list(rates) for name, rates in RATES.items()},
        "processes": plan.side_by_side,
        "tried": [
            *({"what": f"search, trials of {number} epochs"} | one for number, one in searches.items()),
            *({"what": f"one run, {which}"} | one for which, one in runs.items()),
        ],
        "epochs_per_trial": length,
        "one_run": str(setting),
        "script_workers": workers,
        "sides": sides,
    }


def _search(searchers: Crew, plan: Plan, epochs: int, seed: int, seconds: float) -> dict[str, Any]:
    """What the processes of one search found together: the network with the best score on validation."""
    database = (plan.scratch / f"script-{time.time_ns()}.db").absolute()
    database.parent.mkdir(parents=True, exist_ok=True)
    storage = f"sqlite:///{database}"
    new_search(storage)
    found: list[Found] = searchers.run(search, 0, seed, storage, epochs, seconds)
    best = max(found, key=lambda one: one.val_accuracy)
    return {"seed": seed, "trials": trials_of(storage)} | asdict(best)


def _one_run(alone: Crew, workers: int, setting: Setting, seed: int, seconds: float) -> dict[str, Any]:
    found: Found
    (found,) = alone.run(one_run, workers, seed, setting, seconds)
    state = "complete" if found.epochs == setting.one_cycle_epochs else "cut off"
    return {"seed": seed, "trials": {state: 1}} | asdict(found)


def _prepare(member: int, plan: Plan) -> Callable[..., Any]:
    # Of trials that the deadline cuts off it would print where they were.
    optuna.logging.set_verbosity(optuna.logging.ERROR)

    @cache
    def script(workers: int) -> UserScript:
        return UserScript(plan, CONSTANT_ADAM, workers, seed=member)

    def task(work: Callable[..., Any], workers: int, seed: int, *arguments: Any) -> Any:
        return work(script(workers), _SEEDS_PER_ROUND * seed + member, *arguments)

    script(0)
    return task
