"""Columns: keys, directions, and how numbers read."""

import json

import numpy as np
import pytest

from benchmark.columns import COLUMNS, Row, Section, columns_named, columns_of
from benchmark.comparisons import Comparison
from benchmark.errors import UnknownNameError
from benchmark.metrics import Estimate, score
from benchmark.records import Cost, Entrant, Predictions, Split

LOG_PROBS = np.log(np.array([[0.7, 0.3], [0.6, 0.4], [0.2, 0.8], [0.9, 0.1]], np.float32))


def row(inference_ms: float = 0.25) -> Row:
    entrant = Entrant(
        "pair", "ensemble", "ensemble", (4, 9), (0.5, 0.5),
        Predictions(Split.VAL, LOG_PROBS), Predictions(Split.TEST, LOG_PROBS),
        Cost(1_970_000, 118_000_000, 104.26, inference_ms),
    )  # fmt: skip
    right, wrong = score(LOG_PROBS, np.array([0, 0, 1, 0])), score(LOG_PROBS, np.array([0, 0, 1, 1]))
    return Row(entrant, right, wrong, wrong, 1.25, "b", Comparison(Estimate(0.0127, 0.0083, 0.017), 0.00012, 31, 12))


def test_keys_are_distinct_and_every_column_explains_itself() -> None:
    keys = [key for column in COLUMNS for key in column.plain(row())]
    assert len(keys) == len(set(keys))
    assert "rank" not in keys
    assert all(column.title and column.help for column in COLUMNS)


def test_arrow_marks_exactly_the_columns_where_lower_is_better() -> None:
    lower = {column.key for column in COLUMNS if "↓" in column.heading()}
    costs = {"parameters", "macs", "train_seconds", "inference_ms", "latency_ms", "peak_memory_bytes"}
    assert lower == {"log_loss", "log_loss_calibrated", "brier", "ece", "ece_calibrated"} | costs


def test_heading_carries_the_unit() -> None:
    headings = {column.key: column.heading() for column in COLUMNS}
    assert headings["inference_ms"] == "Inference ↓ ms/image"
    assert headings["test_accuracy"] == "Test acc. % (95 % interval)"
    assert headings["members"] == "Members"


def test_cells_of_a_row() -> None:
    texts = {column.key: column.text(row()) for column in COLUMNS}
    assert texts["val_accuracy"] == "100.00"
    # Wilson interval of 3 in 4 by hand: centre (0.75 + 3.8415 / 8) / 1.96036 = 0.62748, half-width 0.32689.
    assert texts["test_accuracy"] == "75.00 (30.06–95.44)"
    assert texts["log_loss"] == f"{-np.log([0.7, 0.6, 0.8, 0.1]).mean():.3f}"
    assert texts["parameters"] == "1.97 M"
    assert texts["macs"] == "118 M"
    assert texts["train_seconds"] == "104"
    assert texts["inference_ms"] == "0.250"
    assert texts["members"] == "2"
    assert texts["group"] == "b"
    assert texts["difference"] == "+1.27 (+0.83 to +1.70)"
    assert texts["p_value"] == "0.0001"
    assert texts["gap"] == "+25.00"
    assert texts["temperature"] == "1.25"
    assert texts["latency_ms"] == "–"
    assert texts["seeds"] == "1"
    assert texts["corruption_accuracy"] == "–"


def test_every_column_is_in_one_table_and_each_table_names_its_rows() -> None:
    tables = [columns_of(section) for section in Section]
    assert all(table[0].key == "name" for table in tables)
    assert sorted(column.key for table in tables for column in table[1:]) == sorted(
        column.key for column in COLUMNS if column.key != "name"
    )


def test_columns_are_chosen_by_key_and_order() -> None:
    assert [column.key for column in columns_named(["ece", "name", "ece"])] == ["ece", "name"]
    with pytest.raises(UnknownNameError, match="did you mean 'test_accuracy'"):
        columns_named(["test_acuracy"])


def test_plain_cells_are_unrounded_and_strict_json() -> None:
    cells = {key: value for column in COLUMNS for key, value in column.plain(row()).items()}
    assert cells["test_accuracy"] == 0.75
    assert cells["test_accuracy_low"] < 0.75 < cells["test_accuracy_high"]
    assert cells["train_seconds"] == 104.26
    assert [cells[key] for key in ("difference", "difference_low", "difference_high")] == [0.0127, 0.0083, 0.017]
    assert json.loads(json.dumps(cells, allow_nan=False)) == cells


def test_not_finite_cost_is_a_gap_not_a_number() -> None:
    cells = {key: value for column in COLUMNS for key, value in column.plain(row(float("nan"))).items()}
    texts = {column.key: column.text(row(float("nan"))) for column in COLUMNS}
    assert cells["inference_ms"] is None
    assert texts["inference_ms"] == "–"
