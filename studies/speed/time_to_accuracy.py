"""Part `time-to-accuracy`: one run of a fixed recipe on every training row, scored on CIFAR-10's own test set.

The test set is looked at once per run: the recipes are fixed in `recipes`, and between them was chosen on validation
rows. Where one was changed after a test result, its `history` says so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, replace

from benchmark.errors import UnknownNameError
from benchmark.records import Budget
from studies.speed.crew import Crew, seed_of
from studies.speed.data import all_for_training
from studies.speed.plan import Plan
from studies.speed.recipes import CPU_RECIPES, GPU_RECIPES, Recipe, config_of
from studies.speed.trainer import CAPTURED_EPOCHS, TrainedOnce, Worker

CPU_ROUNDS, GPU_SEEDS = 2, 5
PRECISIONS = ("auto", "float32")
_WARM_SEED = 1000
_TRAINING_FLOP_PER_MAC = 6
"""Two operations per multiply-accumulate; forward, gradient of inputs, gradient of weights."""


def measure(plan: Plan) -> dict[str, object]:
    """Accuracy, seconds, images and work of every run; recipes and precisions take turns within a round."""
    recipes, precisions, rounds = _programme(plan)
    groups: dict[tuple[str, str], list[dict[str, object]]] = {}
    with Crew(plan.side_by_side, 1, _prepare, plan) as crew:
        # What a process imports and captures once is no part of a run: a worker trains many.
        for recipe in recipes:
            crew.run(_warming(recipe, plan), precisions[0], _WARM_SEED)
        for round_number in range(rounds):
            for recipe, precision in _in_turn(recipes, precisions):
                runs: list[TrainedOnce] = crew.run(recipe, precision, round_number)
                groups.setdefault((recipe.name, precision), []).extend(
                    {"seed": seed_of(member, round_number)} | _told(run) for member, run in enumerate(runs)
                )
    return {
        "processes": plan.side_by_side,
        "train_rows": "all",
        "recipes": [_described(recipe) for recipe in recipes],
        "groups": [
            {"recipe": name, "precision": precision, "runs": runs} for (name, precision), runs in groups.items()
        ],
    }


def _programme(plan: Plan) -> tuple[tuple[Recipe, ...], tuple[str, ...], int]:
    if plan.quick:
        return (replace(CPU_RECIPES[0], budget=Budget(seconds=1), target=None),), PRECISIONS, 1
    if plan.device == "cuda":
        return _asked_for(GPU_RECIPES, plan), PRECISIONS[:1], GPU_SEEDS
    return _asked_for(CPU_RECIPES, plan), PRECISIONS, CPU_ROUNDS


def _asked_for(recipes: tuple[Recipe, ...], plan: Plan) -> tuple[Recipe, ...]:
    for name in plan.recipes:
        if name not in (known := {recipe.name for recipe in recipes}):
            raise UnknownNameError("recipe", name, known)
    return tuple(recipe for recipe in recipes if not plan.recipes or recipe.name in plan.recipes)


def _warming(recipe: Recipe, plan: Plan) -> Recipe:
    """A second of it; on a GPU as many epochs as it takes for its passes to be captured, by their shapes."""
    budget = Budget(epochs=CAPTURED_EPOCHS) if plan.device == "cuda" else Budget(seconds=1)
    return replace(recipe, budget=budget)


def _in_turn(recipes: tuple[Recipe, ...], precisions: tuple[str, ...]) -> Iterator[tuple[Recipe, str]]:
    for recipe in recipes:
        for precision in precisions:
            yield recipe, precision


def _told(run: TrainedOnce) -> dict[str, object]:
    return {**asdict(run), "petaflop": _TRAINING_FLOP_PER_MAC * run.macs * run.images_seen / 1e15}


def _described(recipe: Recipe) -> dict[str, object]:
    budget = recipe.budget
    return {
        "name": recipe.name,
        "target": recipe.target,
        "record": recipe.record,
        "history": recipe.history,
        "budget": f"{budget.epochs:g} epochs" if budget.epochs else f"{budget.seconds:g} s",
        "augmentations": list(recipe.augmentations),
        "parameters": dict(recipe.parameters),
    }


def _prepare(member: int, plan: Plan) -> Callable[[Recipe, str, int], TrainedOnce]:
    worker = Worker(all_for_training(plan))

    def task(recipe: Recipe, precision: str, round_number: int) -> TrainedOnce:
        config = config_of(recipe, seed_of(member, round_number), precision, plan.dataset)
        return worker.train(config, worker.data.test)

    return task
