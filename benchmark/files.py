"""Result files in a folder, each replaced whole or not at all; knows nothing of what is in them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from benchmark.errors import BenchError


def replace_files(contents: Mapping[Path, bytes], what: str) -> list[Path]:
    """Write the files of one folder, made where missing, and none before all are on disk; their paths.

    Raises BenchError where the folder cannot be written; the message calls the files `what`.
    """
    folder = next(iter(contents)).parent
    drafts = {path: folder / f".{path.name}.{os.getpid()}.tmp" for path in contents}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for path, draft in drafts.items():
            draft.write_bytes(contents[path])
        for path, draft in drafts.items():
            draft.replace(path)
    except OSError as error:
        reason = error.strerror or str(error)
        raise BenchError(f"cannot write {what} into {folder}: {reason}; name a folder that can be written") from error
    finally:
        for draft in drafts.values():
            # Where the folder refuses, the error that matters is already on its way.
            with suppress(OSError):
                draft.unlink(missing_ok=True)
    return list(contents)
