"""Mean corruption accuracies as facts of a study; computes none, and hands none to what decides."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from benchmark.metrics import Estimate
from benchmark.records import Entrant, as_jsonable
from benchmark.robustness.report import CorruptionReport
from benchmark.store import StudyStore, retried

_FACT = "corruption_accuracies"


@retried
def note_accuracies(store: StudyStore, entrants: Sequence[Entrant], report: CorruptionReport) -> None:
    """Store each entrant's mean corruption accuracy, beside those that were measured on the very same images."""
    found = {
        # An ensemble that is built again under its name does not inherit the number of the one before.
        entrant.name: {"predictions": entrant.test.digest, "mean": as_jsonable(scores.mean)}
        for entrant, scores in zip(entrants, report.scores, strict=True)
    }
    digest, rows = report.origin.images_digest, report.origin.rows
    with store.exclusive():
        stored: dict[str, Any] = dict(store.fact(_FACT) or {})
        before = stored.pop(digest, {"accuracies": {}})["accuracies"]
        # Taken out and put back, it is the last.
        store.set_fact(_FACT, {**stored, digest: {"rows": rows, "accuracies": {**before, **found}}})


def stored_accuracies(store: StudyStore, entrants: Iterable[Entrant]) -> dict[str, Estimate]:
    """Mean corruption accuracy by entrant's name, of those for which it was measured with the predictions they have.

    All of them are on the same corrupted images, since others do not compare: on the most that were taken, and of as
    many on those that were taken last.
    """
    known = _shown(store)["accuracies"]
    return {
        entrant.name: Estimate(**known[entrant.name]["mean"])
        for entrant in entrants
        if entrant.name in known and known[entrant.name]["predictions"] == entrant.test.digest
    }


def corrupted_images(store: StudyStore) -> int:
    """How many test images `stored_accuracies` are of; 0 where none were measured."""
    return int(_shown(store)["rows"])


def _shown(store: StudyStore) -> Mapping[str, Any]:
    stored: Mapping[str, Any] = store.fact(_FACT) or {}
    measured = reversed(list(stored.values()))
    return max(measured, key=lambda one: int(one["rows"]), default={"rows": 0, "accuracies": {}})
