"""What corrupted test images do to accuracy: the images, the scores, and their page; asks no network, decides nothing.

All of it is of test, and reports: no choice of a study may look at it. `benchmark.evaluation` asks the networks.
"""

from benchmark.robustness.images import CorruptedImages, MadeImages, PublishedImages, read_published
from benchmark.robustness.pictures import draw
from benchmark.robustness.report import CorruptionOrigin, CorruptionReport, to_json, to_markdown, write
from benchmark.robustness.scores import CorruptionScores, score_corruptions
from benchmark.robustness.stored import corrupted_images, note_accuracies, stored_accuracies
from benchmark.robustness.terminal import to_rich

__all__ = [
    "CorruptedImages",
    "CorruptionOrigin",
    "CorruptionReport",
    "CorruptionScores",
    "MadeImages",
    "PublishedImages",
    "corrupted_images",
    "draw",
    "note_accuracies",
    "read_published",
    "score_corruptions",
    "stored_accuracies",
    "to_json",
    "to_markdown",
    "to_rich",
    "write",
]
