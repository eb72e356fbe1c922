"""Compare averages of the weights at a run's reports with the best report alone: greedy and uniform soups.

    python -m studies.compare_soups --seconds 60 --seeds 4 "" "averaging=lookahead" "schedule=one_cycle"

Each argument is one variation of a family's default, as for `studies.compare_recipes`. A run keeps its weights at every
report that sees images in full size; soups are made of these (Wortsman et al. 2022, arXiv:2203.05482, recipe 1).
Validation makes the soup and chooses the best report, test tells what came of them. One run of one thread per core.
"""

from __future__ import annotations

import argparse
import os
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor

from benchmark.definition import BudgetSpec
from benchmark.records import ParameterValue, TrialConfig
from benchmark.training import DeviceData, TrainingRun, keep_freed_memory, predict
from studies.compare_recipes import parameters_of
from studies.speed.crew import Crew, seed_of
from studies.speed.data import device_data
from studies.speed.plan import Plan
from studies.speed.recipes import varied_default

Weights = Mapping[str, Tensor]
WAYS = ("best report", "last report", "greedy soup", "uniform soup")


@dataclass(frozen=True)
class Cooked:
    """Test accuracy in [0, 1] of each of WAYS, and how many reports are in the greedy soup, of how many."""

    accuracies: dict[str, float]
    ingredients: int
    reports: int


def mean_weights(states: Sequence[Weights]) -> dict[str, Tensor]:
    """The mean of every floating-point tensor, running statistics included; counters are those of the last state."""
    return {
        name: sum(state[name] for state in states) / len(states) if last.is_floating_point() else last  # type: ignore[misc]
        for name, last in states[-1].items()
    }


def greedy_soup(count: int, score: Callable[[Sequence[int]], float]) -> list[int]:
    """Which of `count` ingredients go into the soup, in the order in which they do.

    The best goes first; each other, from best to worst, stays where the soup's `score` does not fall. Of equal ones the
    later comes first.
    """
    order = sorted(range(count), key=lambda one: (score([one]), one), reverse=True)
    soup, best = [order[0]], score([order[0]])
    for candidate in order[1:]:
        found = score([*soup, candidate])
        if found >= best:
            soup, best = [*soup, candidate], found
    return soup


def cook(config: TrialConfig, data: DeviceData) -> Cooked:
    """Train once, and score on test what validation made of the weights at the reports."""
    run = TrainingRun(config, data)
    run.open()
    states: list[Weights] = []
    for _ in run.reports():
        if run.sees_full_size:
            states.append({name: tensor.clone() for name, tensor in run.stepper.answering.state_dict().items()})

    def accuracy(chosen: Sequence[int], on_test: bool = False) -> float:
        run.stepper.answering.load_state_dict(mean_weights([states[one] for one in sorted(chosen)]))
        part = data.test if on_test else data.val
        log_probs = predict(run.stepper.answering, data, part, views=config.views, precision=config.precision)
        return (log_probs.argmax(dim=1) == part.labels).float().mean().item()

    reports = range(len(states))
    soup = greedy_soup(len(states), accuracy)
    ways = (soup[:1], reports[-1:], soup, reports)
    tested = {name: accuracy(chosen, on_test=True) for name, chosen in zip(WAYS, ways, strict=True)}
    return Cooked(tested, len(soup), len(states))


def main() -> None:
    """Print a line per variation and way: mean and lowest to highest test accuracy."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("variations", nargs="+")
    parser.add_argument("--family", default="cnn")
    parser.add_argument("--study", default="cifar10-cpu", help="whose space and data are taken")
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--reports", type=int, default=20)
    parser.add_argument("--seeds", type=int, default=4, help="rounded up to whole rounds of one per core")
    options = parser.parse_args()
    plan = Plan("cpu", os.cpu_count() or 1)
    budget = BudgetSpec(seconds=options.seconds, reports=options.reports)
    with Crew(plan.side_by_side, 1, _prepare, plan, options.study, options.family, budget) as crew:
        for text in options.variations:
            rounds = range(-(-options.seeds // plan.side_by_side))
            found = [one for number in rounds for one in crew.run(parameters_of(text), number)]
            print("\n".join((text or "default", *_lines(found))), flush=True)


def _prepare(
    member: int, plan: Plan, study: str, family: str, budget: BudgetSpec
) -> Callable[[dict[str, ParameterValue], int], Cooked]:
    keep_freed_memory()
    data = device_data(plan)

    def task(parameters: dict[str, ParameterValue], round_number: int) -> Cooked:
        return cook(varied_default(family, study, parameters, budget, seed_of(member, round_number)), data)

    return task


def _lines(found: Sequence[Cooked]) -> list[str]:
    lines = []
    for way in WAYS:
        percents = [100 * one.accuracies[way] for one in found]
        spread = f"{min(percents):.2f} to {max(percents):.2f}, {len(found)} seeds"
        gains = [100 * (one.accuracies[way] - one.accuracies[WAYS[0]]) for one in found]
        gain = f"{statistics.mean(gains):+.2f} ({min(gains):+.2f} to {max(gains):+.2f})"
        lines.append(f"  {way:12} {statistics.mean(percents):6.2f} % ({spread})  beyond the best report {gain}")
    sizes = ", ".join(f"{one.ingredients} of {one.reports}" for one in found)
    return [*lines, f"  reports in the greedy soup: {sizes}"]


if __name__ == "__main__":
    main()
