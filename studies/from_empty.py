"""One `bench run` as a user's: from an empty folder to its leaderboard, under a deadline; compares nothing."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmark.definition import shipped_studies


def run_from_empty(
    study: str,
    minutes: float,
    seed: int,
    scratch: Path,
    data_folder: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """The shipped study with that seed in a folder of its own under `scratch`, and what its leaderboard says.

    `environment` is the command's; None is this process's own.
    `seconds` is wall-clock time of the whole command. Nothing is chosen on test: what counts is what it recommended.
    """
    name = f"{study}-seed-{seed}"
    root = scratch / f"{name}-{minutes:g}-m"
    shutil.rmtree(root, ignore_errors=True)
    (root / "studies").mkdir(parents=True)
    definition = shipped_studies()[study].read_text(encoding="utf-8")
    (root / "studies" / f"{name}.toml").write_text(f"seed = {seed}\n{definition}", encoding="utf-8")
    words = ["run", name, "--timeout", f"{60 * minutes:g}s", "--root", str(root)]
    words += [] if data_folder is None else ["--data", str(data_folder)]
    began = time.monotonic()
    subprocess.run([sys.executable, "-m", "benchmark.cli", *words], check=True, env=environment)
    seconds = time.monotonic() - began
    (board,) = (root / "results").glob("*.json")
    return {"study": study, "minutes": minutes, "seed": seed, "seconds": seconds} | facts_of(
        json.loads(board.read_text(encoding="utf-8"))
    )


def facts_of(board: Mapping[str, Any]) -> dict[str, Any]:
    """What a leaderboard's JSON says of its recommended entrant, its confirmed models and its trials."""
    rows = {row["name"]: row for row in board["rows"]}
    taken = rows[board["recommendation"]["name"]]
    confirmed = [row for row in board["rows"] if row["kind"] == "confirmed"]
    best = max(confirmed, key=lambda row: float(row["val_accuracy"]), default=None)
    return {
        "recommended": taken["name"],
        "members": taken["members"],
        "val_accuracy": taken["val_accuracy"],
        "test_accuracy": taken["test_accuracy"],
        "best_confirmed": None
        if best is None
        else {key: best[key] for key in ("name", "val_accuracy", "test_accuracy")},
        "trials": board["study"]["states"],
    }
