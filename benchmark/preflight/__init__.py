"""What is wrong with a data set before anything is trained on it; knows no model and no torch, and changes nothing.

Images that are in it twice, within a part or across parts, make a score on test too good and a split less than
independent (Barz & Denzler 2020, arXiv:1902.00423, for CIFAR-10); contradicting labels of one image bound what any
model can reach.

Identical images have the same pixels. Near duplicates have a Pearson correlation of pixels, each channel less its own
mean, of at least `NEAR_DUPLICATE`, one image with the other or with its mirror image; and one of at least 0.5 of the
differences between neighbouring pixels, without which two horizons or dark things in the middle would do. That finds
copies that were compressed again, made brighter, given more contrast or a cast of colour, slightly blurred or noised,
moved by a fraction of a pixel, or mirrored. It misses copies that were moved by a pixel or more, cropped, rotated or
scaled, and it takes for copies what merely looks the same in so few pixels: ships on a horizon, the stroke of a pen. It
is meant for photographs.

Labels that look wrong are found afterwards, in the probabilities that trained models gave (`suspect_labels`).
"""

from benchmark.preflight._pool import parts_of
from benchmark.preflight.checks import NEAR_DUPLICATE, preflight
from benchmark.preflight.findings import ClassRows, Duplicates, Findings, Pair, Place, SuspectLabel
from benchmark.preflight.sentences import nearness_in_words, place_in_words, suspect_in_words, to_sentences
from benchmark.preflight.suspects import LEAST_AGREEMENT, suspect_labels

__all__ = [
    "LEAST_AGREEMENT",
    "NEAR_DUPLICATE",
    "ClassRows",
    "Duplicates",
    "Findings",
    "Pair",
    "Place",
    "SuspectLabel",
    "nearness_in_words",
    "parts_of",
    "place_in_words",
    "preflight",
    "suspect_in_words",
    "suspect_labels",
    "to_sentences",
]
