"""Several studies side by side: ranks and wins by hand, and the page that lists them."""

from __future__ import annotations

import json
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from benchmark.errors import BenchError
from benchmark.leaderboard import StudyResult, across_to_rich, compare_studies, result_of, write_index
from benchmark.leaderboard.across import index_page, label_of
from benchmark.metrics import Estimate


def result(study: str, **accuracies: float) -> StudyResult:
    told = {name: Estimate(value, value - 0.01, value + 0.01) for name, value in accuracies.items()}
    return StudyResult(study, f"{study}-data", "2 cores", 100, next(iter(accuracies)), told)


ONE = result("one", cnn=0.9, vgg=0.8, mix=0.95, only=0.5)
TWO = result("two", cnn=0.7, vgg=0.7, mix=0.6)
THREE = result("three", vgg=0.3, cnn=0.2, mix=0.4)


def test_mean_ranks_and_wins_by_hand() -> None:
    # Ranks of cnn, vgg, mix: 2 3 1 in the first, 1.5 1.5 3 in the second (equals share), 3 2 1 in the third.
    across = compare_studies([ONE, TWO, THREE])
    assert across.studies == ("one", "two", "three")
    assert across.labels == ("mix", "cnn", "vgg", "only")
    assert across.mean_rank == (pytest.approx(5 / 3), pytest.approx(6.5 / 3), pytest.approx(6.5 / 3), None)
    # mix beats cnn and vgg in two of three; cnn and vgg win one each and are equal once.
    third = 1 / 3
    assert across.wins == pytest.approx(np.array([[0.5, 2 * third, 2 * third], [third, 0.5, 0.5], [third, 0.5, 0.5]]))
    assert across.win_rates == pytest.approx([2 / 3, 5 / 12, 5 / 12])
    assert across.accuracy[0].tolist() == [0.95, 0.6, 0.4]
    assert across.accuracy[3].tolist()[0] == 0.5
    assert np.isnan(across.accuracy[3][1:]).all()


def test_studies_without_a_common_entrant_have_no_ranks() -> None:
    across = compare_studies([result("one", cnn=0.9), result("two", vgg=0.8)])
    assert across.labels == ("cnn", "vgg")
    assert across.mean_rank == (None, None)
    assert across.wins.shape == (0, 0)
    assert across.win_rates == []
    assert "wins over" not in index_page([result("one", cnn=0.9), result("two", vgg=0.8)])


def test_a_terminal_shows_ranks_and_wins() -> None:
    console = Console(file=StringIO(), width=100)
    console.print(across_to_rich(compare_studies([ONE, TWO, THREE])))
    lines = [line.split() for line in console.file.getvalue().splitlines()]  # type: ignore[attr-defined]
    assert ["mix", "1.67", "67", "95.00", "60.00", "40.00"] in lines
    assert ["cnn", "2.17", "42", "90.00", "70.00", "20.00"] in lines
    assert ["only", "–", "–", "50.00", "–", "–"] in lines


def test_one_study_is_not_compared() -> None:
    with pytest.raises(BenchError, match="at least two"):
        compare_studies([ONE])


def row(name: str, kind: str, accuracy: float, family: str = "cnn") -> dict[str, Any]:
    return {
        "name": name,
        "kind": kind,
        "family": family,
        "test_accuracy": accuracy,
        "test_accuracy_low": accuracy - 0.1,
        "test_accuracy_high": accuracy + 0.1,
    }


def whole(study: str = "pets") -> dict[str, Any]:
    return {
        "origin": {"study": study, "dataset": "pets-data", "device": "2 cores"},
        "study": {"trials": 9, "states": {"complete": 4, "pruned": 3, "failed": 1, "running": 1}},
        "winner": {"name": "cnn, trial 5"},
        "rows": [
            row("cnn, trial 5", "tuned", 0.8),
            row("cnn, default", "default", 0.7),
            row("vgg, trial 2", "tuned", 0.6, "vgg"),
        ],
    }


def test_a_tuned_model_goes_by_its_family() -> None:
    found = result_of(whole())
    assert set(found.accuracies) == {"cnn, tuned", "cnn, default", "vgg, tuned"}
    assert (found.recommended, found.trials) == ("cnn, tuned", 7)
    assert label_of(row("soft voting, top 5", "ensemble", 0.9)) == "soft voting, top 5"


def test_of_several_with_one_label_the_first_by_validation_counts() -> None:
    told = whole()
    told["rows"].append(row("cnn, trial 9", "tuned", 0.99))
    assert result_of(told).accuracies["cnn, tuned"].value == 0.8


@pytest.mark.parametrize("key", ["origin", "rows", "winner"])
def test_what_is_no_leaderboard_is_refused(key: str) -> None:
    told = whole()
    del told[key]
    with pytest.raises(BenchError, match="no leaderboard's JSON"):
        result_of(told)


def test_the_index_lists_every_study_and_skips_other_files(tmp_path: Path) -> None:
    for study in ("pets", "cars"):
        (tmp_path / f"{study}.json").write_text(json.dumps(whole(study)))
    (tmp_path / "other.json").write_text("{}")
    (tmp_path / "broken.json").write_text("{")
    page = write_index(tmp_path).read_text()
    assert page.index("| [cars](cars.md) | pets-data | cnn, tuned | 80.00 (70.00–90.00) | 7 | 2 cores |") < page.index(
        "| [pets](pets.md) |"
    )
    assert "| cnn, tuned | 1.00 | 80.00 | 80.00 |" in page
    assert "other" not in page
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "README.md", "broken.json", "cars.json", "other.json", "pets.json",
    ]  # fmt: skip


def test_an_index_is_written_again_and_no_page_of_the_users_own(tmp_path: Path) -> None:
    index = write_index(tmp_path)
    (tmp_path / "pets.json").write_text(json.dumps(whole("pets")))
    assert "[pets](pets.md)" in write_index(tmp_path).read_text()
    index.write_text("# What I found\n")
    assert write_index(tmp_path).read_text() == "# What I found\n"


def test_shares_of_studies_take_three_of_them() -> None:
    assert "In how many % of the studies" not in index_page([ONE, TWO])
    assert "In how many % of the studies" in index_page([ONE, TWO, THREE])


def test_the_page_says_that_it_tests_nothing() -> None:
    page = index_page([ONE, replace(TWO, dataset=ONE.dataset)])
    assert "The order is by test, over 2 studies of 1 data set, and nothing is tested here" in page


def test_tables_have_as_many_cells_in_every_line() -> None:
    for block in index_page([ONE, TWO, THREE]).split("\n\n"):
        lines = [line for line in block.splitlines() if line.startswith("|")]
        assert len({line.count("|") for line in lines}) <= 1
