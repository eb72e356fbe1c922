"""A study's database: Optuna's tables and our own beside them; the only place with SQL, and it imports no torch.

A `StudyStore` is opened by `open_study` (existing, for reading or continuing) or `create_study` (for searching).
"""

from benchmark.store.connection import StudyLocation, storage_trouble, visible_url
from benchmark.store.study_store import StudyStore, create_study, open_study

__all__ = ["StudyLocation", "StudyStore", "create_study", "open_study", "storage_trouble", "visible_url"]
