"""A trial as Optuna stores it, read as our records; asks no database."""

from __future__ import annotations

from optuna.trial import FrozenTrial
from optuna.trial import TrialState as OptunaState

from benchmark.records import Cost, ProgressRecord, TrialDetails, TrialRecord, TrialState
from benchmark.store.queue import CONTINUES, INTERRUPTED, LIVED, PLANNED, VANISHED

_STATES = {
    OptunaState.RUNNING: TrialState.RUNNING,
    OptunaState.WAITING: TrialState.RUNNING,
    OptunaState.COMPLETE: TrialState.COMPLETE,
    OptunaState.PRUNED: TrialState.PRUNED,
    OptunaState.FAIL: TrialState.FAILED,
}


def record_of(trial: FrozenTrial, lived: float | None = None) -> TrialRecord:
    """What most readers want of a trial; its curve is left unread.

    `lived`: of one that still looks running but has lost its process, seconds from its start to the last sign of life.
    """
    facts, state = trial.user_attrs, _STATES[trial.state]
    if lived is not None:
        # As the next claim will say.
        facts, state = {**facts, LIVED: lived, INTERRUPTED: True, "reason": VANISHED}, TrialState.FAILED
    duration = trial.duration.total_seconds() if trial.duration else 0.0
    reported = facts["curve"][-1] if facts.get("curve") else {}
    return TrialRecord(
        number=trial.number,
        state=state,
        family=str(trial.params.get("family", "unknown")),
        is_default=bool(facts.get("default", False)),
        parameters=dict(trial.params),
        val_accuracy=trial.value if state is TrialState.COMPLETE else None,
        cost=Cost(**facts["cost"]) if "cost" in facts else None,
        reason=facts.get("reason"),
        # By clocks of this machine or another, which may have been set meanwhile.
        seconds=max(0.0, facts.get(LIVED, duration)),
        device=str(facts.get("device", "")),
        train_seconds=facts.get("train_seconds", (reported or facts.get("cost") or {}).get("train_seconds", 0.0)),
        evaluation_seconds=facts.get("evaluation_seconds", reported.get("evaluation_seconds", 0.0)),
        preparing_seconds=facts.get("preparing_seconds"),
        peak_memory_bytes=facts.get("peak_memory_bytes", (facts.get("cost") or reported).get("peak_memory_bytes")),
        interrupted=bool(facts.get(INTERRUPTED)),
        continues=facts.get(CONTINUES),
        confirms=facts[PLANNED]["trial"] if PLANNED in facts else None,
        images=facts.get("images"),
        started=trial.datetime_start,
        reports=tuple(sorted(trial.intermediate_values.items())),
    )


def curve_of(trial: FrozenTrial) -> tuple[ProgressRecord, ...]:
    """Its reports in full, as far as they were stored."""
    return tuple(ProgressRecord(**report) for report in trial.user_attrs.get("curve", ()))


def details_of(trial: FrozenTrial, trained_on: str, lived: float | None = None) -> TrialDetails:
    """All that is stored of a trial but its predictions; `trained_on` is said of its whole part of the study.

    `lived`: see record_of.
    """
    facts = trial.user_attrs
    return TrialDetails(
        record=record_of(trial, lived),
        curve=curve_of(trial),
        best_step=facts.get("best_step"),
        seed=facts.get("seed"),
        accumulation=facts.get("accumulation", 1),
        traceback=facts.get("traceback"),
        trained_on=trained_on,
    )
