"""A study's database: Optuna's tables and our own beside them; the only place with SQL, and it imports no torch.

A `StudyStore` is opened by `open_study` (existing, for reading or continuing) or `create_study` (for searching). Those
that run trials work with its `queue`, those that keep files with its `files`.
"""

from benchmark.store.connection import storage_trouble
from benchmark.store.files import Checkpoint, FileRow, FileTable
from benchmark.store.location import StudyLocation, visible_url
from benchmark.store.queue import Claim, NoTrial, TrialQueue
from benchmark.store.retrying import impatiently, retried
from benchmark.store.study_store import StudyStore, create_study, open_study

__all__ = [
    "Checkpoint",
    "Claim",
    "FileRow",
    "FileTable",
    "NoTrial",
    "StudyLocation",
    "StudyStore",
    "TrialQueue",
    "create_study",
    "impatiently",
    "open_study",
    "retried",
    "storage_trouble",
    "visible_url",
]
