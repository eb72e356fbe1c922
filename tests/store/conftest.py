"""Fixtures of the store's tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmark.store import StudyLocation, StudyStore, create_study


@pytest.fixture
def store(tmp_path: Path) -> StudyStore:
    """A new study in an SQLite file."""
    return create_study(StudyLocation("mine", tmp_path))
