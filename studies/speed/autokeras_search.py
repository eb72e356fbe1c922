# /// script
# requires-python = ">=3.10,<3.14"
# dependencies = ["autokeras==3.0.0", "keras==3.12.4", "tensorboard==2.21.0", "tensorflow==2.21.0"]
# ///
"""A search of AutoKeras for so many seconds, in an environment of its own; uses nothing of ours.

    uv run --no-project --script autokeras_search.py IMAGES.npz SEED SECONDS FOLDER

Prints one line of JSON: what its best network on validation has of test. All is left as AutoKeras has it but the end:
it knows no limit of time, so that the search is cut off at a batch. With Keras 3.13 and later AutoKeras 3.0.0 fails to
build a network, and it does not say that it needs tensorboard.
"""

from __future__ import annotations

import json
import os
import sys
import time
from contextlib import redirect_stdout
from typing import Any

# Read as it is imported: only errors are to be printed.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import autokeras
import keras
import numpy as np


class TimeIsUp(BaseException):
    """Ends the search: any Exception the tuner takes for a failed trial, and begins another."""


class BestInTime(keras.callbacks.Callback):  # type: ignore[misc]
    """Keeps the weights of the epoch with the best score on validation, of those that end in time; ends the search."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self._until = time.perf_counter() + seconds
        self.begun = self.epochs = 0
        self.accuracy = -1.0
        self.best: Any = None
        self.weights: list[Any] = []

    def __deepcopy__(self, memo: object) -> BestInTime:
        # The tuner gives every trial a copy of the callbacks, and here one looks after all of them.
        return self

    def on_train_begin(self, logs: object = None) -> None:
        self.begun += 1

    def on_train_batch_end(self, batch: int, logs: object = None) -> None:
        self._end_in_time()

    on_test_batch_end = on_train_batch_end

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        self._end_in_time()
        assert logs is not None
        self.epochs += 1
        if logs["val_accuracy"] > self.accuracy:
            self.accuracy, self.best, self.weights = logs["val_accuracy"], self.model, self.model.get_weights()

    def _end_in_time(self) -> None:
        if time.perf_counter() > self._until:
            raise TimeIsUp


def main(images: str, seed: str, seconds: str, folder: str) -> None:
    """Search, score the best network on test when the time is over, and print what came out."""
    parts = np.load(images)
    best = BestInTime(float(seconds))
    with redirect_stdout(sys.stderr):
        search = autokeras.ImageClassifier(directory=folder, overwrite=True, seed=int(seed))
        try:
            search.fit(
                parts["train_pixels"],
                parts["train_labels"],
                validation_data=(parts["val_pixels"], parts["val_labels"]),
                callbacks=[best],
                verbose=0,
            )
        except TimeIsUp:
            cut_off = 1
        else:
            cut_off = 0
        if best.best is None:
            sys.exit("AutoKeras: its first epoch takes longer than the whole time")
        best.best.set_weights(best.weights)
        answers = best.best.predict(parts["test_pixels"], verbose=0).argmax(axis=1)
    complete = best.begun - cut_off
    told = {
        "seed": int(seed),
        "val_accuracy": float(best.accuracy),
        "test_accuracy": float((answers == parts["test_labels"]).mean()),
        "epochs": best.epochs,
        "parameters": int(best.best.count_params()),
        "trials": {state: number for state, number in (("complete", complete), ("cut off", cut_off)) if number},
        "versions": {"autokeras": autokeras.__version__, "keras": keras.__version__},
        "backend": keras.backend.backend(),
    }
    print(json.dumps(told))


if __name__ == "__main__":
    main(*sys.argv[1:])
