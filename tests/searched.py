"""Trials of a search, invented, for tests of what is drawn of them."""

from datetime import datetime, timedelta

from benchmark.records import ProgressRecord, TrialRecord, TrialState

NOON = datetime(2026, 1, 1, 12)


def trial(
    number: int,
    begin: float | None,
    seconds: float,
    accuracy: float | None = None,
    *,
    family: str = "cnn",
    state: TrialState = TrialState.COMPLETE,
    reports: tuple[float, ...] = (),
) -> TrialRecord:
    """A trial that began so many seconds after noon and reported accuracies at steps 1, 2, ..."""
    return TrialRecord(
        number, state, family, False, {}, accuracy, None, None, seconds, "abacus",
        started=None if begin is None else NOON + timedelta(seconds=begin),
        reports=tuple(enumerate(reports, start=1)),
    )  # fmt: skip


def report(step: int, images: int, train_loss: float, val_loss: float, accuracy: float, rate: float) -> ProgressRecord:
    """A report whose times say nothing."""
    return ProgressRecord(step, images, train_loss, val_loss, accuracy, rate, 1.0, 0.5, 1000.0)
