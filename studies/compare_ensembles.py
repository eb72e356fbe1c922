"""Compare ensemble methods on a study's stored predictions, with all validation rows and with few.

    python studies/compare_ensembles.py STUDY [--root DIR] [--rows 500 2000 5000] [--repeats 5] [--top 5]

Every method is fitted on a stratified random part of the validation rows, as `bench ensemble` would with a validation
set of that size, and scored on test. A repeat draws another part; all rows can be drawn only once. The single models
stay as they are: they were trained, stopped and ranked without test. Nothing is chosen on test here either; the last
row says what the recommendation, which sees the same validation rows, would have taken.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmark.ensemble import EnsembleSpec, build_ensembles, recommend
from benchmark.ensemble.pools import ranked
from benchmark.metrics import accuracy, log_loss
from benchmark.records import Entrant, Predictions, Split
from benchmark.splits import stratified_split
from benchmark.store import StudyLocation, open_study
from benchmark.study import note_scored

BEST_SINGLE = "best single model"
RECOMMENDED = "recommended"


def main() -> None:
    """Print a table per number of rows: methods down, test accuracy and log loss across."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("study")
    parser.add_argument("--root", type=Path, default=Path())
    parser.add_argument("--rows", type=int, nargs="+", default=[500, 2000, 5000])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--top", type=int, default=5)
    options = parser.parse_args()
    store = open_study(StudyLocation(options.study, options.root))
    candidates = store.single_models()
    labels = {split: store.labels(split) for split in (Split.VAL, Split.TEST)}
    for rows in options.rows:
        repeats = options.repeats if rows < len(labels[Split.VAL]) else 1
        print(f"\n{options.study}: {len(candidates)} single models, {rows:,} validation rows, {repeats} repeats")
        table = compare(candidates, labels, rows, repeats, options.top, partial(note_scored, store))
        print(table.to_string(float_format="%.3f"))


def compare(
    candidates: list[Entrant],
    labels: dict[Split, NDArray[np.int64]],
    rows: int,
    repeats: int,
    top: int,
    note: Callable[[list[Predictions]], object] = lambda _: None,
) -> pd.DataFrame:
    """Test accuracy in % and test log loss in nats by entrant, mean and standard deviation over repeats.

    `note` is told what is scored on test.
    """
    found: defaultdict[str, list[tuple[float, float, int]]] = defaultdict(list)
    for seed in range(repeats):
        inside = part(labels[Split.VAL], rows, seed)
        few = [replace(one, val=Predictions(Split.VAL, one.val.log_probs[inside])) for one in candidates]
        of_rows = labels[Split.VAL][inside]
        single = replace(ranked(few, of_rows)[0], name=BEST_SINGLE)
        entrants = [single, *build_ensembles(few, of_rows, EnsembleSpec(top=top))]
        taken = recommend(entrants, of_rows).name
        note([one.test for one in entrants])
        for one in entrants:
            scored = (
                100 * accuracy(one.test.log_probs, labels[Split.TEST]),
                log_loss(one.test.log_probs, labels[Split.TEST]),
                len(one.members),
            )
            found[one.name].append(scored)
            if one.name == taken:
                found[RECOMMENDED].append(scored)
    table = {
        name: {
            "test accuracy %": np.mean([one[0] for one in scores]),
            "± s.d.": np.std([one[0] for one in scores], ddof=1) if len(scores) > 1 else float("nan"),
            "log loss as it is": np.mean([one[1] for one in scores]),
            "members": np.mean([one[2] for one in scores]),
        }
        for name, scores in found.items()
    }
    return pd.DataFrame(table).T.sort_values("test accuracy %", ascending=False)


def part(labels: NDArray[np.int64], rows: int, seed: int) -> NDArray[np.int64]:
    """Indices of a stratified random part of the rows, sorted."""
    if rows >= len(labels):
        return np.arange(len(labels))
    return stratified_split(labels, rows, seed).val


if __name__ == "__main__":
    main()
