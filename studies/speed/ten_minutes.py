"""Part `ten-minutes`: the accuracy that ten minutes of the machine buy, by the script's search and by `bench run`.

The script searches as Optuna's own example does, for as long, in processes that share a database. Beside it the same
script trains once for as long, without a search. Epochs per trial and the one run's rate were chosen before, on
validation, with a seed that does not count. Each round all sides run in turn.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from studies.from_empty import run_from_empty
from studies.speed.baseline import CONSTANT_ADAM, SCRIPT_NETWORK, Setting, UserScript
from studies.speed.crew import Crew
from studies.speed.plan import Plan
from studies.speed.rates import images_per_second
from studies.speed.recipes import study_of
from studies.speed.script_search import RATES, Found, new_search, one_run, search, trials_of

MINUTES = 10.0
"""The time limit in Optuna's example."""
ROUNDS = 3
TRYING_SEED = 1000
EPOCHS_PER_TRIAL = (3, 6)
ONE_RUN_RATES = (0.1, 0.3)
"""Of SGD's one-cycle schedule: 0.2 and 0.4 reach 80 % in three epochs (`time_to_80`), and longer ones bear less."""
_MARGIN = 0.93
"""Of the time, for the epochs of that one run: after them come scores, and some epochs are slower."""
_QUICK_MINUTES = 0.4


def measure(plan: Plan) -> dict[str, object]:
    """Validation and test accuracy of every side after the same time, and what the script tried before."""
    minutes = _QUICK_MINUTES if plan.quick else MINUTES
    seconds = 60 * minutes
    sides: dict[str, list[dict[str, Any]]] = {
        name: [] for name in ("script, search", "script, one run", "bench run", "bench run, best model")
    }
    with (
        Crew(max(1, plan.script_processes), 1, _prepare_script, plan) as scripts,
        Crew(1, None, _prepare_script, plan) as script,
    ):
        lengths = [
            {"epochs": epochs} | _search(scripts, plan, epochs, TRYING_SEED, seconds)
            for epochs in EPOCHS_PER_TRIAL[: 1 if plan.quick else None]
        ]
        length = _best(lengths)["epochs"]
        workers, epochs = _longest_run(script, plan, seconds)
        settings = [Setting("sgd", rate, epochs) for rate in ONE_RUN_RATES[: 1 if plan.quick else None]]
        rates = [
            {"number": number} | _one_run(script, workers, setting, TRYING_SEED, seconds)
            for number, setting in enumerate(settings)
        ]
        setting = settings[_best(rates)["number"]]
        for seed in range(1 if plan.quick else min(ROUNDS, plan.repeats)):
            sides["script, search"].append(_search(scripts, plan, length, seed, seconds))
            sides["script, one run"].append(_one_run(script, workers, setting, seed, seconds))
            ours = run_from_empty(study_of(plan), minutes, seed, plan.scratch, plan.data_folder)
            sides["bench run"].append(ours)
            if ours["best_confirmed"] is not None:
                sides["bench run, best model"].append({"seed": seed} | ours["best_confirmed"])
    return {
        "minutes": minutes,
        "study": study_of(plan),
        "network": SCRIPT_NETWORK,
        "searched": {name: list(rates) for name, rates in RATES.items()},
        "processes": max(1, plan.script_processes),
        "tried": [
            *({"what": f"search, trials of {one['epochs']} epochs"} | one for one in lengths),
            *({"what": f"one run, {settings[one['number']]}"} | one for one in rates),
        ],
        "epochs_per_trial": length,
        "one_run": str(setting),
        "script_workers": workers,
        "sides": sides,
    }


def _search(scripts: Crew, plan: Plan, epochs: int, seed: int, seconds: float) -> dict[str, Any]:
    """What the processes of one search found together: the network with the best score on validation."""
    database = plan.scratch / f"script-{seed}-{epochs}-{time.time_ns()}.db"
    database.parent.mkdir(parents=True, exist_ok=True)
    storage = f"sqlite:///{Path(database).absolute()}"
    new_search(storage, seed)
    found: list[Found] = scripts.run("search", storage, epochs, seed, seconds)
    return {"seed": seed, "trials": trials_of(storage)} | _best([asdict(one) for one in found])


def _one_run(script: Crew, workers: int, setting: Setting, seed: int, seconds: float) -> dict[str, Any]:
    (found,) = script.run("one run", workers, setting, seed, seconds)
    return {"seed": seed, "trials": {"complete": 1}} | asdict(found)


def _best(found: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The one with the highest score on validation; the first of equals."""
    return max(found, key=lambda one: one["val_accuracy"] or 0.0)


def _longest_run(script: Crew, plan: Plan, seconds: float) -> tuple[int, int]:
    """The number of `DataLoader` workers that trains fastest, and the epochs that it trains in that time."""
    epoch_seconds = {workers: script.run("epoch seconds", workers)[0] for workers in plan.loader_workers}
    workers = min(epoch_seconds, key=lambda number: epoch_seconds[number])
    return workers, max(1, int(_MARGIN * seconds / epoch_seconds[workers]))


def _prepare_script(member: int, plan: Plan) -> Callable[..., float | Found]:
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    scripts: dict[int, UserScript] = {}

    def script(workers: int) -> UserScript:
        if workers not in scripts:
            scripts[workers] = UserScript(plan, CONSTANT_ADAM, workers, seed=member)
        return scripts[workers]

    def task(what: str, *arguments: Any) -> float | Found:
        if what == "search":
            storage, epochs, seed, seconds = arguments
            # Runs side by side are runs of different seeds.
            return search(script(0), storage, epochs, 100 * member + seed, seconds)
        workers, *rest = arguments
        if what == "epoch seconds":
            rate = images_per_second(script(workers).steps(), plan.warm_seconds, plan.window_seconds)
            return script(workers).training_images / rate
        return one_run(script(workers), *rest)

    script(0)
    return task
