"""The comparison with AutoKeras: its search is cut off in time, and its best epoch counts; a fake stands in for it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from benchmark.errors import BenchError
from studies.speed import installed
from studies.speed.data import load_dataset
from studies.speed.plan import Plan, quick_plan

KERAS = """
__version__ = "3.0"
class backend:
    backend = staticmethod(lambda: "a backend")
class callbacks:
    class Callback:
        pass
"""
AUTOKERAS = """
import copy, time
import numpy as np
__version__ = "1.0"

class Model:
    weights = 0
    def get_weights(self): return [self.weights]
    def set_weights(self, weights): (self.weights,) = weights
    def count_params(self): return 1000
    def predict(self, pixels, verbose):
        # The epoch's number is what it answers.
        assert pixels.dtype == np.uint8 and pixels.ndim == 4
        return np.eye(10)[np.full(len(pixels), self.weights)]

class ImageClassifier:
    def __init__(self, directory, overwrite, seed):
        assert seed == 1
    def fit(self, pixels, labels, validation_data, callbacks, verbose):
        print("chatter")
        assert len(pixels) == len(labels) == 1000 and len(validation_data[0]) == len(validation_data[1]) == 297
        for trial in range(3):
            (callback,) = copy.deepcopy(callbacks)
            callback.model = Model()
            callback.on_train_begin(None)
            for epoch, score in enumerate((0.5, 0.9, 0.8)):
                callback.model.weights = epoch
                callback.on_train_batch_end(0, logs=None)
                if trial == 1:
                    time.sleep({seconds})
                callback.on_test_batch_end(0, logs=None)
                callback.on_epoch_end(epoch, {{"val_accuracy": score - trial}})
"""
UV = """
import os, sys
assert sys.argv[1:4] == ["run", "--no-project", "--script"]
os.execve(sys.executable, [sys.executable, *sys.argv[4:]], {**os.environ, "PYTHONPATH": os.path.dirname(__file__)})
"""
OURS = {"val_accuracy": 0.9, "test_accuracy": 0.9}


@pytest.fixture
def plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Plan:
    """A quick plan on a machine whose uv has an AutoKeras that takes all of the time in its second trial."""
    minutes = 0.005
    (tmp_path / "uv.py").write_text(UV)
    (tmp_path / "keras.py").write_text(KERAS)
    (tmp_path / "autokeras.py").write_text(AUTOKERAS.format(seconds=60 * minutes))
    monkeypatch.setattr(installed, "QUICK_MINUTES", minutes)
    monkeypatch.setattr(installed, "_uv", lambda: [sys.executable, str(tmp_path / "uv.py")])
    monkeypatch.setattr(installed, "run_from_empty", lambda *_: OURS)
    return quick_plan("cpu", 1, tmp_path / "scratch")


def test_the_best_epoch_that_ended_in_time_counts(plan: Plan) -> None:
    numbers: dict[str, Any] = installed.measure(plan)
    (found,) = numbers["sides"]["AutoKeras"]
    assert found["val_accuracy"] == 0.9
    # Its network answers with the number of its epoch, here 1.
    assert found["test_accuracy"] == pytest.approx((load_dataset(plan).test.labels == 1).mean())
    assert (found["epochs"], found["trials"]) == (3, {"complete": 1, "cut off": 1})
    assert found["versions"] == {"autokeras": "1.0", "keras": "3.0"}
    assert numbers["sides"]["bench run"] == [OURS]


def test_without_uv_one_is_told_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(installed.shutil, "which", lambda _: None)
    monkeypatch.setattr(installed, "find_spec", lambda _: None)
    with pytest.raises(BenchError, match="pip install uv"):
        installed._uv()
