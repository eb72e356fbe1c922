"""A search on a Ray cluster: its tasks are workers as everywhere, and a node's death costs no trial."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from crowd import DEFINITION
from postgres_server import PASSWORD

from benchmark import cli, ray_engine
from benchmark.definition import parse_study
from benchmark.search import SearchLimits
from benchmark.store import StudyLocation, create_study, open_study
from benchmark.study import place_of_files
from benchmark.verify import verify

TWO_NODES = """
import os, sys, threading, time
from ray.cluster_utils import Cluster
from benchmark import cli
from benchmark.store import StudyLocation, open_study
from pathlib import Path

cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
second = cluster.add_node(num_cpus=1)
cluster.wait_for_nodes()
os.environ["RAY_ADDRESS"] = cluster.address

def end_a_node():
    location = StudyLocation("mine", Path(sys.argv[-1]), os.environ["BENCH_STORAGE"])
    while True:
        time.sleep(0.2)
        try:
            if sum(trial.state == "running" for trial in open_study(location).trials()) == 2:
                break
        except Exception:
            pass
    cluster.remove_node(second)
    cluster.add_node(num_cpus=1)

threading.Thread(target=end_a_node, daemon=True).start()
cli.main()
"""


def define(root: Path, trials: int, epochs: int = 4) -> None:
    (root / "studies").mkdir(parents=True)
    text = DEFINITION.format(epochs=epochs, trials=trials, search="")
    (root / "studies" / "mine.toml").write_text(text)


def run(root: Path, url: str, script: list[str], trials: int) -> subprocess.CompletedProcess[str]:
    words = ["search", "mine", "--trials", str(trials), "--engine", "ray", "--workers", "2", "--root", str(root)]
    environment = {**os.environ, "BENCH_STORAGE": url, "OMP_NUM_THREADS": "1", "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0"}
    environment.pop("RAY_ADDRESS", None)
    return subprocess.run(
        [sys.executable, *script, *words], capture_output=True, text=True, env=environment, timeout=900, check=False
    )


@pytest.mark.slow
@pytest.mark.usefixtures("_whole_machine")
@pytest.mark.parametrize(
    "script", [["-m", "benchmark.cli"], ["-c", TWO_NODES]], ids=["one machine", "a node that dies"]
)
def test_a_search_on_ray(tmp_path: Path, postgres: Any, script: list[str]) -> None:
    url = postgres.url()
    # Long enough to see two trials at work, and to end one of them.
    define(tmp_path / "root", trials=6, epochs=4 if script[0] == "-m" else 15)
    done = run(tmp_path / "root", url, script, trials=6)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 workers on a Ray cluster" in done.stdout
    assert "6/6 trials" in done.stdout
    assert PASSWORD not in done.stdout + done.stderr
    store = open_study(StudyLocation("mine", tmp_path / "root", url))
    states = Counter(str(trial.state) for trial in store.trials())
    assert states["complete"] + states["pruned"] == 6
    assert states["running"] == 0
    if script[0] == "-c":
        # Ray asks a node's processes to end before it kills them.
        reasons = {trial.reason for trial in store.trials() if trial.state == "failed"}
        assert reasons
        assert reasons <= {"lost: worker vanished", "interrupted: the search was stopped"}
    assert verify(store, place_of_files(store), keep_weights=3).damage == ()


def test_ray_needs_a_database_that_all_nodes_reach(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    define(tmp_path / "root", trials=6)
    words = ["bench", "search", "mine", "--engine", "ray", "--root", str(tmp_path / "root")]
    monkeypatch.setattr(sys, "argv", words)
    monkeypatch.delenv("BENCH_STORAGE", raising=False)
    with pytest.raises(SystemExit) as end:
        cli.main()
    assert end.value.code == 2
    assert "--engine ray needs a database that every node reaches" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("address", "told"),
    [("127.0.0.1:1", "no Ray cluster answers at RAY_ADDRESS=127.0.0.1:1"), ("[::1]:1", "no Ray cluster answers")],
)
def test_a_cluster_that_does_not_answer_is_told_at_once(address: str, told: str) -> None:
    with pytest.raises(ray_engine.BenchError, match=re.escape(told)):
        ray_engine._see_that_it_answers(address)


@pytest.mark.parametrize("address", ["local", "auto"])
def test_names_of_clusters_are_ray_s_affair(address: str) -> None:
    ray_engine._see_that_it_answers(address)


def test_a_missing_ray_names_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ray_engine.BenchError, match="pip install ray"):
        ray_engine._ray()


# One deadline for all ------------------------------------------------------------------------------------------------


class Cluster:
    """What is asked of Ray, without a cluster."""

    def __init__(self) -> None:
        self.sent: list[ray_engine._Task] = []

    def init(self, *_: object, **__: object) -> None: ...
    def shutdown(self) -> None: ...

    def nodes(self) -> list[str]:
        return ["a"]

    def cluster_resources(self) -> dict[str, float]:
        return {"CPU": 2.0}

    def remote(self, **_: object) -> Any:
        return lambda work: SimpleNamespace(remote=self.sent.append)


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Cluster:
    cluster = Cluster()
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setattr(ray_engine, "_ray", lambda: cluster)
    monkeypatch.setattr(ray_engine, "_watch", lambda *_: "spent")
    return cluster


def send(cluster: Cluster, root: Path, timeout: float | None) -> list[ray_engine._Task]:
    store = create_study(StudyLocation("mine", root, f"sqlite:///{root}/mine.db"))
    ray_engine.search_on_ray(store, 6, None, timeout, None, ray_engine._Unheard(), lambda _: None)
    return cluster.sent


@pytest.mark.parametrize(("address", "at"), [(None, "on this machine"), ("auto", "at RAY_ADDRESS=auto")])
def test_what_ray_says_of_a_cluster_that_it_cannot_join_is_a_sentence(
    cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, address: str | None, at: str
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise RuntimeError("Version mismatch:\n    Ray: 1 and 2")

    monkeypatch.setattr(cluster, "init", refuse)
    if address is not None:
        monkeypatch.setenv("RAY_ADDRESS", address)
    with pytest.raises(ray_engine.BenchError, match=f"no Ray cluster to be had {at}: Version mismatch: Ray: 1 and 2"):
        send(cluster, tmp_path, None)


def test_tasks_share_one_deadline(cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time", lambda: 1000.0)
    assert [task.deadline for task in send(cluster, tmp_path, 30.0)] == [1030.0, 1030.0]


def test_without_a_timeout_there_is_no_deadline(cluster: Cluster, tmp_path: Path) -> None:
    assert [task.deadline for task in send(cluster, tmp_path, None)] == [None, None]


@pytest.mark.parametrize(("deadline", "left"), [(1030.0, [30.0]), (None, [None]), (1000.0, []), (970.0, [])])
def test_a_task_has_what_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, deadline: float | None, left: list[float | None]
) -> None:
    limits: list[SearchLimits] = []
    given = parse_study("mine", DEFINITION.format(epochs=4, trials=6, search=""), "mine.toml")
    store = create_study(StudyLocation("mine", tmp_path))
    monkeypatch.setattr(ray_engine, "open_to_join", lambda *_: (given, store))
    monkeypatch.setattr(ray_engine, "Search", lambda *_: SimpleNamespace(run=limits.append))
    monkeypatch.setattr(time, "time", lambda: 1000.0)
    ray_engine._work(ray_engine._Task("mine", tmp_path, "sqlite:///mine.db", deadline, None))
    assert [limit.timeout for limit in limits] == left


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_cancels_the_tasks(tmp_path: Path, number: signal.Signals) -> None:
    cancelled: list[str] = []

    def wait(running: list[str], **options: Any) -> tuple[list[str], list[str]]:
        if "num_returns" not in options:
            os.kill(os.getpid(), number)
        return [], running

    ray = SimpleNamespace(wait=wait, cancel=cancelled.append)
    store = create_study(StudyLocation("mine", tmp_path))
    before = signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
    try:
        assert ray_engine._watch(ray, ["a", "b"], store, 6, ray_engine._Unheard()) == "interrupted"
    finally:
        signal.signal(number, before)
    assert cancelled == ["a", "b"]


def test_a_task_shows_no_password(tmp_path: Path) -> None:
    task = ray_engine._Task("mine", tmp_path, "postgresql://me:s3cret@host/db", None, None)
    assert "s3cret" not in repr(task)
