"""File names made of names: safe anywhere, short, and different for different names."""

from __future__ import annotations

import re
from itertools import combinations

import pytest

from benchmark.files import LONGEST_NAME, file_name_of


@pytest.mark.parametrize(
    ("name", "file_name"),
    [
        ("cnn, default", "cnn_default"),
        ("soft voting, top 5", "soft-voting_top-5"),
        ("log linear pooling, confirm runs", "log-linear-pooling_confirm-runs"),
        ("efficientnet, trial 78", "efficientnet_trial-78"),
    ],
)
def test_usual_names_are_readable(name: str, file_name: str) -> None:
    assert file_name_of(name) == file_name


STRANGE = (
    "cnn, trial 3", "cnn trial 3", "cnn,trial 3", "cnn-trial-3", "cnn_trial-3", "cnn_trial 3", "CNN, trial 3",
    "cnn, trial 3 ", " cnn, trial 3", "cnn,  trial 3", "../../etc/passwd", "a/b", "a\\b", "", ".", "..",
    "timm mobilenetv3_small_100.lamb_in1k, trial 12", "x" * 200, "x" * 201, "two\nlines", "nul\0", "a: b", "-x", "a -",
    "модель", "模型",
)  # fmt: skip


@pytest.mark.parametrize("name", STRANGE)
def test_every_name_becomes_a_safe_and_short_one(name: str) -> None:
    assert re.fullmatch("[a-z0-9][a-z0-9_-]*", file_name_of(name))
    assert len(file_name_of(name)) <= LONGEST_NAME


def test_different_names_never_share_a_file() -> None:
    for one, other in combinations(STRANGE, 2):
        assert file_name_of(one) != file_name_of(other), (one, other)
