"""Ranking, rendering and writing of a board worked out by hand."""

import csv
import io
import json
import os
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from benchmark.columns import columns_named
from benchmark.ensemble import Recommendation
from benchmark.errors import BenchError, SealedTestError
from benchmark.leaderboard import (
    Leaderboard,
    SizeScore,
    draw,
    make_board,
    select_singles,
    summarise,
    to_csv,
    to_json,
    to_markdown,
    to_rich,
    write,
)
from benchmark.leaderboard.board import Peer, peer_of
from benchmark.leaderboard.details import votes
from benchmark.leaderboard.pictures import pictures_of
from benchmark.metrics import Estimate
from benchmark.records import (
    Cost,
    Entrant,
    FamilyImportance,
    Origin,
    ParameterImportance,
    Predictions,
    Split,
    TrialRecord,
    TrialState,
)

CLASSES = ("cat", "dog|wolf", "<ship>")
LABELS_VAL = np.array([0, 0, 1, 2])
LABELS_TEST = np.array([0, 0, 0, 1, 1, 2])
COST = Cost(1_970_000, 118_000_000, 104.26, 0.25)

ORIGIN = Origin(
    study="pets",
    commit="3f2c1ab9",
    commands=("bench search pets --trials 6", "bench ensemble pets --top 2"),
    seed=3,
    split_seed=5,
    dataset="pets-data",
    dataset_fingerprint="47af8b02",
    split_digest="9f86d081",
    train_rows=12_000,
    val_rows=4,
    test_rows=6,
    device="2 cores",
    versions={"torch": "2.11.0", "numpy": "2.4.0"},
)


def saying(classes: list[int], confidence: float = 0.8) -> np.ndarray:
    """Log-probabilities (N, 3) that give one class `confidence` and share the rest."""
    probs = np.full((len(classes), 3), (1 - confidence) / 2)
    probs[np.arange(len(classes)), classes] = confidence
    return np.log(probs).astype(np.float32)


def entrant(
    name: str, val: list[int], test: list[int], confidence: float = 0.8, kind: str = "tuned", number: int = 0,
    family: str | None = None,
) -> Entrant:  # fmt: skip
    return Entrant(
        name, kind, family or name.split()[0], (number,), (1.0,),
        Predictions(Split.VAL, saying(val, confidence)), Predictions(Split.TEST, saying(test)), COST,
    )  # fmt: skip


BEST_ON_VAL = entrant("cnn tuned", [0, 0, 1, 2], [0, 0, 1, 1, 2, 2], number=1)  # 4 of 4, and 4 of 6
BEST_ON_TEST = entrant("vgg tuned", [0, 0, 1, 1], [0, 0, 0, 1, 1, 2], number=2)  # 3 of 4, and 6 of 6
VAGUER = entrant("resnet tuned", [0, 0, 1, 0], [0, 0, 0, 0, 0, 0], confidence=0.6, number=3)  # 3 of 4, higher log loss
LAST = entrant("vgg default", [1, 1, 0, 2], [1, 1, 1, 0, 0, 2], kind="default", number=0)  # 1 of 4, and 1 of 6
MIX = Entrant(
    "soft voting, top 2", "ensemble", "ensemble", (1, 2), (0.25, 0.75), BEST_ON_VAL.val, BEST_ON_VAL.test, COST + COST
)


def trial(
    number: int, state: TrialState, family: str, reason: str | None = None, val: float | None = None
) -> TrialRecord:
    cost = COST if state is TrialState.COMPLETE else None
    return TrialRecord(number, state, family, number == 0, {}, val, cost, reason, 100.0, "2 cores", 70.0, 20.0)


TRIALS = [
    trial(0, TrialState.COMPLETE, "vgg", val=0.25),
    trial(1, TrialState.COMPLETE, "cnn", val=1.0),
    trial(2, TrialState.COMPLETE, "vgg", val=0.75),
    trial(3, TrialState.PRUNED, "cnn"),
    trial(4, TrialState.FAILED, "cnn", "out of memory at batch 512\nTraceback: long"),
    trial(5, TrialState.FAILED, "vgg", "out of memory at batch 512"),
    trial(6, TrialState.FAILED, "vgg", "diverged"),
    trial(7, TrialState.FAILED, "vgg"),
]


def board(*entrants: Entrant, origin: Origin = ORIGIN) -> Leaderboard:
    chosen = entrants or (LAST, BEST_ON_TEST, VAGUER, BEST_ON_VAL, MIX)
    return make_board(chosen, LABELS_VAL, LABELS_TEST, CLASSES, TRIALS, origin)


def names(of: Leaderboard) -> list[str]:
    return [row.entrant.name for row in of.rows]


def test_order_is_by_validation_though_test_disagrees() -> None:
    two = board(BEST_ON_TEST, BEST_ON_VAL)
    assert names(two) == ["cnn tuned", "vgg tuned"]
    assert two.rows[0].test.accuracy.value < two.rows[1].test.accuracy.value
    assert two.winner.name == "cnn tuned"


def test_ties_go_to_log_loss_then_to_the_name() -> None:
    assert names(board()) == ["cnn tuned", "soft voting, top 2", "vgg tuned", "resnet tuned", "vgg default"]


def test_test_labels_and_predictions_cannot_move_a_row() -> None:
    blank = Predictions(Split.TEST, np.full((6, 3), -np.log(3), np.float32))
    assert names(board(*(replace(row.entrant, test=blank) for row in reversed(board().rows)))) == names(board())


def test_forged_validation_is_refused() -> None:
    forged = replace(BEST_ON_VAL)
    object.__setattr__(forged, "val", forged.test)
    with pytest.raises(SealedTestError):
        board(forged)


def test_scores_of_a_row_by_hand() -> None:
    # Test says 0 0 1 1 2 2 of labels 0 0 0 1 1 2: precision 1, 1/2, 1/2; recall 2/3, 1/2, 1; F1 4/5, 1/2, 2/3.
    first = board().rows[0]
    assert first.val.accuracy.value == 1
    assert first.val.log_loss == pytest.approx(-np.log(0.8), rel=1e-6)
    assert first.test.accuracy.value == pytest.approx(4 / 6)
    assert first.test.macro_precision == pytest.approx(2 / 3)
    assert first.test.macro_recall == pytest.approx((2 / 3 + 1 / 2 + 1) / 3)
    assert first.test.macro_f1 == pytest.approx((4 / 5 + 1 / 2 + 2 / 3) / 3)
    assert first.test.log_loss == pytest.approx(-(4 * np.log(0.8) + 2 * np.log(0.1)) / 6, rel=1e-6)
    assert first.test.ece == pytest.approx(0.8 - 4 / 6, rel=1e-5)


def test_winner_class_by_class_by_hand() -> None:
    winner = board().winner
    assert winner.confusion.tolist() == [[2, 1, 0], [0, 1, 1], [0, 0, 1]]
    assert winner.scores.recall == pytest.approx([2 / 3, 1 / 2, 1])
    assert [winner.confused_with(index) for index in range(3)] == [("dog|wolf", 1), ("<ship>", 1), None]


def test_summary_by_hand() -> None:
    summary = summarise(TRIALS)
    assert summary.trials == 8
    assert summary.states == {
        TrialState.RUNNING: 0, TrialState.COMPLETE: 3, TrialState.PRUNED: 1, TrialState.FAILED: 4,
    }  # fmt: skip
    assert summary.failures == (("out of memory at batch 512", 2), ("diverged", 1), ("no reason recorded", 1))
    assert summary.trial_seconds == 800
    assert (summary.train_seconds, summary.evaluation_seconds) == (8 * 70.0, 8 * 20.0)
    assert summary.devices == ("2 cores",)
    # One that went on with another is told with the seconds of both; by the clock it took its own.
    went_on = replace(TRIALS[0], number=8, continues=4, seconds=40.0, train_seconds=100.0, evaluation_seconds=30.0)
    longer = summarise([*TRIALS, went_on])
    assert longer.trial_seconds == 840
    assert (longer.train_seconds, longer.evaluation_seconds) == (8 * 70.0 + 30.0, 8 * 20.0 + 10.0)
    # Another part's trial of number 4 is another one.
    parts = summarise([*TRIALS, went_on], [replace(TRIALS[0], number=4, train_seconds=1000.0)])
    assert parts.train_seconds == longer.train_seconds + 1000
    assert parts.trials == 10
    cnn, vgg = summary.families
    assert (cnn.family, cnn.trials, cnn.best_val_accuracy, cnn.trial_seconds) == ("cnn", 3, 1.0, 300)
    assert (vgg.family, vgg.trials, vgg.best_val_accuracy) == ("vgg", 5, 0.75)
    assert vgg.states[TrialState.FAILED] == 3


def test_select_singles_takes_each_familys_default_and_best_tuned() -> None:
    worse = entrant("vgg worse", [1, 1, 0, 0], [0, 0, 0, 1, 1, 2], number=9)
    assert select_singles([worse, MIX, VAGUER, LAST, BEST_ON_TEST, BEST_ON_VAL], LABELS_VAL) == [
        BEST_ON_VAL, VAGUER, LAST, BEST_ON_TEST,
    ]  # fmt: skip


def test_select_singles_takes_the_earlier_of_equals() -> None:
    later = replace(BEST_ON_VAL, members=(8,))
    assert select_singles([later, BEST_ON_VAL], LABELS_VAL) == [BEST_ON_VAL]


def test_nothing_to_rank_is_refused() -> None:
    with pytest.raises(BenchError, match="no trial of this study is complete"):
        make_board([], LABELS_VAL, LABELS_TEST, CLASSES, TRIALS, ORIGIN)


@pytest.mark.parametrize(
    "gap",
    [
        {"commit": ""},
        {"commands": ()},
        {"dataset_fingerprint": ""},
        {"split_digest": ""},
        {"device": ""},
        {"versions": {}},
    ],
)
def test_board_without_its_origin_is_refused(gap: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=f"missing: {next(iter(gap))}"):
        board(origin=replace(ORIGIN, **gap))


@pytest.mark.parametrize("rows", [{"val_rows": 5}, {"test_rows": 5}])
def test_origin_that_counts_other_rows_is_refused(rows: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="the origin tells of 5"):
        board(origin=replace(ORIGIN, **rows))


def test_wrong_number_of_class_names_is_refused() -> None:
    with pytest.raises(ValueError, match="2 class names for 3 classes"):
        make_board([MIX], LABELS_VAL, LABELS_TEST, CLASSES[:2], TRIALS, ORIGIN)


def test_markdown_opens_with_notice_headline_and_short_table() -> None:
    lines = to_markdown(board()).splitlines()
    assert lines[0].startswith("<!-- Generated by `bench leaderboard pets`")
    assert lines[2] == "# Leaderboard: pets"
    assert lines[4].startswith("**cnn tuned** is first by validation; on test it is right on 66.67 % of 6 images")
    assert lines[6:9] == [
        "| # | Entrant | Kind | Group | Val. acc. % | Test acc. % (95 % interval) | Beyond best single points (95 % "
        "interval) | Log loss ↓ | Params ↓ | Inference ↓ ms/image | Members |",
        "| ---: | :--- | :--- | :--- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
        "| 1 | **cnn tuned** | tuned | a | 100.00 | 66.67 (30.00–90.32) | – | 0.998 | 1.97 M | 0.250 | 1 |",
    ]


def test_chosen_columns_make_the_short_table() -> None:
    lines = to_markdown(board(), columns_named(["test_accuracy", "name"])).splitlines()
    assert lines[6] == "| # | Test acc. % (95 % interval) | Entrant |"
    assert lines[8] == "| 1 | 66.67 (30.00–90.32) | **cnn tuned** |"


def test_a_column_of_which_nothing_is_known_has_no_place_on_the_page() -> None:
    again = (BEST_ON_VAL.test, LAST.test)
    for replicates, is_shown in (((), False), (again, True)):
        page = to_markdown(board(replace(BEST_ON_VAL, replicates=replicates), LAST))
        assert ("| Mean over seeds % |" in page) == is_shown
        assert "| Seeds |" in page


def test_what_was_measured_under_corruption_has_a_column() -> None:
    heading = "Corruption acc. % (95 % interval)"
    assert heading not in to_markdown(board())
    asked = to_markdown(board(), columns_named(["name", "corruption_accuracy"])).splitlines()
    assert asked[6] == f"| # | Entrant | {heading} |"
    assert asked[8] == "| 1 | **cnn tuned** | – |"
    measured = make_board(
        [BEST_ON_VAL, LAST], LABELS_VAL, LABELS_TEST, CLASSES, TRIALS, ORIGIN,
        corruption_accuracies={"vgg default": Estimate(0.5, 0.4, 0.625)},
    )  # fmt: skip
    page = to_markdown(measured)
    assert f"| {heading} |" in page
    assert "| 50.00 (40.00–62.50) |" in page
    first, last = csv.DictReader(io.StringIO(to_csv(measured)))
    keys = ("corruption_accuracy", "corruption_accuracy_low", "corruption_accuracy_high")
    assert [last[key] for key in keys] == ["0.5", "0.4", "0.625"]
    assert [first[key] for key in keys] == ["", "", ""]
    assert [json.loads(to_json(measured))["rows"][0][key] for key in keys] == [None, None, None]


def test_markdown_has_every_part_of_the_answer() -> None:
    page = to_markdown(board())
    for piece in (
        "Rows are in the order of *validation* accuracy (4 images",
        "## More scores",
        "## Costs",
        "*Test* (6 images) is scored once per row",
        "Wilson score interval, 95 %",
        "| soft voting, top 2 | 2 (75 %), 1 (25 %) |",
        "| Family | Trials | Running | Complete | Pruned | Failed | Best val. acc. % | Time |",
        "| vgg | 5 | 0 | 2 | 0 | 3 | 75.00 | 8 min 20 s |",
        "| all | 8 | 0 | 3 | 1 | 4 | – | 13 min 20 s |",
        "| out of memory at batch 512 | 2 |",
        "| cat | 100.00 | 66.67 | 80.00 | 3 | dog\\|wolf (1) |",
        "| dog\\|wolf | 50.00 | 50.00 | 50.00 | 2 | &lt;ship> (1) |",
        "| label \\ predicted | cat | dog\\|wolf | &lt;ship> |",
        "| Program at commit | `3f2c1ab9` |",
        "| Seed of the study | 3 |",
        "| Seed of the split | 5 |",
        "| Data fingerprint (SHA-256) | `47af8b02` |",
        "| Split (SHA-256 of validation rows) | `9f86d081` |",
        "| Images: train / validation / test | 12,000 / 4 / 6 |",
        "| Versions | numpy 2.4.0, torch 2.11.0 |",
        "bench search pets --trials 6\nbench ensemble pets --top 2",
    ):
        assert piece in page
    assert page.endswith("\n")
    assert not page.endswith("\n\n")


def test_markdown_tables_have_as_many_cells_in_every_line() -> None:
    for block in to_markdown(board()).split("\n\n"):
        table = [line.replace("\\|", "") for line in block.splitlines() if line.startswith("|")]
        assert len({line.count("|") for line in table}) <= 1


def test_markdown_leaves_out_what_there_is_none_of() -> None:
    page = to_markdown(make_board([BEST_ON_VAL], LABELS_VAL, LABELS_TEST, CLASSES, TRIALS[:3], ORIGIN))
    assert "Who votes" not in page
    assert "Why trials failed" not in page


def test_votes_of_a_meta_learner_are_not_invented() -> None:
    assert votes(replace(MIX, weights=None)) == "1, 2 (inputs of a meta-learner)"


def test_csv_and_json_carry_the_same_unrounded_rows() -> None:
    rows = list(csv.DictReader(io.StringIO(to_csv(board()))))
    whole = json.loads(to_json(board()))
    assert [row["name"] for row in rows] == [row["name"] for row in whole["rows"]] == names(board())
    assert [row["rank"] for row in rows] == ["1", "2", "3", "4", "5"]
    assert rows[1]["trials"] == "1 2"
    assert whole["rows"][1]["trials"] == [1, 2]
    assert whole["rows"][1]["weights"] == [0.25, 0.75]
    for flat, nested in zip(rows, whole["rows"], strict=True):
        for key in ("val_accuracy", "test_accuracy", "test_accuracy_low", "difference_high", "log_loss", "ece"):
            assert float(flat[key]) == nested[key]


def test_a_page_says_by_which_program_it_was_written() -> None:
    written = replace(board(), origin=replace(ORIGIN, page_commit="c0ffee"))
    assert "| This page written at commit | `c0ffee` |" in to_markdown(written)
    assert json.loads(to_json(written))["origin"]["page_commit"] == "c0ffee"


def test_json_is_strict_and_round_trips() -> None:
    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is no JSON")

    unknown = replace(MIX, cost=replace(COST, inference_ms=float("nan")))
    whole = json.loads(to_json(board(unknown)), parse_constant=refuse)
    assert whole["rows"][0]["inference_ms"] is None
    assert whole["origin"]["versions"] == {"torch": "2.11.0", "numpy": "2.4.0"}
    assert whole["origin"]["commands"] == list(ORIGIN.commands)
    assert whole["winner"]["confusion"] == [[2, 1, 0], [0, 1, 1], [0, 0, 1]]
    assert whole["winner"]["support"] == [3, 2, 1]
    assert whole["study"]["states"] == {"running": 0, "complete": 3, "pruned": 1, "failed": 4}
    assert whole["study"]["failures"][0] == ["out of memory at batch 512", 2]
    assert {column["key"] for column in whole["columns"]} <= set(whole["rows"][0])


# The recommended entrant ----------------------------------------------------------------------------------------------

SINGLES = [BEST_ON_VAL, BEST_ON_TEST, VAGUER, LAST]
MIXED = replace(MIX, method="soft_voting", contributions=(0.0312, -0.004))
FOUND = Recommendation("soft voting, top 2", "log_loss", 0.4321, "vgg tuned", Estimate(0.0021, -0.0004, 0.0047))


def advised(found: Recommendation = FOUND) -> Leaderboard:
    board = make_board(
        [*SINGLES, MIXED],
        LABELS_VAL,
        LABELS_TEST,
        CLASSES,
        TRIALS,
        ORIGIN,
        singles=SINGLES,
        recommendation=found,
        sizes=[SizeScore("soft voting of the best", 2, 2, Estimate(0.875, 0.5, 0.99), Estimate(0.75, 0.3, 0.95))],
    )
    return replace(board, scored=7)


def test_the_recommended_entrant_is_the_winner_whatever_its_rank() -> None:
    found = advised()
    assert found.winner.name == "soft voting, top 2"
    assert names(found)[0] == "cnn tuned"
    assert found.recommended.entrant.name == "soft voting, top 2"


def test_what_it_says_is_said_in_words() -> None:
    page = to_markdown(advised())
    for piece in (
        "**soft voting, top 2** is recommended; on test it is right on 66.67 %",
        "- Recommended: **soft voting, top 2**, the least on validation: 0.4321 nats of cross-fitted log loss.",
        "- The smallest that validation does not tell from it: **vgg tuned** (+0.0021 (−0.0004 to +0.0047) nats",
        "- cnn tuned is the first of the search's 4 single models.",
        "- Test has been scored for 7 different sets of predictions in this study, so far.",
        "## Inside soft voting, top 2",
        "| soft voting of the best | 2 | 2 | 87.50 | 75.00 |",
    ):
        assert piece in page


def test_that_nothing_smaller_is_as_good_is_said_too() -> None:
    alone = advised(replace(FOUND, smallest=FOUND.name, difference=Estimate(0, 0, 0)))
    assert "- Every smaller entrant is worse on validation (paired 95 % intervals, not corrected" in to_markdown(alone)
    for found, smallest in (
        (advised(), "the smallest that validation does not tell from it: vgg tuned"),
        (alone, "validation tells all smaller ones from it"),
    ):
        console = Console(file=io.StringIO(), width=200)
        console.print(to_rich(found))
        assert f"Recommended: soft voting, top 2; {smallest}." in console.file.getvalue()  # type: ignore[attr-defined]


def test_members_are_compared_by_hand() -> None:
    # Validation: 1 says 0 0 1 2 and is right, 2 says 0 0 1 1: they disagree on one of four images.
    inside = advised().members
    assert inside is not None
    assert (inside.numbers, inside.families, inside.weights) == ((1, 2), ("cnn", "vgg"), (0.25, 0.75))
    assert inside.accuracies == (1.0, 0.75)
    assert inside.disagreement.tolist() == [[0, 0.25], [0.25, 0]]
    assert "| trial 1 | cnn | 25 | 100.00 | 25.00 | 0.00 | +0.0312 |" in to_markdown(advised())
    assert "| trial 2 | vgg | 75 | 75.00 | 25.00 | 0.00 | −0.0040 |" in to_markdown(advised())


def test_differences_are_from_the_single_model_that_validation_prefers() -> None:
    # It is right on 4 of 6 test images, vgg tuned on all: two that it alone has right, none the other way.
    rows = {row.entrant.name: row.versus_single for row in advised().rows}
    assert (rows["vgg tuned"].difference.value, rows["vgg tuned"].first_only, rows["vgg tuned"].second_only) == (
        pytest.approx(2 / 6),
        2,
        0,
    )
    assert rows["vgg tuned"].p_value == 0.5
    assert rows["cnn tuned"].difference == Estimate(0, 0, 0)


def test_few_images_tell_nothing_apart() -> None:
    assert {row.group for row in advised().rows} == {"a"}


def test_temperature_comes_from_validation_and_is_applied_to_test() -> None:
    # cnn tuned is right on all of validation: it is sharpened, and test's errors cost more than before.
    row = next(row for row in advised().rows if row.entrant.name == "cnn tuned")
    assert 0.1 < row.temperature < 1
    assert row.calibrated.log_loss > row.test.log_loss
    assert row.calibrated.accuracy == row.test.accuracy


def test_a_single_model_of_the_same_cost_is_the_best_that_there_is() -> None:
    large = replace(VAGUER, name="large", cost=replace(COST, macs=MIX.cost.macs, train_seconds=1.0))
    small = replace(BEST_ON_VAL, name="small", cost=replace(COST, macs=COST.macs // 100, train_seconds=1.0))
    assert peer_of(MIX, [small, large], LABELS_VAL) == large
    assert peer_of(MIX, [small], LABELS_VAL) is None
    assert peer_of(BEST_ON_VAL, [small, large], LABELS_VAL) is None


def test_it_is_none_of_the_ensembles_own_members_and_no_half_of_it() -> None:
    alike = Entrant(
        "two seeds", "ensemble", "cnn", (1, 2), (0.5, 0.5), MIX.val, MIX.test, COST + COST, method="soft_voting"
    )  # fmt: skip
    found = Recommendation(alike.name, "log_loss", 0.4, alike.name, Estimate(0, 0, 0))
    other = replace(VAGUER, cost=COST)
    dear = replace(BEST_ON_VAL, cost=COST + COST)

    def peer(*singles: Entrant) -> str | None:
        made = make_board(
            [BEST_ON_VAL, alike], LABELS_VAL, LABELS_TEST, CLASSES, TRIALS, ORIGIN,
            singles=singles, recommendation=found,
        )  # fmt: skip
        return None if made.peer is None else made.peer.name

    assert peer(BEST_ON_VAL, BEST_ON_TEST, other) is None
    assert peer(dear, BEST_ON_TEST, other) is None, "it is a member"
    assert peer(BEST_ON_VAL, BEST_ON_TEST, replace(other, cost=COST + COST)) == other.name


def test_it_may_be_a_model_that_was_trained_again_for_longer() -> None:
    cost = replace(COST, train_seconds=2.4 * COST.train_seconds)
    longer = replace(VAGUER, name="cnn, trial 1, 2 seeds", kind="confirmed", cost=cost)
    found = Recommendation(MIX.name, "log_loss", 0.4, MIX.name, Estimate(0, 0, 0))
    made = make_board(
        [BEST_ON_VAL, MIX, replace(MIX, name="other"), longer], LABELS_VAL, LABELS_TEST, CLASSES, TRIALS, ORIGIN,
        singles=[replace(BEST_ON_VAL, cost=replace(COST, macs=1, train_seconds=1.0))], recommendation=found,
    )  # fmt: skip
    assert made.peer == Peer(longer.name, pytest.approx(1.2), pytest.approx(longer.cost.macs / MIX.cost.macs))


def test_how_much_the_same_cost_is_stands_beside_it() -> None:
    peer = Peer("vgg, trial 9", 0.15, 1.27)
    page = to_markdown(replace(advised(), peer=peer))
    assert "**vgg, trial 9**, with 0.150 times the seconds of training and 1.27 times the MACs" in page
    told = json.loads(to_json(replace(advised(), peer=peer)))["same_cost_single"]
    assert told == {"name": "vgg, trial 9", "train_share": 0.15, "macs_share": 1.27}


def test_an_ensemble_of_one_member_is_no_single_model() -> None:
    lone = replace(BEST_ON_VAL, name="weighted voting, top 2", kind="ensemble", method="weighted_voting")
    made = board(lone, replace(BEST_ON_TEST, name="vgg alone"))
    assert [row.entrant.name for row in made.rows] == [lone.name, "vgg alone"]
    assert made.best_single.entrant.name == "vgg alone"
    # 4 of 6 against 6 of 6.
    assert made.rows[0].versus_single.difference.value == pytest.approx(-2 / 6)


def test_figures_are_those_that_there_are_numbers_for(tmp_path: Path) -> None:
    paths = draw(advised(), tmp_path)
    names_drawn = ["accuracy-latency", "effort", "reliability", "confusion", "ensemble-size", "disagreement"]
    assert paths == [tmp_path / "pets" / f"{name}{suffix}" for name in names_drawn for suffix in (".png", ".svg")]
    assert all(path.stat().st_size > 1000 for path in paths)
    page = to_markdown(advised())
    assert [f"(pets/{name}.png)" in page for name in names_drawn] == [True] * 6
    always = ["effort", "reliability", "confusion"]
    assert [picture.name for picture in pictures_of(board())] == ["accuracy-latency", *always]
    untimed = replace(BEST_ON_VAL, cost=replace(COST, inference_ms=0.0))
    assert [picture.name for picture in pictures_of(board(untimed))] == always


def test_figures_of_the_search_need_times_and_reports(tmp_path: Path) -> None:
    noon = datetime(2026, 1, 1, 12)

    def drawn(*trials: TrialRecord) -> list[str]:
        found = make_board([BEST_ON_VAL], LABELS_VAL, LABELS_TEST, CLASSES, trials, ORIGIN)
        return [
            picture.name for picture in pictures_of(found) if picture.name in ("search-progress", "training-curves")
        ]

    complete, pruned = TRIALS[0], TRIALS[3]
    assert drawn(complete, pruned) == []
    assert drawn(replace(complete, started=noon), pruned) == ["search-progress"]
    # No best so far without a score, and no curve through one report.
    assert drawn(complete, replace(pruned, started=noon, reports=((1, 0.5),))) == []
    assert drawn(complete, replace(pruned, reports=((1, 0.5), (2, 0.6)))) == ["training-curves"]
    whole = [replace(one, started=noon, reports=((1, 0.2), (2, 0.3))) for one in TRIALS]
    searched = make_board([BEST_ON_VAL], LABELS_VAL, LABELS_TEST, CLASSES, whole, ORIGIN)
    assert searched.trials == tuple(whole)
    paths = [path.name for path in draw(searched, tmp_path)]
    assert {"search-progress.png", "search-progress.svg", "training-curves.png", "training-curves.svg"} <= set(paths)
    assert "(pets/search-progress.png)" in to_markdown(searched)
    assert "(pets/training-curves.png)" in to_markdown(searched)


# What accuracy depends on ---------------------------------------------------------------------------------------------

RATE = ParameterImportance("sgd.lr", 0.61, True, (), (0.1, 0.2), (0.5, 0.75))
WIDTH = ParameterImportance("width", 0.08, False, (16, 32), (16, 32), (0.5, 0.75))
IMPORTANCES = [
    FamilyImportance("cnn", 21, (RATE, WIDTH), 0.34, ("adamw.lr",)),
    FamilyImportance("vgg", 3, left_out="fewer than 10 complete trials"),
]


def explained(importances: list[FamilyImportance]) -> Leaderboard:
    return make_board([BEST_ON_VAL], LABELS_VAL, LABELS_TEST, CLASSES, TRIALS, ORIGIN, importances=importances)


def test_importances_are_told_beside_chance() -> None:
    page = to_markdown(explained(IMPORTANCES))
    for piece in (
        "## What accuracy depends on",
        "| Family | Complete trials | Parameters, with the share they explain | By chance % |",
        "| cnn | 21 | sgd.lr (61 %), width (8 %); 1 in too few trials | 34 |",
        "| vgg | 3 | fewer than 10 complete trials | – |",
        "(fANOVA, Hutter et al. 2014)",
    ):
        assert piece in page
    assert "What accuracy depends on" not in to_markdown(board())


def test_json_carries_importances() -> None:
    assert json.loads(to_json(explained(IMPORTANCES)))["importances"] == {
        "cnn": {
            "complete_trials": 21,
            "shares": {"sgd.lr": 0.61, "width": 0.08},
            "chance": 0.34,
            "unassessed": ["adamw.lr"],
            "left_out": None,
        },
        "vgg": {
            "complete_trials": 3,
            "shares": {},
            "chance": 0.0,
            "unassessed": [],
            "left_out": "fewer than 10 complete trials",
        },
    }
    assert json.loads(to_json(board()))["importances"] == {}


def test_importances_are_drawn_where_there_are_some(tmp_path: Path) -> None:
    names_drawn = [picture.name for picture in pictures_of(explained(IMPORTANCES))]
    assert names_drawn == ["accuracy-latency", "effort", "importances", "slices", "reliability", "confusion"]
    assert {"importances.svg", "slices.svg"} <= {path.name for path in draw(explained(IMPORTANCES), tmp_path)}
    assert "importances" not in [picture.name for picture in pictures_of(explained(IMPORTANCES[1:]))]


def test_json_carries_what_was_found() -> None:
    whole = json.loads(to_json(advised()))
    assert whole["recommendation"]["name"] == "soft voting, top 2"
    assert whole["recommendation"]["difference"]["low"] == -0.0004
    assert whole["chosen_single"]["among"] == 4
    assert whole["test_scored"] == 7
    assert whole["sizes"][0]["members"] == 2


# The terminal ---------------------------------------------------------------------------------------------------------


def printed(width: int) -> str:
    console = Console(width=width, file=io.StringIO(), color_system=None)
    console.print(to_rich(board(replace(BEST_ON_VAL, name="cnn [red]tuned"), VAGUER, LAST)))
    return console.file.getvalue()


def test_terminal_shows_rows_in_order_with_notes() -> None:
    text = printed(140)
    assert "cnn [red]tuned" in text
    assert text.index("cnn [red]tuned") < text.index("resnet tuned") < text.index("vgg default")
    assert "66.67 (30.00–90.32)" in text
    assert "Members" in text
    assert "8 trials (3 complete, 1 pruned, 4 failed), 13 min 20 s" in text
    assert "2 failed: out of memory at batch 512" in text


@pytest.mark.parametrize("width", [60, 80, 100])
def test_narrow_terminal_loses_columns_not_digits(width: int) -> None:
    text = printed(width)
    assert "Members" not in text
    assert "66.67 (30.00–90.32)" in text
    assert max(len(line) for line in text.splitlines()) <= width


def test_write_makes_three_files_and_leaves_no_drafts(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "results"
    paths = write(board(), folder)
    assert paths == [folder / "pets.md", folder / "pets.csv", folder / "pets.json"]
    assert sorted(folder.iterdir()) == sorted(paths)
    texts = [to_markdown(board()), to_csv(board()), to_json(board())]
    assert [path.read_bytes().decode() for path in paths] == texts


def test_write_again_replaces(tmp_path: Path) -> None:
    first = [path.read_text() for path in write(board(), tmp_path)]
    second = [path.read_text() for path in write(board(LAST), tmp_path)]
    assert all(before != after for before, after in zip(first, second, strict=True))
    assert len(list(tmp_path.iterdir())) == 3


def test_failed_write_keeps_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = [path.read_text() for path in write(board(), tmp_path)]
    original = Path.write_bytes

    def full(self: Path, data: bytes) -> int:
        if ".json" in self.name:
            raise OSError(28, os.strerror(28))
        return original(self, data)

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(BenchError, match="No space left on device"):
        write(board(LAST), tmp_path)
    assert [(tmp_path / f"pets{suffix}").read_text() for suffix in (".md", ".csv", ".json")] == before
    assert len(list(tmp_path.iterdir())) == 3


def test_folder_that_cannot_be_made_is_a_plain_error(tmp_path: Path) -> None:
    (tmp_path / "results").write_text("a file in the way")
    with pytest.raises(BenchError, match="cannot write the leaderboard into"):
        write(board(), tmp_path / "results")


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="permissions do not bind this user")
def test_read_only_folder_is_a_plain_error(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(BenchError, match="Permission denied"):
        write(board(), tmp_path)


@pytest.mark.parametrize("study", ["../pets", "a/b"])
def test_study_name_with_a_path_writes_nothing(study: str, tmp_path: Path) -> None:
    with pytest.raises(BenchError, match="no path in it"):
        write(board(origin=replace(ORIGIN, study=study)), tmp_path / "results")
    assert not list(tmp_path.iterdir())
