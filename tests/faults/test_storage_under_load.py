"""Many processes on one database, without training: no lock errors, no lost report, nothing half-written."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import time
from collections import Counter
from contextlib import closing
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest

from benchmark.records import Predictions, Split
from benchmark.store import Claim, NoTrial, StudyLocation, create_study, open_study

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("_whole_machine")]

REPORTS = 3
ENDLESS = 10**9


def probabilities(seed: int, split: Split) -> Predictions:
    chosen = np.random.default_rng([seed, split is Split.TEST]).dirichlet(np.ones(10), 500)
    return Predictions(split, np.log(chosen + 1e-9).astype(np.float32))


def prepare(claim: Claim) -> None:
    claim.trial.suggest_float("x", 0.0, 1.0)
    claim.trial.suggest_categorical("family", ("cnn", "vgg"))


def run_one(store: Any, total: int) -> bool:
    """One trial without training: three reports, facts and predictions. False where there is none left."""
    claim = store.queue.claim(total, prepare)
    if not isinstance(claim, Claim):
        return claim is not NoTrial.SPENT
    trial = claim.trial
    for step in range(1, REPORTS + 1):
        assert store.queue.report(trial, step, trial.number + step / 10)
        store.queue.should_prune(trial)
    both = tuple(probabilities(trial.number, split) for split in (Split.VAL, Split.TEST))
    assert store.queue.complete(trial, 0.5, both, {"device": "abacus", "curve": [{"step": REPORTS}]})
    return True


def work(root: str, seconds: float, total: int, errors: Any) -> None:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        store = open_study(StudyLocation("mine", Path(root)))
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and run_one(store, total):
            pass
    except BaseException as error:
        errors.put(repr(error))
        raise


def assert_no_half_trial(root: Path, counted: int | None = None) -> Counter[str]:
    """Every complete trial has its reports and its predictions; the file is whole."""
    with closing(sqlite3.connect(root / "studies" / "mine.db")) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    store = open_study(StudyLocation("mine", root))
    trials = store.study.get_trials(deepcopy=False)
    assert [trial.number for trial in trials] == list(range(len(trials)))
    for trial in trials:
        if trial.state is optuna.trial.TrialState.COMPLETE:
            steps = range(1, REPORTS + 1)
            assert trial.intermediate_values == {step: trial.number + step / 10 for step in steps}
            for split in (Split.VAL, Split.TEST):
                assert store.predictions(trial.number, split).digest == probabilities(trial.number, split).digest
    return Counter(str(trial.state) for trial in store.trials())


def test_sixteen_workers_for_a_minute(tmp_path: Path) -> None:
    create_study(StudyLocation("mine", tmp_path))
    context = get_context("spawn")
    errors = context.Queue()
    processes = [context.Process(target=work, args=(str(tmp_path), 60.0, ENDLESS, errors)) for _ in range(16)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0] * 16
    assert errors.empty()
    states = assert_no_half_trial(tmp_path)
    assert set(states) == {"complete"}
    assert states["complete"] >= 16 * 3, "fast enough to meet each other"


def test_twenty_kills_during_commits(tmp_path: Path) -> None:
    """Processes are killed at random moments of what is little else than commits; what they leave is whole."""
    create_study(StudyLocation("mine", tmp_path))
    context = get_context("spawn")
    randoms, errors = random.Random(1), context.Queue()

    def start() -> Any:
        process = context.Process(target=work, args=(str(tmp_path), 600.0, ENDLESS, errors), daemon=True)
        process.start()
        return process

    processes = [start() for _ in range(3)]
    store = open_study(StudyLocation("mine", tmp_path))
    for _ in range(20):
        reached, deadline = len(store.trials()) + 3, time.monotonic() + 600
        while len(store.trials()) < reached:
            assert errors.empty() and time.monotonic() < deadline  # noqa: PT018
            time.sleep(0.01)
        time.sleep(randoms.uniform(0.0, 0.1))
        victim = processes.pop(randoms.randrange(len(processes)))
        os.kill(victim.pid, signal.SIGKILL)
        victim.join()
        processes.append(start())
        assert_no_half_trial(tmp_path)
    for process in processes:
        process.kill()
        process.join()
    assert errors.empty()
    # Whoever comes next takes back what was left, and goes on to an exact number.
    total = Counter(str(trial.state) for trial in store.trials())["complete"] + 5
    while run_one(store, total):
        pass
    states = assert_no_half_trial(tmp_path)
    assert (states["complete"], states["running"]) == (total, 0)
    assert states["failed"] > 0
