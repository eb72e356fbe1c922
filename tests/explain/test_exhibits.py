"""What stands on the picture of an explanation: the ensemble first, then the members that vote most, with words."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from planted_evidence import entrant, plant
from torch import nn

from benchmark.explain import Explanation, ShownImages, exhibits_of, whence
from benchmark.inference import LoadedEntrant, LoadedModel
from benchmark.records import Budget, Choice, TrialConfig

CLASSES = ("red", "green", "blue")
VOTES = (0.1, 0.3, 0.0, 0.4, 0.2)
"""The third member has no map."""


def explanation(**changes: Any) -> Explanation:
    """Of two images by five members; the heat tells whose it is."""
    heats = np.zeros((5, 2, 4, 4), np.float32)
    heats += np.arange(1, 6, dtype=np.float32)[:, None, None, None] / 10
    given = Explanation(
        probs=np.array([[0.7, 0.2, 0.1], [0.1, 0.3, 0.6]], np.float32),
        classes=np.array([0, 2]),
        heat=np.full((2, 4, 4), 0.9, np.float32),
        member_heats=heats,
        map_sizes=np.array([[4, 4], [8, 8], [0, 0], [7, 5], [2, 2]]),
        layers=("a", "b", "", "d", "e"),
        votes=VOTES,
    )
    return replace(given, **changes)


def loaded(count: int, part: str = "", *, voting: bool = True) -> LoadedEntrant:
    config = TrialConfig(Choice("cnn"), (), Choice("sgd"), Choice("linear"), Budget(epochs=1), batch_size=1, seed=0)
    data = plant(3, 3).data
    members = tuple(LoadedModel(10 + number, part, config, nn.Identity(), data) for number in range(count))
    return LoadedEntrant(entrant(*members, weights=VOTES if voting else None), members, None)


def show(given: Explanation, of: LoadedEntrant, labels: tuple[int | None, ...] = (1, None)) -> tuple[list, list]:
    return exhibits_of(given, of, ShownImages(np.zeros((2, 4, 4, 3), np.uint8), ("test 7", "my.png"), labels), CLASSES)


def test_the_ensemble_then_the_three_members_that_vote_most() -> None:
    exhibits, headings = show(explanation(), loaded(5))
    assert headings == [
        "ensemble of 5,\n3 members shown\n90 % of the vote",
        "trial 13, 40 %\ncnn\nfrom a 7 x 5 map",
        "trial 11, 30 %\ncnn\nfrom a 8 x 8 map",
        "trial 14, 20 %\ncnn\nfrom a 2 x 2 map",
    ]
    for one in exhibits:
        np.testing.assert_allclose(one.heats[:, 0, 0], [0.9, 0.4, 0.2, 0.5])


def test_members_without_a_map_are_not_shown() -> None:
    votes = (0.0, 0.5, 0.0, 0.5, 0.0)
    _, headings = show(explanation(votes=votes), loaded(5))
    # Of the vote of all: those without a map have the rest.
    assert headings[0] == "ensemble of 5,\n2 members shown\n70 % of the vote"
    assert [heading.split(",")[0] for heading in headings[1:]] == ["trial 11", "trial 13"]


def test_a_method_without_votes_tells_none() -> None:
    _, headings = show(explanation(), loaded(5, voting=False))
    assert headings[:2] == ["ensemble of 5,\n3 members shown", "trial 13\ncnn\nfrom a 7 x 5 map"]


def test_an_ensemble_whose_members_are_all_shown_says_how_many_they_are() -> None:
    three = explanation(
        member_heats=np.ones((3, 2, 4, 4), np.float32),
        map_sizes=np.array([[4, 4]] * 3),
        layers=("a", "b", "c"),
        votes=(0.5, 0.3, 0.2),
    )
    _, headings = show(three, loaded(3))
    assert headings[0] == "ensemble\nof 3 members"
    assert len(headings) == 4


def test_members_left_out_and_votes_are_told() -> None:
    told = whence(explanation(), loaded(5))
    assert told[1:4] == [
        "trial 11 (cnn): map of 8 x 8 places, layer b; 30 % of the ensemble's",
        "trial 12 (cnn): left out: no layer has a map",
        "trial 13 (cnn): map of 7 x 5 places, layer d; 40 % of the ensemble's",
    ]
    assert len(told) == 6


def test_a_single_model_is_shown_once() -> None:
    one = explanation(
        member_heats=np.ones((1, 2, 4, 4), np.float32), map_sizes=np.array([[4, 4]]), layers=("a",), votes=(1.0,)
    )
    alone = loaded(1, part="confirm")
    exhibits, headings = show(one, replace(alone, entrant=replace(alone.entrant, weights=(1.0,))))
    assert headings == ["run 10\ncnn\nfrom a 4 x 4 map"]
    assert exhibits[0].heats.shape == (1, 4, 4)


def test_words_say_the_label_the_answer_and_its_confidence() -> None:
    exhibits, _ = show(explanation(), loaded(5))
    assert [one.lines for one in exhibits] == [
        ("test 7", "label green", "says red, 70.0 %"),
        ("my.png", "says blue, 60.0 %"),
    ]


def test_words_say_what_another_class_had_and_where_there_is_no_evidence() -> None:
    heat = np.zeros((2, 4, 4), np.float32)
    heat[0] = 1
    exhibits, _ = show(explanation(classes=np.array([1, 1]), heat=heat), loaded(5))
    assert exhibits[0].lines == ("test 7", "label green", "says red, 70.0 %", "map: green, 20.0 %")
    assert exhibits[1].lines == ("my.png", "says blue, 60.0 %", "map: green, 30.0 %", "no evidence found")
