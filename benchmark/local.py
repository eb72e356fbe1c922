"""A search with workers of this machine, followed on a console; opens no study and knows no command."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from benchmark.definition import StudySpec
from benchmark.display import SearchDisplay
from benchmark.records import RunPlan, count_done
from benchmark.search import Ending, Search, SearchLimits
from benchmark.space import Space
from benchmark.store import StudyStore
from benchmark.study import place_of_files
from benchmark.wording import plural
from benchmark.workers import worker_setups


def search_here(
    spec: StudySpec,
    store: StudyStore,
    devices: Sequence[str],
    console: Console,
    *,
    workers: int | None = None,
    total: int | None = None,
    timeout: float | None = None,
    data: Path | None = None,
    plan: RunPlan | None = None,
) -> Ending:
    """Search, or train what was planned, until `total` trials are done or `timeout` seconds are over; why it ended.

    `workers` None is one per GPU, up to four under MPS, or one per core; `total` None the study's own number. Raises
    BenchError.
    """
    setups = worker_setups(devices, workers, spec, data, trains_on_val=plan is not None and plan.trains_on_val)
    before, wanted = store.trials(), total or int(store.fact("trials"))
    names = f"{plural(len(setups), 'worker')} on {', '.join(devices)}"
    told = store.location.key
    console.print(f"study {told}: {count_done(before)} of {wanted} trials done; {names}", soft_wrap=True)
    with SearchDisplay(console, told, before, wanted, timeout) as display:
        search = Search(store, Space(spec), setups, place_of_files(store), display, plan)
        return search.run(SearchLimits(total, timeout))
