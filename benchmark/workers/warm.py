"""What a worker imports before it is of use, for the server that workers are forked from (see launch).

It starts nothing and touches no device. What fails here is said by the worker, which imports it as well.
"""

from __future__ import annotations

import atexit
import gc
import os
from contextlib import suppress

from benchmark.workers.child import import_what_trials_need

with suppress(Exception):
    import_what_trials_need()

# The server ends when the last of its workers has. Libraries that are taken down in order would have much to say.
atexit.register(os._exit, 0)
# Collecting garbage in a worker writes to every object that it looks through, and what is written is no longer shared.
gc.collect()
gc.freeze()
