"""The columns of a leaderboard, in order: what each shows of a row; knows no table format.

A new column is one more line in `COLUMNS`.
"""

from __future__ import annotations

import enum
import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from benchmark.comparisons import Comparison
from benchmark.errors import UnknownNameError
from benchmark.metrics import UNKNOWN, Estimate, Scores
from benchmark.records import Entrant
from benchmark.wording import (
    count,
    decimals,
    p_value,
    percent,
    percent_with_interval,
    points,
    points_with_interval,
    significant,
    size,
)

Plain = str | int | float | None


@dataclass(frozen=True, eq=False)
class Row:
    """One entrant with its scores; those of validation are out-of-fold where something was fitted on validation."""

    entrant: Entrant
    val: Scores
    test: Scores
    calibrated: Scores
    """Of test, after a temperature that was fitted on validation."""
    temperature: float
    group: str
    """A letter; entrants that share it are not told from the best of them by test."""
    versus_single: Comparison
    """On test, with the single model that is first by validation; no difference where it is that one."""
    over_seeds: tuple[float, ...] = ()
    """Test accuracies of all runs of its configuration; empty where there is only this one."""
    corruption_accuracy: Estimate = UNKNOWN
    """Mean accuracy on corrupted test images."""


class Section(enum.StrEnum):
    """The table of a page that a column belongs to."""

    SHORT = "short"
    SCORES = "scores"
    COSTS = "costs"


@dataclass(frozen=True)
class Column:
    """One column: a value of a row, how to show it, and which direction is better."""

    key: str
    title: str
    help: str
    value: Callable[[Row], Any]
    """A plain value, or an `Estimate`, which files carry as `key`, `key_low` and `key_high`."""
    show: Callable[[Any], str] = str
    unit: str = ""
    higher_is_better: bool | None = None
    """None where neither direction is better."""
    section: Section = Section.SHORT

    def heading(self, separator: str = " ") -> str:
        """Title and unit, with an arrow where lower is better."""
        title = f"{self.title} ↓" if self.higher_is_better is False else self.title
        return f"{title}{separator}{self.unit}" if self.unit else title

    @property
    def is_number(self) -> bool:
        """Whether cells line up at the right."""
        return self.show is not str

    def text(self, row: Row) -> str:
        """The cell as a person reads it."""
        return self.show(self.value(row))

    def plain(self, row: Row) -> dict[str, Plain]:
        """The cell as files carry it, unrounded, by key; a number that is not finite becomes None."""
        value = self.value(row)
        cells = {self.key: value}
        if isinstance(value, Estimate):
            cells = {self.key: value.value, f"{self.key}_low": value.low, f"{self.key}_high": value.high}
        return {
            key: None if isinstance(cell, float) and not math.isfinite(cell) else cell for key, cell in cells.items()
        }

    def is_known(self, rows: Sequence[Row]) -> bool:
        """Whether it is known of any row."""
        return any(self.plain(row)[self.key] is not None for row in rows)


COLUMNS: tuple[Column, ...] = (
    Column("name", "Entrant", "a single model, or an ensemble of several", lambda row: row.entrant.name),
    Column("kind", "Kind", "the expert's default, tuned by search, confirmed with other seeds, or an ensemble",
           lambda row: row.entrant.kind),
    Column("group", "Group", "entrants of one letter are not told from the best of them on test",
           lambda row: row.group),
    Column("val_accuracy", "Val. acc.", "validation accuracy: it ranks the rows; out-of-fold for ensembles",
           lambda row: row.val.accuracy.value, percent, "%", True),
    Column("test_accuracy", "Test acc.", "test accuracy with its 95 % Wilson interval",
           lambda row: row.test.accuracy, percent_with_interval, "% (95 % interval)", True),
    Column("difference", "Beyond best single", "test accuracy minus that of the single model that validation prefers, "
           "with its paired 95 % bootstrap interval, not corrected for the number of rows",
           lambda row: row.versus_single.difference, points_with_interval, "points (95 % interval)", True),
    Column("log_loss_calibrated", "Log loss", "mean negative log-probability of the label on test, in nats, after a "
           "temperature fitted on validation", lambda row: row.calibrated.log_loss, decimals, "", False),
    Column("parameters", "Params", "parameters; for an ensemble the sum over its members",
           lambda row: row.entrant.cost.parameters, count, "", False),
    Column("inference_ms", "Inference", "milliseconds per image when predicting 256 at a time (fewer where test has "
           "fewer, images are large or memory was short), with all views, perhaps while other workers had the machine "
           "as well",
           lambda row: row.entrant.cost.inference_ms, significant, "ms/image", False),
    Column("members", "Members", "how many models vote", lambda row: len(row.entrant.members), count),
    Column("family", "Family", "the architecture's family", lambda row: row.entrant.family, section=Section.SCORES),
    Column("trained_on", "Trained on", "train, or train+val: validation numbers are then those of the trials that "
           "it trains again", lambda row: row.entrant.trained_on, section=Section.SCORES),
    Column("macro_precision", "Precision", "mean over classes of precision on test",
           lambda row: row.test.macro_precision, percent, "%", True, Section.SCORES),
    Column("macro_recall", "Recall", "mean over classes of recall on test",
           lambda row: row.test.macro_recall, percent, "%", True, Section.SCORES),
    Column("macro_f1", "F1", "mean over classes of F1 on test",
           lambda row: row.test.macro_f1, percent, "%", True, Section.SCORES),
    Column("state", "State", "complete, or how many of its configuration's planned runs are so far",
           lambda row: row.entrant.state, section=Section.SCORES),
    Column("seeds", "Seeds", "training runs of this configuration with different seeds; the row is the one in the "
           "middle by validation, of an even number the better one there", lambda row: max(1, len(row.over_seeds)),
           count, section=Section.SCORES),
    Column("seeds_mean", "Mean over seeds", "test accuracy, mean over these runs",
           lambda row: statistics.fmean(row.over_seeds) if row.over_seeds else None, percent, "%", True,
           Section.SCORES),
    Column("seeds_sd", "S.d. over seeds", "standard deviation of test accuracy over these runs",
           lambda row: statistics.stdev(row.over_seeds) if len(row.over_seeds) > 1 else None, percent, "%", None,
           Section.SCORES),
    Column("gap", "Val. − test", "validation accuracy minus test accuracy",
           lambda row: row.val.accuracy.value - row.test.accuracy.value, points, "points", None, Section.SCORES),
    Column("p_value", "McNemar's p", "of test, against the single model that validation prefers; not corrected for the "
           "number of rows", lambda row: row.versus_single.p_value, p_value, "", None, Section.SCORES),
    Column("log_loss", "Log loss as it is", "mean negative log-probability of the label on test, in nats",
           lambda row: row.test.log_loss, decimals, "", False, Section.SCORES),
    Column("brier", "Brier", "mean squared error of the probabilities on test, summed over classes, 0 to 2",
           lambda row: row.test.brier, decimals, "", False, Section.SCORES),
    Column("ece", "ECE", "expected calibration error on test, 15 bins of confidence, 0 to 1",
           lambda row: row.test.ece, decimals, "", False, Section.SCORES),
    Column("ece_calibrated", "ECE after temperature", "the same after a temperature fitted on validation",
           lambda row: row.calibrated.ece, decimals, "", False, Section.SCORES),
    Column("temperature", "Temperature", "the one fitted on validation; below 1 it sharpens",
           lambda row: row.temperature, significant, "", None, Section.SCORES),
    Column("corruption_accuracy", "Corruption acc.", "mean accuracy on test images under 15 corruptions at 5 "
           "severities, with its 95 % bootstrap interval; measured by bench evaluate --corruptions, whose page says "
           "on how many images",
           lambda row: row.corruption_accuracy, percent_with_interval, "% (95 % interval)", True, Section.SCORES),
    Column("macs", "MACs", "multiply-accumulates to predict one image, all views included; a sum for an ensemble",
           lambda row: row.entrant.cost.macs, count, "", False, Section.COSTS),
    Column("train_seconds", "Training", "seconds of training, without the search that led to it; a sum for an ensemble",
           lambda row: row.entrant.cost.train_seconds, significant, "s", False, Section.COSTS),
    Column("latency_ms", "Latency", "milliseconds to predict one image alone, with all views, perhaps while other "
           "workers had the machine as well",
           lambda row: row.entrant.cost.latency_ms, significant, "ms", False, Section.COSTS),
    Column("peak_memory_bytes", "Memory", "most memory in training, on a GPU or of the process, with the data and what "
           "the worker keeps for later trials; of the largest member",
           lambda row: row.entrant.cost.peak_memory_bytes, size, "", False, Section.COSTS),
)  # fmt: skip


def columns_of(section: Section, rows: Sequence[Row] | None = None) -> list[Column]:
    """The columns of one table, in order; each table but the short one begins with the name.

    With `rows` those are left out that are known of none of them.
    """
    own = [column for column in COLUMNS if column.section is section and (rows is None or column.is_known(rows))]
    return own if section is Section.SHORT else [COLUMNS[0], *own]


def columns_named(keys: Sequence[str]) -> list[Column]:
    """The columns of these keys, in that order. Raises UnknownNameError."""
    by_key = {column.key: column for column in COLUMNS}
    for key in keys:
        if key not in by_key:
            raise UnknownNameError("column", key, by_key)
    return [by_key[key] for key in dict.fromkeys(keys)]
