"""Worker processes: a child that trains one trial after another and keeps its warm state; knows no Optuna and no SQL.

The parent (see `search`) owns the database. The child says Ready; it is sent a Job and answers Planned, then a
ProgressRecord per report, each of which is answered with True (go on) or False (stop), with Saved after some of them,
then Finished or Failed, and Ready again; Noted may come in between. A child holds nothing that is not lost without
harm, so it may be killed at any moment.
"""

from benchmark.workers.child import load_data
from benchmark.workers.launch import Child, devices, memory_limit, runs_mps, start_child, warm_up, worker_setups
from benchmark.workers.messages import (
    Answer,
    CheckpointPlan,
    Failed,
    FailureKind,
    Finished,
    Job,
    Noted,
    Planned,
    Ready,
    Saved,
    WorkerSetup,
)

__all__ = [
    "Answer",
    "CheckpointPlan",
    "Child",
    "Failed",
    "FailureKind",
    "Finished",
    "Job",
    "Noted",
    "Planned",
    "Ready",
    "Saved",
    "WorkerSetup",
    "devices",
    "load_data",
    "memory_limit",
    "runs_mps",
    "start_child",
    "warm_up",
    "worker_setups",
]
