"""How variations of a recipe are written on the command line."""

from __future__ import annotations

import pytest

from benchmark.errors import BenchError
from studies.compare_recipes import parameters_of


def test_a_variation_is_full_names_with_values_of_their_types() -> None:
    text = "cnn.width=48 start_size=0.625 averaging=lookahead cutout=true"
    assert parameters_of(text) == {"cnn.width": 48, "start_size": 0.625, "averaging": "lookahead", "cutout": True}
    assert parameters_of("") == {}


def test_a_word_without_a_value_is_refused() -> None:
    with pytest.raises(BenchError, match="write cutout=VALUE"):
        parameters_of("cutout")
