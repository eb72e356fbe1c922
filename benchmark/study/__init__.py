"""A study as a whole: opened for searching with its data and definition checked, and read back as a leaderboard.

Joins what other modules do; trains nothing and prints nothing.
"""

from benchmark.study.board import find_entrant, leaderboard_of
from benchmark.study.building import ensembles_of
from benchmark.study.opening import open_for_search, open_to_confirm, open_to_join
from benchmark.study.stored import note_command, note_scored, place_of_files, set_total, single_models, weights_kept

__all__ = [
    "ensembles_of",
    "find_entrant",
    "leaderboard_of",
    "note_command",
    "note_scored",
    "open_for_search",
    "open_to_confirm",
    "open_to_join",
    "place_of_files",
    "set_total",
    "single_models",
    "weights_kept",
]
