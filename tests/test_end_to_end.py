"""From a definition to a leaderboard with the real command on digits: every number recomputed from the database."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing, redirect_stdout
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
from filled_study import DEFINITION
from sklearn.metrics import accuracy_score, f1_score, log_loss

from benchmark import cli
from benchmark.ensemble import default_methods
from benchmark.metrics import LOG_FLOOR
from benchmark.records import Split
from benchmark.store import StudyLocation, StudyStore, open_study


def start(root: Path, *words: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "benchmark.cli", *words, "--root", str(root)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def bench(root: Path, *words: str) -> str:
    """What the command prints; in this process, which has torch loaded already."""
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(io.StringIO()) as printed:
        patch.setattr(sys, "argv", ["bench", *words, "--root", str(root)])
        with pytest.raises(SystemExit) as end:
            cli.main()
    assert not end.value.code
    return printed.getvalue()


def new_root(root: Path) -> Path:
    (root / "studies").mkdir(parents=True)
    (root / "studies" / "tiny.toml").write_text(DEFINITION)
    return root


def store_of(root: Path) -> StudyStore:
    return open_study(StudyLocation("tiny", root))


def states(root: Path) -> list[str]:
    return [str(trial.state) for trial in store_of(root).trials()]


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str, dict[str, Any]]:
    """A folder after search, ensemble and leaderboard; what search printed; the leaderboard as JSON."""
    root = new_root(tmp_path_factory.mktemp("searched") / "root")
    printed = bench(root, "search", "tiny", "--workers", "1")
    bench(root, "ensemble", "tiny", "--top", "2")
    return root, printed, json.loads(bench(root, "leaderboard", "tiny", "--json"))


@pytest.fixture
def root(searched: tuple[Path, str, dict[str, Any]], tmp_path: Path) -> Path:
    shutil.copytree(searched[0], tmp_path / "root")
    return tmp_path / "root"


def test_search_fills_its_budget_and_says_what_is_next(searched: tuple[Path, str, dict[str, Any]]) -> None:
    root, printed, _ = searched
    found = states(root)
    assert found.count("complete") + found.count("pruned") == 5
    assert "study tiny: 0 of 5 trials done; 1 worker on " in printed
    assert f"next: bench ensemble tiny --top {found.count('complete')} --root {root}" in printed
    defaults = [trial for trial in store_of(root).trials() if trial.is_default]
    assert {trial.family for trial in defaults} == {"cnn", "vgg"}
    assert {str(trial.state) for trial in defaults} == {"complete"}
    weights = sorted(path.stem for path in (root / "studies" / "tiny" / "weights").glob("*.safetensors"))
    complete = [trial.number for trial in store_of(root).trials() if trial.state == "complete"]
    assert weights == [f"trial-{number:05}" for number in complete]


def test_the_three_files_and_the_output_agree(searched: tuple[Path, str, dict[str, Any]]) -> None:
    root, _, board = searched
    assert json.loads((root / "results" / "tiny.json").read_text()) == board
    lines = list(csv.DictReader((root / "results" / "tiny.csv").read_text().splitlines()))
    text = (root / "results" / "tiny.md").read_text()
    assert [line["name"] for line in lines] == [row["name"] for row in board["rows"]]
    for line, row in zip(lines, board["rows"], strict=True):
        assert float(line["test_accuracy"]) == row["test_accuracy"]
        assert row["name"] in text
        assert f"{100 * row['test_accuracy']:.2f}" in text
    kinds = [row["kind"] for row in board["rows"]]
    assert {f"{name.replace('_', ' ')}, top 2" for name in default_methods()} <= {row["name"] for row in board["rows"]}
    assert board["recommendation"]["name"] in text.splitlines()[4]
    assert kinds.count("default") == 2
    assert [row["val_accuracy"] for row in board["rows"]] == sorted(
        (row["val_accuracy"] for row in board["rows"]), reverse=True
    )


def test_scores_agree_with_scikit_learn_on_the_stored_predictions(
    searched: tuple[Path, str, dict[str, Any]],
) -> None:
    root, _, board = searched
    for row in board["rows"]:
        table, key = ("bench_entrants", row["name"]) if row["kind"] == "ensemble" else ("", row["trials"][0])
        for split in ("val", "test"):
            labels, log_probs = _stored(root / "studies" / "tiny.db", table, key, split)
            assert row[f"{split}_accuracy"] == pytest.approx(accuracy_score(labels, log_probs.argmax(axis=1)), abs=1e-9)
            if split == "test":
                # A bad trial may be as sure of the wrong class as no score counts it.
                of_label = np.maximum(log_probs[np.arange(len(labels)), labels], LOG_FLOOR)
                assert row["log_loss"] == pytest.approx(-of_label.mean(), rel=1e-5)
                # scikit-learn holds probabilities above the rounding error of 1, and so must its counterpart here.
                floored = np.maximum(log_probs.astype(np.float64), np.log(np.finfo(np.float64).eps))
                probs = np.exp(floored) / np.exp(floored).sum(axis=1, keepdims=True)
                loss = log_loss(labels, probs, labels=range(10))
                assert loss == pytest.approx(-floored[np.arange(len(labels)), labels].mean(), rel=1e-4)
                f1 = f1_score(labels, log_probs.argmax(axis=1), average="macro")
                assert row["macro_f1"] == pytest.approx(f1, abs=1e-9)


def _stored(database: Path, table: str, key: Any, split: str) -> tuple[Any, Any]:
    """Labels (N,) and log-probabilities (N, 10) of an ensemble (by name) or a trial (by number), by plain SQL."""
    with closing(sqlite3.connect(database)) as connection:
        labels = connection.execute("SELECT labels FROM bench_labels WHERE split = ?", (split,)).fetchone()[0]
        query = (
            f"SELECT {split}_log_probs FROM bench_entrants WHERE name = ?"
            if table
            else f"SELECT log_probs FROM bench_predictions WHERE split = '{split}' AND trial = ?"
        )
        blob = connection.execute(query, (key,)).fetchone()[0]
    return np.frombuffer(labels, "<i8"), np.frombuffer(blob, "<f4").reshape(-1, 10)


def test_plain_optuna_opens_the_study_with_the_same_scores(searched: tuple[Path, str, dict[str, Any]]) -> None:
    root, _, board = searched
    study = optuna.load_study(study_name="tiny", storage=f"sqlite:///{root}/studies/tiny.db")
    values = {trial.number: trial.value for trial in study.trials}
    singles = [row for row in board["rows"] if row["kind"] != "ensemble"]
    assert singles
    for row in singles:
        assert row["val_accuracy"] == pytest.approx(values[row["trials"][0]], abs=1e-7)
    assert study.direction == optuna.study.StudyDirection.MAXIMIZE


def test_the_same_command_again_changes_nothing_and_more_trials_go_on(root: Path) -> None:
    before, digest = states(root), hashlib.sha256((root / "studies" / "tiny.db").read_bytes()).hexdigest()
    printed = bench(root, "search", "tiny", "--workers", "1")
    assert "The budget of 5 trials is spent" in printed
    assert states(root) == before
    assert hashlib.sha256((root / "studies" / "tiny.db").read_bytes()).hexdigest() == digest
    printed = bench(root, "search", "tiny", "--workers", "1", "--trials", "6")
    assert "5 of 6 trials done" in printed
    after = states(root)
    assert after[: len(before)] == before
    assert after.count("complete") + after.count("pruned") == 6


@pytest.mark.slow
def test_two_searches_started_together_share_one_budget(tmp_path: Path) -> None:
    root = new_root(tmp_path / "root")
    both = [start(root, "search", "tiny", "--workers", "1", "--trials", "4") for _ in range(2)]
    for process in both:
        _, err = process.communicate(timeout=300)
        assert process.returncode == 0, err
    found = states(root)
    assert found.count("complete") + found.count("pruned") == 4
    assert "running" not in found
    store = store_of(root)
    for trial in store.trials():
        if trial.state == "complete":
            assert len(store.predictions(trial.number, Split.TEST).log_probs) == 500
