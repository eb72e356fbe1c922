"""The study that compares ensemble methods, on a study of three trials that guess."""

from pathlib import Path

from filled_study import fill

from benchmark.records import Predictions, Split
from studies.compare_ensembles import BEST_SINGLE, RECOMMENDED, compare, part


def test_parts_of_the_rows_are_stratified_and_differ_by_seed(tmp_path: Path) -> None:
    labels = fill(tmp_path).labels(Split.VAL)
    some, others = part(labels, 100, 0), part(labels, 100, 1)
    assert len(some) == len(set(some)) == 100
    assert set(some) != set(others)
    assert set(labels[some]) == set(labels)
    assert len(part(labels, len(labels), 1)) == len(labels)


def test_every_method_has_its_mean_over_repeats(tmp_path: Path) -> None:
    store = fill(tmp_path)
    candidates = store.single_models()
    labels = {split: store.labels(split) for split in (Split.VAL, Split.TEST)}
    table = compare(candidates, labels, rows=100, repeats=2, top=2)
    accuracies = table["test accuracy %"]
    assert {BEST_SINGLE, RECOMMENDED, "soft voting, top 2", "greedy selection, all"} <= set(table.index)
    assert accuracies.is_monotonic_decreasing
    # A vote of the same two members, whatever the rows; what is recommended is one of the others.
    assert table.loc["soft voting, top 2", "members"] == 2
    assert accuracies.min() <= accuracies[RECOMMENDED] <= accuracies.max()
    noted: list[Predictions] = []
    whole = compare(candidates, labels, len(labels[Split.VAL]), 1, 2, noted.extend)
    assert len(noted) == len(whole) - 1, "each of the table was scored on test, and the recommended one is of them"
    assert whole.loc[RECOMMENDED, "test accuracy %"] in whole.drop(RECOMMENDED)["test accuracy %"].to_list()
    assert whole["± s.d."].isna().all()
