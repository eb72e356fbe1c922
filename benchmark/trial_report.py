"""One trial as text, table and JSON: what it was, what it cost and how it trained; asks no database, draws nothing."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from rich import box
from rich.table import Table
from rich.text import Text

from benchmark.parameters import grouped
from benchmark.records import Parameters, ProgressRecord, TrialDetails, TrialRecord, TrialState, as_jsonable
from benchmark.wording import count, percent, significant, size

_UNKNOWN = "not known: it is stored when a trial ends"
_HEADINGS = (
    "step",
    "images",
    "train\nloss\nnats",
    "val.\nloss\nnats",
    "train\nacc.\n%",
    "val.\nacc.\n%",
    "learning\nrate",
    "images\nper s",
)


_LEARNED = (
    "reports are of validation rows that it trains on, and say nothing of others; the final score is that of the trial "
    "which it trains again"
)


@dataclass(frozen=True)
class TrialReport:
    """One trial, and where it belongs."""

    study: str
    part: str
    """The study's part that trained it; empty is the search."""
    trial: TrialDetails
    epoch_images: int
    """Images of one pass over the training rows."""
    changes: tuple[str, ...] = ()
    """What is otherwise than in the trial that it confirms, as `parameters.differences` names it."""

    @property
    def subject(self) -> str:
        """What a title says was studied."""
        return f"{self.study}, {self.part}" if self.part else self.study

    @property
    def file_name(self) -> str:
        """Of its figure, in the study's folder, without a suffix."""
        name = f"trial-{self.trial.record.number}"
        return f"{name}-of-{self.part}" if self.part else name


def to_lines(report: TrialReport) -> list[str]:
    """Everything but the curve, a line for each fact; of an error with Python's traceback at the end."""
    trial, record = report.trial, report.trial.record
    facts = [
        ("state", _state(record)),
        ("family", f"{record.family}, the expert's default" if record.is_default else record.family),
        *((group, _named(members)) for group, members in grouped(record.parameters).items()),
        ("budget", _budget(report)),
        ("time", _time(record)),
        ("cost", _cost(record)),
        ("memory", _memory(trial)),
        ("seed", "unknown" if trial.seed is None else str(trial.seed)),
        ("device", record.device or "unknown"),
    ]
    if trial.trained_on != "train":
        facts.append(("trained on", f"{trial.trained_on}: {_LEARNED}"))
    if record.confirms is not None:
        facts.append(("confirms", ", ".join([f"trial {record.confirms} of the search", *report.changes])))
    if record.continues is not None:
        facts.append(("continues", f"trial {record.continues}, which was interrupted"))
    lines = [f"trial {record.number} of {report.subject}", *(f"{name:<14}{told}" for name, told in facts)]
    return lines if trial.traceback is None else [*lines, "", *trial.traceback.rstrip().splitlines()]


def to_table(trial: TrialDetails) -> Table:
    """Its curve, a row for each report; of a trial without one, accuracies alone. The best report is bold."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in _HEADINGS:
        table.add_column(heading, justify="right", no_wrap=True)
    for report in trial.curve:
        table.add_row(*_cells(report), style="bold" if report.step == trial.best_step else "")
    if not trial.curve:
        for step, accuracy in trial.record.reports:
            table.add_row(str(step), "–", "–", "–", "–", percent(accuracy), "–", "–")
    return table


def to_json(report: TrialReport, figures: list[str]) -> str:
    """All of it as strict JSON; `figures` are the paths of its picture."""
    trial, record = report.trial, report.trial.record
    whole: dict[str, Any] = {
        "study": report.study,
        "part": report.part,
        **as_jsonable(record),
        "started": None if record.started is None else record.started.isoformat(),
        "parameters": grouped(record.parameters),
        "changes": list(report.changes),
        "images_seen": trial.images_seen,
        "epoch_images": report.epoch_images,
        "best_step": trial.best_step,
        "seed": trial.seed,
        "accumulation": trial.accumulation,
        "traceback": trial.traceback,
        "trained_on": trial.trained_on,
        "curve": as_jsonable(trial.curve),
        "figures": figures,
    }
    return json.dumps(whole, indent=2, ensure_ascii=False, allow_nan=False)


def _state(record: TrialRecord) -> str:
    if record.state is TrialState.COMPLETE:
        return f"complete: {percent(record.val_accuracy)} % of validation right"
    if record.state is TrialState.FAILED:
        again = ", and may be continued" if record.interrupted else ""
        return f"failed: {record.reason or 'no reason recorded'}{again}"
    return str(record.state)


def _named(members: Parameters) -> str:
    return ", ".join(
        f"{name} {value:.4g}" if isinstance(value, float) else f"{name} {value}" for name, value in members.items()
    )


def _budget(report: TrialReport) -> str:
    if report.trial.record.state is TrialState.RUNNING:
        return _UNKNOWN
    seen, bought, epoch = report.trial.images_seen, report.trial.record.images, report.epoch_images
    whole = "" if bought is None else f" of {bought:,}"
    return f"{seen:,}{whole} images seen; {seen / epoch:.2f} passes over {epoch:,}"


def _time(record: TrialRecord) -> str:
    if record.state is TrialState.RUNNING:
        return _UNKNOWN
    inside = (
        f"{significant(record.train_seconds)} s in training steps and "
        f"{significant(record.evaluation_seconds)} s in evaluation"
    )
    waited = record.preparing_seconds
    kernels = f"; {significant(waited)} s until the GPU's kernels were there" if waited else ""
    if record.continues is None:
        return f"{significant(record.seconds)} s, of it {inside}{kernels}"
    return f"{significant(record.seconds)} s{kernels}; with those of trial {record.continues}, {inside}"


def _cost(record: TrialRecord) -> str:
    if (cost := record.cost) is None:
        return "not measured: only complete trials are"
    told = [
        f"{count(cost.parameters)} parameters",
        f"{count(cost.macs)} MACs",
        f"{significant(cost.inference_ms)} ms/image",
    ]
    told += [] if cost.latency_ms is None else [f"{significant(cost.latency_ms)} ms for one image alone"]
    return ", ".join(told)


def _memory(trial: TrialDetails) -> str:
    peak = trial.record.peak_memory_bytes
    told = "unknown" if peak is None else f"{size(peak)} at the most in training"
    if trial.accumulation == 1:
        return told
    return f"{told}; it was short: batches passed the network in {trial.accumulation} parts"


def _cells(report: ProgressRecord) -> list[Text]:
    # Text: rich reads no markup in it, and the style of the row holds.
    return [
        Text(told)
        for told in (
            str(report.step),
            f"{report.images_seen:,}",
            f"{report.train_loss:.4f}",
            f"{report.val_loss:.4f}",
            percent(report.train_accuracy),
            percent(report.val_accuracy),
            f"{report.learning_rate:.4g}",
            significant(report.images_per_second),
        )
    ]
