"""How fast this machine works: matrix products, batches and every family's default; searches nothing, stores nothing.

All of it runs on one worker, started as a search starts its workers, and alone.
"""

from benchmark.speed.measuring import device_named, measure_speed, rate_of
from benchmark.speed.report import FamilySpeed, MatrixPeak, Rate, SpeedReport, to_json
from benchmark.speed.terminal import to_rich

__all__ = [
    "FamilySpeed",
    "MatrixPeak",
    "Rate",
    "SpeedReport",
    "device_named",
    "measure_speed",
    "rate_of",
    "to_json",
    "to_rich",
]
