"""The columns of a leaderboard, in order: what each shows of a row; knows no table format.

A new column is one more line in `COLUMNS`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from benchmark.metrics import Estimate, Scores
from benchmark.records import Entrant

Plain = str | int | float | None


@dataclass(frozen=True, eq=False)
class Row:
    """One entrant with its scores; those of validation are out-of-fold where something was fitted on validation."""

    entrant: Entrant
    val: Scores
    test: Scores


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
    compact: bool = True
    """Whether it belongs to the short table; the others follow in a second one."""

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
        if isinstance(value, Estimate):
            return {self.key: value.value, f"{self.key}_low": value.low, f"{self.key}_high": value.high}
        return {self.key: None if isinstance(value, float) and not math.isfinite(value) else value}


def percent(share: float) -> str:
    """A share in [0, 1] as a percentage with two decimals, without the sign."""
    return f"{100 * share:.2f}"


def percent_with_interval(estimate: Estimate) -> str:
    """A share and its interval as percentages: `86.10 (85.41–86.76)`."""
    return f"{percent(estimate.value)} ({percent(estimate.low)}–{percent(estimate.high)})"


def decimals(value: float) -> str:
    """Three decimals."""
    return f"{value:.3f}"


def significant(value: float) -> str:
    """Three significant digits, never in exponent form: `0.0123`, `1.20`, `1,234`."""
    if not math.isfinite(value):
        return "–"
    if value == 0:
        return "0"
    # Rounded first: 9.996 has three digits as 10.0, not as 10.00.
    rounded = float(f"{value:.2e}")
    return f"{value:,.{max(0, 2 - math.floor(math.log10(abs(rounded))))}f}"


def count(value: int) -> str:
    """A large count with three significant digits and an SI prefix: `1.97 M`."""
    for size, prefix in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        # 999,999 is 1 M in three digits, not 1,000 k.
        if value >= size * 0.9995:
            return f"{significant(value / size)} {prefix}"
    return str(value)


def size(size_bytes: int | None) -> str:
    """A size in bytes with three significant digits and an SI prefix, `1.97 GB`; a dash where it is not known."""
    if size_bytes is None:
        return "–"
    number, _, prefix = count(size_bytes).partition(" ")
    return f"{number} {prefix}B"


COLUMNS: tuple[Column, ...] = (
    Column("name", "Entrant", "a single model, or an ensemble of several", lambda row: row.entrant.name),
    Column("family", "Family", "the architecture's family", lambda row: row.entrant.family, compact=False),
    Column("kind", "Kind", "the expert's default, tuned by search, or an ensemble", lambda row: row.entrant.kind),
    Column("val_accuracy", "Val. acc.", "validation accuracy: it ranks the rows; out-of-fold for ensembles",
           lambda row: row.val.accuracy.value, percent, "%", True),
    Column("test_accuracy", "Test acc.", "test accuracy with its 95 % Wilson interval",
           lambda row: row.test.accuracy, percent_with_interval, "% (95 % interval)", True),
    Column("macro_precision", "Precision", "mean over classes of precision on test",
           lambda row: row.test.macro_precision, percent, "%", True, compact=False),
    Column("macro_recall", "Recall", "mean over classes of recall on test",
           lambda row: row.test.macro_recall, percent, "%", True, compact=False),
    Column("macro_f1", "F1", "mean over classes of F1 on test",
           lambda row: row.test.macro_f1, percent, "%", True),
    Column("log_loss", "Log loss", "mean negative log-probability of the label on test, in nats",
           lambda row: row.test.log_loss, decimals, "", False),
    Column("brier", "Brier", "mean squared error of the probabilities on test, summed over classes, 0 to 2",
           lambda row: row.test.brier, decimals, "", False, compact=False),
    Column("ece", "ECE", "expected calibration error on test, 15 bins of confidence, 0 to 1",
           lambda row: row.test.ece, decimals, "", False),
    Column("parameters", "Params", "parameters; for an ensemble the sum over its members",
           lambda row: row.entrant.cost.parameters, count, "", False),
    Column("macs", "MACs", "multiply-accumulates to predict one image, all views included; a sum for an ensemble",
           lambda row: row.entrant.cost.macs, count, "", False, compact=False),
    Column("train_seconds", "Training", "seconds of training; a sum for an ensemble",
           lambda row: row.entrant.cost.train_seconds, significant, "s", False, compact=False),
    Column("inference_ms", "Inference", "milliseconds per image when predicting test in batches, with all views",
           lambda row: row.entrant.cost.inference_ms, significant, "ms/image", False),
    Column("peak_memory_bytes", "Memory", "most memory in training, on a GPU or of the process; of the largest member",
           lambda row: row.entrant.cost.peak_memory_bytes, size, "", False, compact=False),
    Column("members", "Members", "how many models vote", lambda row: len(row.entrant.members), count),
)  # fmt: skip
