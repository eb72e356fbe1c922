"""The page that says what a deadline buys, from runs written by hand."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest

from benchmark.definition import load_study, shipped_studies
from studies.deadline import to_markdown
from studies.from_empty import facts_of, run_from_empty

ORIGIN = {"device": "a machine", "cores": 2, "commit": "abc", "versions": {"torch": "2", "bench": "1"}}


def run(minutes: float, seed: int, accuracy: float, **changes: Any) -> dict[str, Any]:
    numbers = {
        "study": "pets",
        "minutes": minutes,
        "seed": seed,
        "seconds": 60 * minutes + seed,
        "recommended": "mix",
        "members": 2,
        "val_accuracy": 0.9,
        "test_accuracy": accuracy,
        "best_confirmed": {"name": "cnn", "test_accuracy": accuracy - 0.01},
        "trials": {"complete": 4 + seed, "pruned": 2},
    }
    return {"origin": ORIGIN, "numbers": numbers | changes}


def test_a_row_is_the_mean_over_seeds() -> None:
    page = to_markdown([run(5, 0, 0.80), run(5, 1, 0.84), run(10, 0, 0.9)], [(5, 0), (10, 0), (5, 1), (10, 1)])
    # The mean of 80 and 84, and their deviation: the root of (4 + 4) / 1.
    assert "| 5 | 2 | 82.00 ± 2.83 | 80.00 | 81.00 | 2, 2 | 6–7 | 301 |" in page
    assert "| 10 | 1 | 90.00 ± – | 90.00 | 89.00 | 2 | 6–6 | 600 |" in page
    assert "Not measured: 10 minutes of seed 1." in page
    assert "## pets, 2 cores, a machine" in page


def test_machines_of_other_numbers_of_cores_stand_apart() -> None:
    other = run(5, 1, 0.9)
    other["origin"] = ORIGIN | {"cores": 4}
    page = to_markdown([run(5, 0, 0.8), other], [(5, 0), (5, 1)])
    assert "## pets, 2 cores, a machine" in page
    assert "## pets, 4 cores, a machine" in page
    assert "± 7.07" not in page


def test_nothing_is_missing_where_all_was_measured() -> None:
    assert "Not measured" not in to_markdown([run(5, 0, 0.8)], [(5, 0)])


def test_runs_of_several_commits_are_told_apart() -> None:
    later = run(10, 0, 0.9)
    later["origin"] = ORIGIN | {"commit": "def"}
    page = to_markdown([later, run(5, 0, 0.8), run(5, 1, 0.8)], [(5, 0)])
    assert "Commit: `def` (10 minutes of seed 0), `abc` (5 minutes of seed 0; 5 minutes of seed 1)." in page
    assert "Commit: `abc`. " in to_markdown([run(5, 0, 0.8), run(10, 0, 0.8)], [(5, 0)])


def test_runs_without_a_long_one_have_no_confirmed_model() -> None:
    assert "| 5 | 1 | 80.00 ± – | 80.00 | – |" in to_markdown([run(5, 0, 0.8, best_confirmed=None)], [(5, 0)])


def test_the_recommended_entrant_counts_and_not_the_best_on_test() -> None:
    def row(name: str, kind: str, val: float, test: float) -> dict[str, Any]:
        return {"name": name, "kind": kind, "val_accuracy": val, "test_accuracy": test, "members": 1}

    rows = [row("a", "confirmed", 0.8, 0.7), row("b", "ensemble", 0.7, 0.6), row("c", "confirmed", 0.5, 0.9)]
    board = {"rows": rows, "recommendation": {"name": "b"}, "study": {"states": {"complete": 3}}}
    found = facts_of(board)
    assert (found["recommended"], found["test_accuracy"]) == ("b", 0.6)
    assert found["best_confirmed"] == {"name": "a", "val_accuracy": 0.8, "test_accuracy": 0.7}
    assert facts_of(board | {"rows": rows[1:2]})["best_confirmed"] is None


def test_a_run_is_of_the_shipped_study_with_a_seed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def refuse(words: list[str], **_: Any) -> None:
        asked.extend(words)
        raise KeyboardInterrupt

    monkeypatch.setattr("subprocess.run", refuse)
    with pytest.raises(KeyboardInterrupt):
        run_from_empty("digits", 5, 2, tmp_path)
    root = tmp_path / "digits-seed-2-5-m"
    assert asked[-6:] == ["run", "digits-seed-2", "--timeout", "300s", "--root", str(root)]
    written = (root / "studies" / "digits-seed-2.toml").read_text()
    assert tomllib.loads(written) == {"seed": 2} | tomllib.loads(shipped_studies()["digits"].read_text())
    assert load_study("digits-seed-2", root).seed == 2
