"""Train one model on resident data and predict with it; knows neither Optuna nor the database.

`train` is a generator: it yields a ProgressRecord at every report and returns a TrainedModel; closing it ends the run.
"""

from benchmark.training.data import DeviceData
from benchmark.training.device import DeviceChoice, check_libraries, choose_device
from benchmark.training.loop import DivergedError, TrainedModel, planned_images, train
from benchmark.training.prediction import multiply_accumulates, predict

__all__ = [
    "DeviceChoice",
    "DeviceData",
    "DivergedError",
    "TrainedModel",
    "check_libraries",
    "choose_device",
    "multiply_accumulates",
    "planned_images",
    "predict",
    "train",
]
