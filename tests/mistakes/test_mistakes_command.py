"""The command mistakes on a filled study: what it prints and writes, and that it loads no torch."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from filled_study import fill

from benchmark import cli
from benchmark.metrics import class_scores, confidence, confusion_matrix, predicted
from benchmark.records import Split
from benchmark.store import StudyLocation, StudyStore, open_study
from benchmark.study import ensembles_of, find_entrant
from benchmark.temperature import apply_temperature, temperature_of
from benchmark.wording import significant

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("filled")
    store = fill(root)
    ensembles_of(store)
    # Closed, so that the folder can be copied without a write-ahead log.
    store.study._storage.remove_session()
    store._db.engine.dispose()
    return root


@pytest.fixture
def root(filled: Path, tmp_path: Path) -> Path:
    shutil.copytree(filled, tmp_path / "root")
    return tmp_path / "root"


@pytest.fixture
def store(root: Path) -> StudyStore:
    return open_study(StudyLocation("tiny", root))


@pytest.fixture
def bench(root: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Run:
    """Run `bench mistakes` in the folder `root`: exit code, output, errors."""

    def run(*words: str) -> tuple[int, str, str]:
        monkeypatch.chdir(root)
        monkeypatch.setattr(sys, "argv", ["bench", "mistakes", *words])
        monkeypatch.setenv("COLUMNS", "200")
        try:
            cli.main()
            code = 0
        except SystemExit as end:
            code = int(end.code or 0)
        return code, *capfd.readouterr()

    return run


def test_the_recommended_ensemble_beside_the_best_single_model(bench: Run, root: Path, store: StudyStore) -> None:
    code, output, _ = bench("tiny")
    assert code == 0
    ensemble, single = find_entrant(store, "recommended"), find_entrant(store, "best")
    assert len(ensemble.members) > 1
    labels = store.labels(Split.TEST)
    right = [predicted(one.test.log_probs) == labels for one in (ensemble, single)]
    assert f"{ensemble.name}: {(~right[0]).sum()} of 500 test images wrong" in output
    repaired, broken = (right[0] & ~right[1]).sum(), (right[1] & ~right[0]).sum()
    assert f"beside {single.name}, " in output
    assert f"{repaired} mistakes repaired and {broken} broken" in output
    temperatures = [temperature_of(one.val.log_probs, store.labels(Split.VAL)) for one in (ensemble, single)]
    of_ensemble, of_single = map(significant, temperatures)
    assert f"after temperature, fitted on validation: {of_ensemble}, of {single.name} {of_single}" in output
    scores = class_scores(confusion_matrix(ensemble.test.log_probs, labels))
    (row,) = [line.split() for line in output.splitlines() if line.split()[:1] == ["7"] and len(line.split()) == 7]
    assert row[1:5] == [*(f"{100 * part[7]:.2f}" for part in (scores.precision, scores.recall, scores.f1)), "50"]
    (written,) = [line for line in output.splitlines() if line.startswith("written into results/tiny: ")]
    names = written.partition(": ")[2].split(", ")
    assert sorted(path.name for path in (root / "results" / "tiny").iterdir()) == sorted(names)
    assert {name.split("-")[0] for name in names} == {"confusion", "coverage", "mistakes", "confused", "repairs"}


def test_json_says_the_same_in_full(bench: Run, root: Path, store: StudyStore) -> None:
    code, output, _ = bench(
        "tiny", "--entrant", "trial 2", "--against", "best", "--split", "val", "--count", "3", "--json"
    )
    assert code == 0
    told = json.loads(output)
    entrant, other = find_entrant(store, "2"), find_entrant(store, "best")
    labels = store.labels(Split.VAL)
    wrong = predicted(entrant.val.log_probs) != labels
    assert (told["study"], told["split"], told["entrant"], told["rows"]) == ("tiny", "val", entrant.name, 297)
    assert told["accuracy"]["value"] == pytest.approx(1 - wrong.mean())
    assert len(told["confused"]) == len(told["mistakes"]) == 3
    assert sum(one["support"] for one in told["classes"]) == 297
    assert np.trace(told["confusion"]) == (~wrong).sum()
    assert told["coverage"][-1]["coverage"] == 1
    assert told["coverage"][-1]["accuracy"] == told["accuracy"]["value"]
    temperature = temperature_of(entrant.val.log_probs, labels)
    assert told["temperature"] == temperature
    stated = confidence(apply_temperature(entrant.val.log_probs, temperature))
    assert told["mistakes"][0]["confidence"] == pytest.approx(stated[wrong].max())
    assert told["coverage"][-1]["confidence"] == pytest.approx(stated.min())
    others_wrong = predicted(other.val.log_probs) != labels
    beside = told["beside"]
    assert beside["entrant"] == other.name
    assert beside["temperature"] == temperature_of(other.val.log_probs, labels)
    assert len(beside["repaired"]) == (others_wrong & ~wrong).sum()
    assert len(beside["broken"]) == (wrong & ~others_wrong).sum()
    assert beside["both_wrong"] == (wrong & others_wrong).sum()
    assert sum(one["repaired"] for one in told["classes"]) == len(beside["repaired"])
    assert all((root / path).is_file() for path in told["files"])


def test_a_single_model_stands_alone(bench: Run) -> None:
    code, output, _ = bench("tiny", "--entrant", "best", "--json")
    assert code == 0
    told = json.loads(output)
    assert told["beside"] is None
    assert set(told["classes"][0]) == {"class", "precision", "recall", "f1", "support"}
    assert not any("repairs" in path for path in told["files"])


def test_what_is_looked_at_on_test_counts_as_scored(bench: Run, store: StudyStore) -> None:
    before = set(store.fact("test_scored") or ())
    code, output, _ = bench("tiny", "--entrant", "2", "--split", "val")
    assert code == 0
    assert "after temperature, fitted on validation, these very images: " in output
    assert set(store.fact("test_scored") or ()) == before
    assert bench("tiny", "--entrant", "2", "--against", "1")[0] == 0
    looked_at = {find_entrant(store, number).test.digest[:16] for number in "12"}
    assert set(store.fact("test_scored")) == before | looked_at


def test_validation_images_that_were_trained_on_are_said(bench: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "benchmark.study.find_entrant", lambda *asked: replace(find_entrant(*asked), trained_on="train+val")
    )
    said = "trained on validation images"
    code, output, errors = bench("tiny", "--entrant", "1", "--split", "val", "--json")
    assert (code, json.loads(output)["split"]) == (0, "val")
    assert said in errors
    assert said not in "".join(bench("tiny", "--entrant", "1")[1:])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("tiny --entrant recomended", "unknown entrant 'recomended'; did you mean 'recommended'?"),
        ("tiny --against 7", "unknown entrant '7'"),
        ("tiny --entrant 1 --against 1", "name another with --against"),
        ("tiny --split train", "unknown split 'train'; known: test, val."),
        ("tiny --count 0", "--count"),
        ("tiny --data .", "digits comes with scikit-learn"),
        ("tinny", "unknown study 'tinny'; did you mean 'tiny'?"),
        ("digits", "study 'digits' has no trials yet; run: bench search digits"),
    ],
)
def test_wrong_words(bench: Run, root: Path, words: str, message: str) -> None:
    code, output, errors = bench(*words.split())
    assert code == 2
    assert message in output + errors
    assert not (root / "results").exists()


def test_results_that_cannot_be_written(bench: Run, root: Path) -> None:
    (root / "results").write_text("in the place of a folder")
    code, output, errors = bench("tiny")
    assert code == 2
    assert "Most confused pairs" in output, "it is shown nevertheless"
    assert "cannot write the figure into results/tiny" in errors
    code, output, errors = bench("tiny", "--json")
    assert code == 2
    assert json.loads(output)["files"] == []
    assert "cannot write the figure into results/tiny" in errors


def test_no_torch_is_loaded(root: Path) -> None:
    program = """
import sys
from benchmark import cli
sys.argv = ["bench", "mistakes", "tiny"]
try:
    cli.main()
except SystemExit as end:
    assert not end.code, end.code
assert not {"torch", "torchvision", "timm"} & set(sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=root, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
