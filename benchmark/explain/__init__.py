"""Why an entrant says what it says: Grad-CAM maps of images (Selvaraju et al. 2017, arXiv:1610.02391).

A map tells which places of an image spoke for a class, as far as one layer of a network knows them. It decides nothing
and is no measure of quality: two networks of equal accuracy may look elsewhere.
"""

from benchmark.explain.choosing import ShownImages, telling_rows
from benchmark.explain.exhibits import exhibits_of, member_name, whence
from benchmark.explain.layers import MapLayer, find_map_layer
from benchmark.explain.maps import Explanation, explain, grad_cam
from benchmark.explain.randomisation import Likeness, randomisation_check, rank_correlations
from benchmark.figures.evidence import overlay

__all__ = [
    "Explanation",
    "Likeness",
    "MapLayer",
    "ShownImages",
    "exhibits_of",
    "explain",
    "find_map_layer",
    "grad_cam",
    "member_name",
    "overlay",
    "randomisation_check",
    "rank_correlations",
    "telling_rows",
    "whence",
]
