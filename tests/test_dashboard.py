"""Optuna's dashboard on a study of ours, asked over HTTP."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from wsgiref.simple_server import WSGIServer

import pytest
from filled_study import fill
from PIL import Image

from benchmark.dashboard import attach_figures, dashboard_server
from benchmark.errors import BenchError
from benchmark.store import StudyStore


@pytest.fixture
def store(tmp_path: Path) -> StudyStore:
    return fill(tmp_path)


@pytest.fixture
def server(store: StudyStore) -> Iterator[WSGIServer]:
    server = dashboard_server(store, port=0)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def ask(server: WSGIServer, path: str) -> bytes:
    with urllib.request.urlopen(f"http://127.0.0.1:{server.server_port}{path}", timeout=60) as answer:
        content: bytes = answer.read()
    return content


def picture(path: Path, shade: int) -> Path:
    Image.new("L", (4, 4), shade).save(path)
    return path


def test_the_study_and_its_trials_are_shown(store: StudyStore, server: WSGIServer) -> None:
    (summary,) = json.loads(ask(server, "/api/studies"))["study_summaries"]
    assert summary["study_name"] == "tiny"
    trials = json.loads(ask(server, f"/api/studies/{summary['study_id']}?after=0"))["trials"]
    assert len(trials) == len(store.trials())


def test_figures_are_artifacts_and_a_newer_one_replaces_the_older(
    store: StudyStore, server: WSGIServer, tmp_path: Path
) -> None:
    assert attach_figures(store, [picture(tmp_path / "a.png", 0), picture(tmp_path / "b.png", 99)]) == 2
    attach_figures(store, [newer := picture(tmp_path / "a.png", 200)])
    study = store.study._study_id
    found = json.loads(ask(server, f"/api/studies/{study}?after=0"))["artifacts"]
    assert sorted(one["filename"] for one in found) == ["a.png", "b.png"]
    artifact = next(one["artifact_id"] for one in found if one["filename"] == "a.png")
    assert ask(server, f"/artifacts/{study}/{artifact}") == newer.read_bytes()


def test_a_connection_that_says_nothing_keeps_no_other_waiting(server: WSGIServer) -> None:
    with socket.create_connection(("127.0.0.1", server.server_port)):  # browsers open some before they need them
        assert json.loads(ask(server, "/api/studies"))["study_summaries"]


def test_a_port_that_is_taken_is_said(store: StudyStore, server: WSGIServer) -> None:
    with pytest.raises(BenchError, match="choose another with --port"):
        dashboard_server(store, port=server.server_port)


@pytest.mark.slow
def test_the_command_answers_until_it_is_interrupted(store: StudyStore, tmp_path: Path) -> None:
    pytest.importorskip("optuna_dashboard")
    words = [sys.executable, "-m", "benchmark.cli", "dashboard", "tiny", "--port", "0"]
    running = subprocess.Popen(
        words,
        cwd=tmp_path,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
        text=True,
        stdout=subprocess.PIPE,
    )
    try:
        assert running.stdout is not None
        said = []
        for line in running.stdout:
            said.append(line)
            if address := re.search(r"http://127\.0\.0\.1:\d+", line):
                break
        assert address, said
        drawn = list((tmp_path / "results" / "tiny").glob("*.png"))
        assert f"{len(drawn)} figures are among the study's artifacts\n" in said
        with urllib.request.urlopen(f"{address[0]}/dashboard/", timeout=60) as page:
            assert "<title>Optuna Dashboard</title>" in page.read().decode()
        with urllib.request.urlopen(f"{address[0]}/api/studies", timeout=60) as answer:
            assert [one["study_name"] for one in json.load(answer)["study_summaries"]] == ["tiny"]
        port = int(address[0].rpartition(":")[2])
        # The end does not wait for one who began to ask and says no more.
        with socket.create_connection(("127.0.0.1", port)) as asking:
            asking.sendall(b"GET /api/studies HTTP/1.1\r\n")
            running.send_signal(signal.SIGINT)
            assert running.communicate(timeout=60)[0] == "ended\n"
        assert running.returncode == 0
    finally:
        running.kill()
        running.communicate()
