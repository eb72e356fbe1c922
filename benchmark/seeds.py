"""Seeds that follow from a study's seed; knows nothing of what they are for."""

from __future__ import annotations

import zlib

import numpy as np


def derived_seed(seed: int, purpose: str, number: int = 0) -> int:
    """A seed in 0..2^31-1 for one purpose and one number, independent of every other (NumPy's SeedSequence)."""
    words = np.random.SeedSequence([seed, zlib.crc32(purpose.encode()), number]).generate_state(1, np.uint32)
    return int(words[0] >> 1)
