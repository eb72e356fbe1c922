"""The command trial: what it prints and writes of trials that ended in every way."""

from __future__ import annotations

import json
import re
import shutil
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from filled_study import choose_family, complete_trial, curve, fill, spec

from benchmark import cli
from benchmark.cli.trial import study_and_number
from benchmark.errors import BenchError
from benchmark.records import Cost, TrialDetails, TrialRecord, TrialState
from benchmark.store import Claim, StudyStore
from benchmark.study import open_for_search
from benchmark.trial_report import TrialReport, to_json, to_lines

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study whose trials 0 to 2 are complete and 3 failed, without curves; then one with a curve for each state."""
    root = tmp_path_factory.mktemp("filled")
    store = fill(root)
    complete_trial(store, 4, curve=curve(4), best_step=3, seed=11, images=2560)
    for end in (store.queue.prune, store.queue.fail, None):
        claim = store.queue.claim(100, choose_family)
        assert isinstance(claim, Claim)
        for report in curve(2):
            store.queue.report(claim.trial, report.step, report.val_accuracy)
        if end == store.queue.fail:
            store.queue.fail(claim.trial, "[oops] it broke", {"curve": curve(1), "traceback": "Traceback:\n  [here]\n"})
        elif end is not None:
            reports = [replace(report, peak_memory_bytes=100_000_000 * (1 + report.step)) for report in curve(2)]
            store.queue.prune(claim.trial, {"curve": reports, "images": 2560})
    part = open_for_search(spec(), replace(store.location, part="confirm"), None, lambda _: None)
    complete_trial(part, 1, curve=curve(3), best_step=3)
    return root


@pytest.fixture
def bench(root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run `bench trial` in the folder `root`: exit code, what it printed, and its errors."""

    def run(*words: str) -> tuple[int, str, str]:
        monkeypatch.chdir(root)
        monkeypatch.setattr(sys, "argv", ["bench", "trial", *words])
        monkeypatch.setenv("COLUMNS", "120")
        try:
            cli.main()
            code = 0
        except SystemExit as end:
            code = int(end.code or 0)
        return code, *capsys.readouterr()

    return run


def test_a_complete_trial(bench: Run, root: Path) -> None:
    code, out, _ = bench("tiny", "4")
    assert code == 0
    assert "trial 4 of tiny" in out
    assert "complete: " in out
    assert "2,560 of 2,560 images seen; 2.56 passes over 1,000" in out
    assert "1.00 k parameters, 2.00 k MACs, 0.100 ms/image" in out
    rows = [line.split() for line in out.splitlines()]
    assert ["1", "640", "2.2500", "2.2000", "–", "40.00", "0.1", "640"] in rows
    assert ["4", "2,560", "1.5000", "1.6000", "–", "70.00", "0.025", "640"] in rows
    assert "curves: results/tiny/trial-4.png, results/tiny/trial-4.svg" in out
    assert all((root / "results" / "tiny" / f"trial-4.{suffix}").stat().st_size > 1000 for suffix in ("png", "svg"))


def test_the_study_searched_last_is_taken_where_none_is_named(bench: Run) -> None:
    assert bench("4")[:2] == bench("tiny", "4")[:2]


def test_a_pruned_trial_says_how_far_it_came(bench: Run) -> None:
    _, out, _ = bench("5")
    assert "pruned" in out
    assert "1,280 of 2,560 images seen" in out
    assert "not measured: only complete trials are" in out
    assert "memory        300 MB at the most in training" in out


def test_a_failed_trial_gives_its_reason_and_its_traceback(bench: Run) -> None:
    code, out, _ = bench("6")
    assert code == 0
    assert "failed: [oops] it broke" in out
    assert "Traceback:\n  [here]\n" in out


def test_a_trial_without_a_curve_shows_what_there_is(bench: Run, root: Path) -> None:
    _, out, _ = bench("7")
    assert "running" in out
    rows = [line.split() for line in out.splitlines()]
    assert ["1", "–", "–", "–", "–", "40.00", "–", "–"] in rows
    assert "no curve of it is stored, so none is drawn" in out
    for line in ("budget", "time"):
        assert re.search(rf"^{line} +not known: it is stored when a trial ends$", out, re.MULTILINE)
    assert not (root / "results" / "tiny" / "trial-7.png").exists()
    assert "failed: out of memory: asked for too much" in bench("3")[1]


def test_a_trial_of_a_part(bench: Run, root: Path) -> None:
    code, out, _ = bench("0", "--part", "confirm")
    assert code == 0
    assert "trial 0 of tiny, confirm" in out
    assert "curves: results/tiny/trial-0-of-confirm.png" in out
    assert (root / "results" / "tiny" / "trial-0-of-confirm.svg").exists()


def test_a_run_says_what_is_changed_in_the_trial_that_it_confirms(bench: Run, tmp_path: Path) -> None:
    store = fill(tmp_path, complete=0)
    part = open_for_search(spec(), replace(store.location, part="confirm"), None, lambda _: None)
    take(store, {"family": "vgg", "flip": False}, {})
    take(part, {"family": "vgg", "flip": True}, {"planned": {"trial": 1, "replicate": 0, "seed": 3, "images": None}})
    words = ("0", "--part", "confirm", "--root", str(tmp_path))
    assert "confirms      trial 1 of the search, flip\n" in bench(*words)[1]
    assert json.loads(bench(*words, "--json")[1])["changes"] == ["flip"]


def take(store: StudyStore, parameters: dict[str, Any], facts: dict[str, Any]) -> None:
    """A trial of these parameters, running."""
    store.study.enqueue_trial(parameters, user_attrs=facts)

    def prepare(claim: Claim) -> None:
        choose_family(claim)
        claim.trial.suggest_categorical("flip", (False, True))

    assert isinstance(store.queue.claim(100, prepare), Claim)


def test_json_has_all_of_it(bench: Run) -> None:
    code, out, _ = bench("tiny", "4", "--json")
    assert code == 0
    whole = json.loads(out, parse_constant=pytest.fail)
    assert (whole["study"], whole["part"], whole["number"], whole["state"]) == ("tiny", "", 4, "complete")
    assert (whole["best_step"], whole["seed"], whole["images_seen"], whole["images"]) == (3, 11, 2560, 2560)
    assert whole["parameters"] == {"architecture": {"family": whole["family"]}}
    assert whole["curve"][3]["val_accuracy"] == 0.7
    assert whole["cost"]["parameters"] == 1000
    assert whole["figures"] == ["results/tiny/trial-4.png", "results/tiny/trial-4.svg"]
    failed = json.loads(bench("6", "--json")[1])
    assert (failed["reason"], failed["traceback"]) == ("[oops] it broke", "Traceback:\n  [here]\n")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("99", "there is no trial 99: study 'tiny' has trials 0 to 7"),
        ("tiny 99", "there is no trial 99: study 'tiny' has trials 0 to 7"),
        ("tiny", "'tiny' names no trial; write: bench trial [STUDY] NUMBER"),
        ("4 tiny", "'4 tiny' names no trial"),
        ("tiny 4 5", "'tiny 4 5' names no trial"),
        ("tiny 4.0", "'tiny 4.0' names no trial"),
        ("tinny 4", "unknown study 'tinny'; did you mean 'tiny'?"),
        ("4 --part confrim", "unknown part of study 'tiny' 'confrim'; did you mean 'confirm'?"),
        ("9 --part confirm", "there is no trial 9: study 'tiny+confirm' has trials 0 to 0"),
        ("digits 4", "study 'digits' has no trials yet; run: bench search digits"),
    ],
)
def test_wrong_words(bench: Run, words: str, message: str) -> None:
    code, out, err = bench(*words.split())
    assert code == 2
    assert message in err
    assert "Traceback" not in out + err


def test_study_and_number() -> None:
    assert study_and_number(["12"]) == (None, 12)
    assert study_and_number(["cifar10-cpu", "12"]) == ("cifar10-cpu", 12)
    # A study may have a number for a name: the last one is the trial's.
    assert study_and_number(["7", "12"]) == ("7", 12)
    for words in (["cifar10-cpu"], ["12", "cifar10-cpu"], ["a", "b", "3"], ["²"], [""]):
        with pytest.raises(BenchError, match="names no trial"):
            study_and_number(words)


# Words of trials that a study of two parameters does not have -------------------------------------------------------


def report(**changes: Any) -> TrialReport:
    of_details = ("accumulation", "curve", "trained_on")
    details = {name: changes.pop(name) for name in of_details if name in changes}
    record = TrialRecord(
        9, TrialState.COMPLETE, "cnn", False,
        {"family": "cnn", "optimizer": "sgd", "sgd.lr": 0.123456, "flip": True, "batch_size": 64},
        0.5, Cost(10, 20, 1.0, 0.5, 2_000_000_000, 0.75), None, 90.0, "2 cores", 60.0, 5.0,
        2_000_000_000,
    )  # fmt: skip
    return TrialReport("pets", "", TrialDetails(replace(record, **changes), **details), 1000)


def test_parameters_are_in_groups() -> None:
    lines = to_lines(report())
    assert "architecture  family cnn" in lines
    assert "optimizer     optimizer sgd, sgd.lr 0.1235" in lines
    assert "augmentation  flip True" in lines
    assert "training      batch_size 64" in lines


def test_time_and_cost_in_words() -> None:
    lines = to_lines(report())
    assert "time          90.0 s, of it 60.0 s in training steps and 5.00 s in evaluation" in lines
    assert "cost          10 parameters, 20 MACs, 0.500 ms/image, 0.750 ms for one image alone" in lines
    assert "memory        2.00 GB at the most in training" in lines


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"is_default": True}, "family        cnn, the expert's default"),
        (
            {"accumulation": 4},
            "memory        2.00 GB at the most in training; it was short: batches passed the network in 4 parts",
        ),
        ({"peak_memory_bytes": None}, "memory        unknown"),
        (
            {"preparing_seconds": 14.0},
            "time          90.0 s, of it 60.0 s in training steps and 5.00 s in evaluation; 14.0 s until the GPU's "
            "kernels were there",
        ),
        ({"confirms": 3}, "confirms      trial 3 of the search"),
        ({"continues": 8}, "continues     trial 8, which was interrupted"),
        (
            {"continues": 8, "seconds": 40.0},
            "time          40.0 s; with those of trial 8, 60.0 s in training steps and 5.00 s in evaluation",
        ),
        (
            {"trained_on": "train+val"},
            "trained on    train+val: reports are of validation rows that it trains on, and say nothing of others; the "
            "final score is that of the trial which it trains again",
        ),
        (
            {"state": TrialState.FAILED, "reason": "lost", "interrupted": True},
            "state         failed: lost, and may be continued",
        ),
        ({"state": TrialState.FAILED}, "state         failed: no reason recorded"),
        ({"device": ""}, "device        unknown"),
    ],
)
def test_what_is_said_only_where_it_is_so(changes: dict[str, Any], line: str) -> None:
    assert line in to_lines(report(**changes))
    assert line not in to_lines(report())


def test_json_of_a_trial_that_says_nothing_of_itself() -> None:
    whole = json.loads(to_json(report(cost=None, val_accuracy=None), []))
    assert (whole["started"], whole["curve"], whole["cost"], whole["figures"]) == (None, [], None, [])


def test_results_that_cannot_be_written(bench: Run, root: Path) -> None:
    shutil.rmtree(root / "results", ignore_errors=True)
    (root / "results").write_text("in the place of a folder")
    try:
        code, output, errors = bench("tiny", "4")
        assert code == 2
        assert "trial 4" in output
        assert "cannot write the figure into results/tiny" in errors
        code, output, errors = bench("tiny", "4", "--json")
        assert code == 2
        assert json.loads(output)["figures"] == []
    finally:
        (root / "results").unlink()
