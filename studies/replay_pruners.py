"""Compare pruners at equal cost by replaying a study that was run without one.

    python studies/replay_pruners.py STUDY [--root DIR] [--orders 40]

The study's complete trials are taken in random orders. For every pruner each trial is replayed report by report until
it is pruned or ends, and the replay stops when it has cost as much as `--share` of training all trials to the end. What
counts is the best validation accuracy found by then, and the mean of the best five, which an ensemble lives on.
"""

from __future__ import annotations

import argparse
import warnings
from pathlib import Path

import numpy as np
import optuna
import pandas as pd
from optuna.distributions import CategoricalDistribution
from optuna.trial import FrozenTrial, TrialState

from benchmark.definition import PRUNERS
from benchmark.sampling import FAMILY, PerFamilyPruner
from benchmark.store import StudyLocation, open_study

PRUNE_AFTER = (0.34, 0.5, 0.67)


def main() -> None:
    """Print a table: one row per pruner and first prunable share of the budget."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("study")
    parser.add_argument("--root", type=Path, default=Path())
    parser.add_argument("--orders", type=int, default=40)
    parser.add_argument("--share", type=float, default=0.5)
    options = parser.parse_args()
    warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
    study = open_study(StudyLocation(options.study, options.root)).study
    trials = study.get_trials(states=(TrialState.COMPLETE,))
    reports = max(trial.last_step or 0 for trial in trials)
    trials = [trial for trial in trials if trial.last_step == reports]
    print(f"{len(trials)} complete trials with {reports} reports each, {options.orders} orders, seed 0")
    print(rank_correlations(trials, reports).to_string(float_format="%.2f"), "\n")
    rows = [
        replay(trials, reports, pruner, after, options.orders, options.share)
        for pruner in PRUNERS
        for after in (PRUNE_AFTER if pruner != "none" else (1.0,))
    ]
    print(pd.DataFrame(rows).to_string(index=False, float_format="%.2f"))


def rank_correlations(trials: list[FrozenTrial], reports: int) -> pd.Series:
    """Spearman's rank correlation of every report with the final score."""
    table = pd.DataFrame([{**trial.intermediate_values, "final": trial.value} for trial in trials])
    return table.corr(method="spearman")["final"].rename("rank correlation with the final score")[
        [*range(1, reports + 1)]
    ]


def replay(
    trials: list[FrozenTrial], reports: int, pruner: str, after: float, orders: int, share: float
) -> dict[str, object]:
    """Means over random orders, and the standard error of the best."""
    best, top_five, seen = [], [], []
    for order in range(orders):
        scores, count = _one_order(trials, reports, PerFamilyPruner(pruner, reports, after), order, share)
        best.append(100 * scores[-1])
        top_five.append(100 * np.mean(scores[-5:]))
        seen.append(count)
    return {
        "pruner": pruner,
        "prune_after": after,
        "trials begun": np.mean(seen),
        "best val %": np.mean(best),
        "± s.e.": np.std(best, ddof=1) / len(best) ** 0.5,
        "mean of best five %": np.mean(top_five),
    }


def _one_order(
    trials: list[FrozenTrial], reports: int, pruner: PerFamilyPruner, order: int, share: float
) -> tuple[list[float], int]:
    """Sorted final scores of the trials that were not pruned, and how many were begun, within the cost."""
    families = CategoricalDistribution(sorted({trial.params[FAMILY] for trial in trials}))
    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.RandomSampler(), pruner=pruner)
    left = share * len(trials) * reports
    scores: list[float] = []
    begun = 0
    shuffled = np.random.default_rng(order).permutation(len(trials))
    for index in shuffled:
        begun += 1
        source = trials[index]
        study.enqueue_trial({FAMILY: source.params[FAMILY]})
        trial = study.ask({FAMILY: families})
        # Slow trials pass over a report that falls before their first step.
        for step, value in sorted(source.intermediate_values.items()):
            trial.report(value, step)
            left -= 1
            if step < reports and trial.should_prune():
                study.tell(trial, state=TrialState.PRUNED)
                break
        else:
            assert source.value is not None
            study.tell(trial, source.value)
            scores.append(source.value)
        if left <= 0:
            break
    return sorted(scores), begun


if __name__ == "__main__":
    main()
