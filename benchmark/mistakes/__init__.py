"""What entrants get wrong: pure functions of predictions, and their tables and pictures; trains and decides nothing.

`most_confused`, `confident_mistakes` and `compare_mistakes` find mistakes in log-probabilities; `mistakes_of` gathers
them for an entrant of a study. `to_rich`, `to_sentences` and `to_json` render what was found, and `draw` puts figures
and pictures into a folder. Mistakes on test are for reading: nothing that chooses takes them.
"""

from benchmark.mistakes.finding import (
    ClassOutcomes,
    ConfusedPair,
    Mistake,
    Repairs,
    compare_mistakes,
    confident_mistakes,
    mistakes_at,
    most_confused,
)
from benchmark.mistakes.pictures import draw, mistakes_picture, pairs_picture, repairs_picture
from benchmark.mistakes.rendering import to_json, to_rich, to_sentences
from benchmark.mistakes.summary import Beside, EntrantMistakes, Said, beside, mistakes_of, other_of

__all__ = [
    "Beside",
    "ClassOutcomes",
    "ConfusedPair",
    "EntrantMistakes",
    "Mistake",
    "Repairs",
    "Said",
    "beside",
    "compare_mistakes",
    "confident_mistakes",
    "draw",
    "mistakes_at",
    "mistakes_of",
    "mistakes_picture",
    "most_confused",
    "other_of",
    "pairs_picture",
    "repairs_picture",
    "to_json",
    "to_rich",
    "to_sentences",
]
