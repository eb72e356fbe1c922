"""Times one worker: matrix products, batches, training steps, predictions; knows no search and no storage."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch

from benchmark.datasets import Say
from benchmark.definition import StudySpec
from benchmark.errors import BenchError, UnknownNameError
from benchmark.origin import running_versions, source_commit
from benchmark.records import TrialConfig
from benchmark.space import Space
from benchmark.speed.report import FamilySpeed, MatrixPeak, Rate, SpeedReport
from benchmark.training import (
    BatchStream,
    Captures,
    DeviceChoice,
    DeviceData,
    Stepper,
    keep_freed_memory,
    known_device,
    multiply_accumulates,
    predict,
)
from benchmark.workers import devices, load_data, worker_setups

_REPEATS = 5
_WARMUP_CALLS = 3
_WARMUP_SHARE = 0.25
"""The warm-up lasts at least this share of a measurement: clocks rise and allocators fill meanwhile."""
_SMALLEST_MATRIX, _LARGEST_MATRIX = 256, 8192
_PRODUCTS = 40
"""At least about so many matrix products are timed."""
_CPU_INFERENCE_ROWS = 500
_FLOP_PER_MAC = 2
_TRAINING_PASSES = 3
"""A training step multiplies as much as three forward passes: forward, gradient of inputs, gradient of weights."""
_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


def device_named(name: str) -> str:
    """The device to measure: "auto" is the first that a search takes. Raises UnknownNameError for one not here."""
    return devices()[0] if name == "auto" else known_device(name)


def measure_speed(
    spec: StudySpec,
    device: str,
    data_folder: Path | None,
    *,
    families: Sequence[str] = (),
    seconds: float = 2.0,
    say: Say = lambda _: None,
) -> SpeedReport:
    """Measure one worker on `device` for the default of each of the study's `families`; none given is all of them.

    Every measurement takes about `seconds`, and a quarter more to warm up; slow models take a few steps at least. It
    sets up this process as a worker's: its threads, and how it keeps freed memory. Raises BenchError for an unknown
    family, a time that is none, and data that cannot be had.
    """
    if not 0 < seconds < math.inf:
        raise BenchError(f"a measurement takes more than 0 seconds, not {seconds}")
    for family in families:
        if family not in spec.families:
            raise UnknownNameError(f"family of study {spec.name!r}", family, spec.families)
    space = Space(spec)
    found = devices()
    setups = worker_setups(found if device in found else [device], None, spec, data_folder)
    setup = next(setup for setup in setups if setup.device == device)
    if device == "cpu":
        keep_freed_memory()
    data = load_data(setup, say)
    say(f"measuring matrix products on {data.where.name}")
    peaks = {precision: _matrix_peak(precision, data.where, seconds) for precision in _DTYPES}
    measured = []
    for family in dict.fromkeys(families or spec.families):
        say(f"measuring {family}")
        measured.append(_family_speed(_default(space, family), data, peaks, seconds))
    return SpeedReport(
        study=spec.name,
        dataset=spec.dataset,
        image_shape=data.image_shape,
        device=data.where.name,
        threads=torch.get_num_threads(),
        workers=len(setups),
        seconds=seconds,
        commit=source_commit(),
        versions=running_versions(),
        peaks=tuple(peaks.values()),
        families=tuple(measured),
    )


def rate_of(work: Callable[[], object], units: int, seconds: float, where: DeviceChoice) -> Rate:
    """How many `units` per second `work` does, `units` per call, in repeats that take about `seconds` together."""
    began, calls, took = time.perf_counter(), 0, 0.0
    while calls < _WARMUP_CALLS or time.perf_counter() - began < seconds * _WARMUP_SHARE:
        took = _seconds_for(work, 1, where)
        calls += 1
    per_repeat = max(1, round(seconds / _REPEATS / took))
    rates = [units * per_repeat / _seconds_for(work, per_repeat, where) for _ in range(_REPEATS)]
    return Rate(statistics.median(rates), min(rates), max(rates), _REPEATS)


def _seconds_for(work: Callable[[], object], calls: int, where: DeviceChoice) -> float:
    where.synchronise()
    started = time.perf_counter()
    for _ in range(calls):
        work()
    where.synchronise()
    return time.perf_counter() - started


def _matrix_peak(precision: str, where: DeviceChoice, seconds: float) -> MatrixPeak:
    """The best of many square products, as large as leaves room for many in `seconds`.

    Each is timed by itself: on a busy machine some are left in peace, where a mean over several would not be.
    """
    size = _SMALLEST_MATRIX
    with torch.inference_mode(), _products_as_convolutions():
        while True:
            work = _product(size, _DTYPES[precision], where)
            _seconds_for(work, 1, where)
            # Of twice the size it takes eight times as long.
            if size == _LARGEST_MATRIX or 8 * _seconds_for(work, 1, where) > seconds / _PRODUCTS:
                break
            size *= 2
        times: list[float] = []
        while len(times) < _REPEATS or sum(times) < seconds:
            times.append(_seconds_for(work, 1, where))
    tflop = _FLOP_PER_MAC * size**3 / 1e12
    return MatrixPeak(precision, size, tflop / min(times), tflop / statistics.median(times), len(times))


def _product(size: int, dtype: torch.dtype, where: DeviceChoice) -> Callable[[], object]:
    left, right = (torch.randn(size, size, device=where.device).to(dtype) for _ in range(2))
    result = torch.empty_like(left)
    return lambda: torch.mm(left, right, out=result)


@contextmanager
def _products_as_convolutions() -> Iterator[None]:
    """Give float32 products the precision that float32 convolutions have, TF32 on a GPU unless it is forbidden.

    By default torch rounds inputs of convolutions and not those of products; a share of the peak would exceed 1.
    """
    before = torch.backends.cuda.matmul.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32
    try:
        yield
    finally:
        torch.backends.cuda.matmul.allow_tf32 = before


def _default(space: Space, family: str) -> TrialConfig:
    values = space.expert(family)
    return space.configure(family, lambda name, _: values[name], seed=space.spec.seed)


def _family_speed(
    config: TrialConfig, data: DeviceData, peaks: Mapping[str, MatrixPeak], seconds: float
) -> FamilySpeed:
    where = data.where
    batches = iter(BatchStream(data, config.augmentations, config.batch_size, config.seed))
    stepper = Stepper(config, data, Captures())
    # The end of the budget: images have their full size, and rates are 0, so that the weights stay ordinary numbers.
    training = rate_of(lambda: stepper.step(share=1.0), stepper.batch_size, seconds, where)
    # A GPU wants large batches; on a CPU a few hundred images take long enough.
    enough = 1.0 if where.device.type != "cpu" else min(1.0, _CPU_INFERENCE_ROWS / len(data.val))
    part = data.val.spread(enough)
    inference = rate_of(
        lambda: predict(stepper.model, data, part, views="one", precision=config.precision), len(part), seconds, where
    )
    with where.autocast(config.precision, stepper.model):
        precision = "bfloat16" if torch.is_autocast_enabled(where.device.type) else "float32"
    macs = multiply_accumulates(stepper.model, data)
    share_per_image = _FLOP_PER_MAC * macs / (peaks[precision].peak_tflops * 1e12)
    return FamilySpeed(
        family=config.architecture.name,
        parameters=sum(parameter.numel() for parameter in stepper.model.parameters()),
        macs=macs,
        batch_size=stepper.batch_size,
        precision=precision,
        augmentations=tuple(choice.name for choice in config.augmentations),
        data_images_per_second=rate_of(lambda: next(batches), stepper.batch_size, seconds, where),
        training_images_per_second=training,
        inference_images_per_second=inference,
        training_share_of_peak=_TRAINING_PASSES * share_per_image * training.median,
        inference_share_of_peak=share_per_image * inference.median,
    )
