"""Figures of a study, drawn from plain values: pure functions that return a figure; ranks nothing, scores nothing.

Importing this package loads matplotlib, so it is imported where a figure is drawn. No figure touches pyplot or leaves a
setting of matplotlib changed. They share one style (`style`); `save` writes a figure as PNG and SVG.
"""

from benchmark.confidences import CalibrationBins, Confidences, calibration_bins
from benchmark.figures.accuracy_latency import Contender, accuracy_against_latency, pareto_front
from benchmark.figures.confusion import confusion_map
from benchmark.figures.corruptions import CorruptedAccuracy, accuracy_under_corruption
from benchmark.figures.coverage import accuracy_against_coverage
from benchmark.figures.disagreement import disagreement_map
from benchmark.figures.effort import search_effort
from benchmark.figures.ensemble_size import SingleModel, SizeCurve, accuracy_against_size
from benchmark.figures.evidence import Exhibit, evidence_figure, overlay
from benchmark.figures.files import save
from benchmark.figures.importances import parameter_importances
from benchmark.figures.reliability import reliability_diagram
from benchmark.figures.search_progress import search_progress
from benchmark.figures.slices import parameter_slices
from benchmark.figures.training_curves import training_curves
from benchmark.figures.trial_curves import trial_curves

__all__ = [
    "CalibrationBins",
    "Confidences",
    "Contender",
    "CorruptedAccuracy",
    "Exhibit",
    "SingleModel",
    "SizeCurve",
    "accuracy_against_coverage",
    "accuracy_against_latency",
    "accuracy_against_size",
    "accuracy_under_corruption",
    "calibration_bins",
    "confusion_map",
    "disagreement_map",
    "evidence_figure",
    "overlay",
    "parameter_importances",
    "parameter_slices",
    "pareto_front",
    "reliability_diagram",
    "save",
    "search_effort",
    "search_progress",
    "training_curves",
    "trial_curves",
]
