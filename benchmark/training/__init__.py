"""Train one model on resident data and predict with it; knows neither Optuna nor the database.

A `TrainingRun` is opened, which fixes how many images it trains on, then gives a ProgressRecord at every report, and a
TrainedModel after the last one.
"""

from benchmark.training.capture import Captures
from benchmark.training.checkpoint import load_weights, state_from_bytes, state_to_bytes, weights_to_bytes
from benchmark.training.data import BatchStream, DeviceData, Part
from benchmark.training.device import DeviceChoice, check_libraries, choose_device, known_device
from benchmark.training.loop import DivergedError, TrainedModel, TrainingRun
from benchmark.training.memory import keep_freed_memory, peak_memory_bytes, resident_bytes, start_peak_memory
from benchmark.training.prediction import images_that_fit, multiply_accumulates, predict, seconds_to_predict
from benchmark.training.stepper import Stepper, build_network, build_to_answer

__all__ = [
    "BatchStream",
    "Captures",
    "DeviceChoice",
    "DeviceData",
    "DivergedError",
    "Part",
    "Stepper",
    "TrainedModel",
    "TrainingRun",
    "build_network",
    "build_to_answer",
    "check_libraries",
    "choose_device",
    "images_that_fit",
    "keep_freed_memory",
    "known_device",
    "load_weights",
    "multiply_accumulates",
    "peak_memory_bytes",
    "predict",
    "resident_bytes",
    "seconds_to_predict",
    "start_peak_memory",
    "state_from_bytes",
    "state_to_bytes",
    "weights_to_bytes",
]
