"""Compare variations of a family's default trial, on validation, at the same seconds of training.

    python -m studies.compare_recipes --seconds 45 --seeds 2 "" "batch_size=256" "start_size=1.0 cnn.width=32"

Each argument is one variation: full parameter names with values, blanks between them; "" is the default itself. As many
seeds train side by side as there are cores, one thread each, and variations take turns within a round of seeds. The
recipes in benchmark/architectures were chosen with it. Use an idle machine: what the seconds buy is timed.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tomllib
from collections.abc import Callable

from benchmark.definition import BudgetSpec
from benchmark.errors import BenchError
from benchmark.records import Budget, ParameterValue
from studies.speed.crew import Crew, seed_of
from studies.speed.data import device_data
from studies.speed.plan import Plan
from studies.speed.recipes import varied_default
from studies.speed.trainer import TrainedOnce, Worker

_WARM = Budget(epochs=0.02)


def main() -> None:
    """Print a line per variation: mean and lowest to highest validation accuracy, and what it cost."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("variations", nargs="+")
    parser.add_argument("--family", default="cnn")
    parser.add_argument("--study", default="cifar10-cpu", help="whose space and data are taken")
    parser.add_argument("--seconds", type=float, default=45.0)
    parser.add_argument("--seeds", type=int, default=2, help="rounded up to whole rounds of one per core")
    parser.add_argument("--precision", default="auto")
    options = parser.parse_args()
    variations = {text: parameters_of(text) for text in options.variations}
    plan = Plan("cpu", os.cpu_count() or 1)
    runs: dict[str, list[TrainedOnce]] = {text: [] for text in variations}
    with Crew(plan.side_by_side, 1, _prepare, plan, options.study, options.family, options.precision) as crew:
        crew.run({}, _WARM, 0)
        for round_number in range(-(-options.seeds // plan.side_by_side)):
            for text, parameters in variations.items():
                runs[text] += crew.run(parameters, Budget(seconds=options.seconds), round_number)
                print(_line(text, runs[text]), flush=True)


def parameters_of(text: str) -> dict[str, ParameterValue]:
    """The parameters that a variation such as `cnn.width=48 averaging=lookahead` names. Raises BenchError."""
    parameters: dict[str, ParameterValue] = {}
    for word in text.split():
        name, is_given, value = word.partition("=")
        if not is_given:
            raise BenchError(f"{word!r} is no parameter with a value: write {word}=VALUE")
        try:
            parameters[name] = tomllib.loads(f"value = {value}")["value"]
        except tomllib.TOMLDecodeError:
            parameters[name] = value
    return parameters


def _prepare(
    member: int, plan: Plan, study: str, family: str, precision: str
) -> Callable[[dict[str, ParameterValue], Budget, int], TrainedOnce]:
    worker = Worker(device_data(plan))

    def task(parameters: dict[str, ParameterValue], budget: Budget, round_number: int) -> TrainedOnce:
        one_report = BudgetSpec(budget.epochs, budget.seconds, reports=1)
        config = varied_default(family, study, parameters, one_report, seed_of(member, round_number), precision)
        return worker.train(config, worker.data.val)

    return task


def _line(text: str, runs: list[TrainedOnce]) -> str:
    accuracies = [100 * run.accuracy for run in runs]
    seconds = statistics.mean(run.train_seconds for run in runs)
    images = statistics.mean(run.images_seen for run in runs)
    spread = f"{min(accuracies):.2f} to {max(accuracies):.2f}"
    mean = statistics.mean(accuracies)
    return f"{mean:6.2f} % ({spread}, {len(runs)} seeds)  {images:9,.0f} images {seconds:6.1f} s  {text or 'default'}"


if __name__ == "__main__":
    main()
