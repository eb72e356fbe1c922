"""Our own tables beside Optuna's; rows belong to a study by its name, so that studies may share a database."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Float, Integer, LargeBinary, MetaData, String, Table, Text

METADATA = MetaData()

LONGEST_KEY = 100
"""Characters of a study's name with that of its part, which a server's column can hold."""

PREDICTIONS = Table(
    "bench_predictions",
    METADATA,
    Column("study", String(LONGEST_KEY), primary_key=True),
    Column("trial", Integer, primary_key=True),
    Column("split", String(8), primary_key=True),
    Column("classes", Integer, nullable=False),
    Column("digest", String(64), nullable=False),
    Column("log_probs", LargeBinary, nullable=False),
)
"""Log-probabilities of a trial on a split: little-endian float32, row by row; digest is their SHA-256."""

LABELS = Table(
    "bench_labels",
    METADATA,
    Column("study", String(LONGEST_KEY), primary_key=True),
    Column("split", String(8), primary_key=True),
    Column("labels", LargeBinary, nullable=False),
)
"""The true classes of a split's rows: little-endian int64. With them a database is evidence by itself."""

ENTRANTS = Table(
    "bench_entrants",
    METADATA,
    Column("study", String(LONGEST_KEY), primary_key=True),
    Column("name", String(200), primary_key=True),
    Column("record", Text, nullable=False),
    Column("classes", Integer, nullable=False),
    Column("val_log_probs", LargeBinary, nullable=False),
    Column("test_log_probs", LargeBinary, nullable=False),
)
"""Ensembles that were built: everything of an Entrant that is not an array, as JSON, and its predictions."""

LEASES = Table(
    "bench_leases",
    METADATA,
    Column("study", String(LONGEST_KEY), primary_key=True),
    Column("trial", Integer, primary_key=True),
    Column("owner", String(200), nullable=False),
    Column("expires_at", Float, nullable=False),
)
"""Who runs a trial (see owner), and until when (seconds since 1970) that is believed without renewal."""

FILES = Table(
    "bench_files",
    METADATA,
    Column("study", String(LONGEST_KEY), primary_key=True),
    Column("name", String(100), primary_key=True),
    Column("trial", Integer, nullable=False),
    Column("kind", String(12), nullable=False),
    Column("place", Text, nullable=False),
    Column("digest", String(64)),
    Column("bytes", BigInteger),
    Column("record", Text),
)
"""Files of a trial in the artifact store, as records.StoredFile; a row is there before the file, and as long as it.

digest and bytes are NULL until the file is whole. record: what continuing from a checkpoint needs, as JSON.
"""
