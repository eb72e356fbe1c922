"""Confirmation: the finalists of a search trained again with other seeds; plans and reads runs, trains none itself.

The runs are a part of the study with trials of its own, in the same database, so that they are claimed, leased,
resumed and verified as trials of a search are. How much of a search's result is the luck of one seed: Bouthillier et
al. 2021, arXiv:2103.03098.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from benchmark.ensemble import ranked
from benchmark.errors import BenchError, UnknownNameError
from benchmark.parameters import differences
from benchmark.records import Budget, Entrant, Parameters, PlannedRun, Predictions, Split, TrialRecord, as_jsonable
from benchmark.seeds import derived_seed
from benchmark.store import StudyStore
from benchmark.wording import plural

CONFIRMED = "confirmed"
TRAIN_ON = ("train", "train+val")

RunsByPart = Mapping[str, Mapping[str, list[Entrant]]]
"""Confirming runs by the study's part that holds them, and within it by the title of their configuration."""


@dataclass(frozen=True)
class ConfirmSpec:
    """What to train again: the `top` best single models by validation, `seeds` runs of each."""

    top: int = 5
    seeds: int = 3
    epochs: float | None = None
    """Budget of a run in passes over the training rows."""
    seconds: float | None = None
    """Budget of a run in seconds of training steps, which are kept to when its speed changes; with neither of the two,
    it is as many images as the trial had."""
    trials: tuple[int, ...] = ()
    """These trials instead of the best."""
    changes: Mapping[int, Parameters] = field(default_factory=dict)
    """By trial, parameters that its runs have otherwise."""
    most_runs: int | None = None
    """No more runs in all: the last seed is then that of the first models only."""
    train_on: str = "train"
    """train, or train+val: every published training row."""
    first: int = 0
    """The number of each model's first run, by which its seed is drawn: those before are trained already."""

    def __post_init__(self) -> None:
        if self.top < 1 or self.seeds < 1 or self.first < 0:
            raise BenchError("a confirmation takes at least one model and one seed")
        if self.train_on not in TRAIN_ON:
            raise UnknownNameError("rows to train on", self.train_on, TRAIN_ON)
        if self.is_longer:
            Budget(self.epochs, self.seconds)

    @property
    def is_longer(self) -> bool:
        """Whether runs have a budget of their own."""
        return self.epochs is not None or self.seconds is not None

    @property
    def part(self) -> str:
        """The part of the study that holds such runs: runs of one budget compare, and are kept together."""
        rows = "" if self.train_on == "train" else self.train_on
        epochs = "" if self.epochs is None else f"{self.epochs:.15g}-epochs"
        seconds = "" if self.seconds is None else f"{self.seconds:.15g}-seconds"
        return "-".join(filter(None, ("confirm", rows, epochs, seconds)))


def plan_runs(store: StudyStore, asked: ConfirmSpec, seed: int) -> list[PlannedRun]:
    """One run of each finalist, the best first, then a second of each, and so on; `seed` is the study's.

    At most `asked.most_runs` of them.

    Raises BenchError where the search has fewer complete trials than are asked for.
    """
    numbers = asked.trials or _best(store, asked.top)
    trials = {trial.number: trial for trial in store.trials()}
    runs = [
        PlannedRun(
            trial=number,
            replicate=replicate,
            seed=derived_seed(seed, f"confirm {number}", replicate),
            parameters={**trials[number].parameters, **asked.changes.get(number, {})},
            images=None if asked.is_longer else trials[number].images,
        )
        for replicate in range(asked.first, asked.first + asked.seeds)
        for number in numbers
    ]
    return runs[: asked.most_runs]


def runs_planned(store: StudyStore, trials: Collection[int]) -> int:
    """How many runs of one of these trials are planned already, in any part of the study: the most of any trial."""
    planned = [run for part in store.parts().values() for run in plan_of(part)]
    return max((run.replicate + 1 for run in planned if run.trial in trials), default=0)


def plan_of(part: StudyStore) -> list[PlannedRun]:
    """The runs that are planned in a part of a study."""
    return [PlannedRun(**one) for one in part.fact("plan") or ()]


def _best(store: StudyStore, count: int) -> tuple[int, ...]:
    singles = store.single_models()
    if not singles:
        raise BenchError(f"study {store.location.name!r} has no complete trial yet: search it first")
    if count > len(singles):
        raise BenchError(f"top {count} asks for more than the {len(singles)} completed trials; lower it")
    return tuple(one.members[0] for one in ranked(singles, store.labels(Split.VAL))[:count])


def val_before(store: StudyStore, runs: Sequence[PlannedRun]) -> dict[int, Predictions]:
    """By trial, what the trials of these runs predicted for validation rows when they were searched."""
    return {number: store.predictions(number, Split.VAL) for number in sorted({run.trial for run in runs})}


def add_to_plan(part: StudyStore, runs: Sequence[PlannedRun]) -> list[PlannedRun]:
    """Store what is to be trained in a part, after what was planned before, and its total; the whole plan."""
    with part.exclusive():
        stored = plan_of(part)
        known = {run.key for run in stored}
        whole = [*stored, *(run for run in runs if run.key not in known)]
        part.set_fact("plan", as_jsonable(whole))
        # Of two processes that plan at once, the last must not count the first one's runs alone.
        part.set_fact("trials", len(whole))
    return whole


def runs_by_part(store: StudyStore) -> RunsByPart:
    """All confirming runs with their predictions, in the order of parts and trials. Reads them all."""
    searched = {trial.number: trial.parameters for trial in store.trials()}
    found = {}
    for name, part in store.parts().items():
        trained = {trial.number: trial for trial in part.trials()}
        found[name] = {
            _title(trial, runs, searched[trial], trained[runs[0].members[0]].parameters): runs
            for trial, runs in sorted(_by_trial(part, trained).items())
        }
    return found


def all_runs(runs: RunsByPart) -> list[Entrant]:
    """Every confirming run, one after the other."""
    return [run for by_title in runs.values() for of_one in by_title.values() for run in of_one]


def confirmed_models(runs: RunsByPart, labels: NDArray[np.int64]) -> list[Entrant]:
    """Every configuration that was trained again, as one entrant: its median run by validation, with all runs' scores.

    `labels` (N,) are those of validation.
    """
    return [
        replace(
            # Of an even number, the better of the two in the middle.
            ranked(of_one, labels)[(len(of_one) - 1) // 2],
            name=title,
            kind=CONFIRMED,
            replicates=tuple(run.test for run in of_one),
        )
        for by_title in runs.values()
        for title, of_one in by_title.items()
    ]


def _by_trial(part: StudyStore, trained: Mapping[int, TrialRecord]) -> dict[int, list[Entrant]]:
    """Complete runs by the trial that they confirm, in order of their numbers."""
    planned = Counter(run.trial for run in plan_of(part))
    runs: defaultdict[int, list[Entrant]] = defaultdict(list)
    for run in part.single_models():
        trial = trained[run.members[0]].confirms
        if trial is not None:
            runs[trial].append(run)
    return {
        trial: [replace(run, state=f"{len(done)} of {planned[trial]} runs") for run in done]
        if len(done) < planned[trial]
        else done
        for trial, done in runs.items()
    }


def _title(trial: int, runs: Sequence[Entrant], searched: Parameters, trained: Parameters) -> str:
    """Which trial, what its runs have otherwise, how many there are and with which budget."""
    family, part = runs[0].family, runs[0].part
    budget = part.removeprefix("confirm").strip("-").replace("-", " ")
    changes = differences(searched, trained, family)
    parts = (family, f"trial {trial}", *changes, plural(len(runs), "seed"), budget)
    return ", ".join(filter(None, parts))
