"""A study's definition: the TOML file that asks the question, checked key by key; runs nothing."""

from __future__ import annotations

import os
import re
import shutil
import tomllib
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields
from importlib import resources
from pathlib import Path
from typing import Any

from benchmark.errors import BenchError, UnknownNameError
from benchmark.records import SMALLEST_SIDE, Budget, Parameters, as_jsonable

SAMPLERS = ("tpe", "random", "gp", "cmaes")
PRUNERS = ("halving", "hyperband", "median", "none")
CHECKPOINTS = ("auto", "always", "never")
_NOT_IDENTITY = ("trials", "keep_weights", "checkpoints", "trial_timeout", "worker_memory")
"""Keys that may change between two calls of the same study: they change no trial's result."""
_PATIENCE_SECONDS, _PATIENCE_FACTOR = 600.0, 10.0
"""A trial with a budget in seconds hangs when it takes so many seconds more than so many times its budget."""
_LEAF_KEYS = {"low", "high", "step", "log"}
_TEMPLATE = """\
# The question of a study. Trials already run depend on every line but those marked *.

dataset = "cifar10"                 # cifar10, digits, or folder: images of your own, by --data PATH
# image_size = 64                   # pixels a side at most, from 8: larger images are shrunk, and a trial sees more
seed = 0                            # every other seed follows from it
families = ["cnn", "resnet", "vgg", "efficientnet"]     # and timm_zoo, for any other timm model
augmentations = ["flip", "crop", "cutout"]              # also rotation, color, mixup; the search turns each on or off
optimizers = ["sgd", "adamw", "muon"]
schedules = ["one_cycle", "cosine", "linear"]
averagings = ["none", "ema", "lookahead"]
precision = "auto"                  # auto, float32 or bfloat16

[split]
val = 5000                          # validation rows out of the training part: a number, or a share such as 0.2
seed = 0

[budget]                            # of one trial
seconds = 45                        # or: epochs = 3.5
adapts = false                      # true: keep to the seconds when the speed changes, and give up exact reruns
reports = 6                         # validation scores per trial
report_share = 0.4                  # share of the validation rows that a report looks at; the final score takes all
patience = 0                        # stop after so many reports without a better one; 0 is off

[search]
trials = 100                        # * in total; bench search --trials overrides it
sampler = "tpe"                     # tpe, random, gp or cmaes
incumbent_share = 0.5               # share of the trials that vary their family's best; the sampler proposes the others
pruner = "halving"                  # halving, hyperband, median or none
prune_after = 0.5                   # share of the budget before which nothing is pruned
family_floor = 0.5                  # share of an equal part of the trials that every family keeps
keep_weights = 20                   # * weights are kept for so many of the best trials
checkpoints = "auto"                # * auto (once a minute), always (after every report) or never
# trial_timeout = 900               # * seconds after which a trial is taken to hang; 0 is never
# worker_memory = 8                 # * GB that a worker may hold on to between two trials before it is replaced

[space]                             # narrow any parameter: a list of values, or low and high
batch_size = [128, 256, 512]
# "resnet.depth" = [8, 14, 20]
# "sgd.lr" = { low = 0.02, high = 1.0 }

# [recipe.resnet]                   # change the family's default trial
# "resnet.depth" = 14
"""


@dataclass(frozen=True)
class SplitSpec:
    """Which training rows are held out for validation."""

    val: int | float = 0.1
    """Validation rows taken out of the training part, a count or a share below 1."""
    seed: int = 0
    """Decides which rows these are."""

    def __post_init__(self) -> None:
        if not self.val > 0:
            raise BenchError("split.val is a number of rows, or a share of them below 1, and more than 0")
        if self.seed < 0:
            raise BenchError("split.seed is at least 0")


@dataclass(frozen=True)
class BudgetSpec:
    """One trial's budget, in epochs or seconds of training, and how often it reports."""

    epochs: float | None = None
    """Passes over the training rows; a trial has either these or seconds."""
    seconds: float | None = None
    """Seconds inside training steps; evaluation comes on top."""
    adapts: bool = False
    """Whether a trial's seconds are kept to when its speed changes; a rerun then is not exactly the same."""
    reports: int = 8
    """Validation scores of one trial; after each it may be pruned."""
    report_share: float = 1.0
    """Share of the validation rows that a report looks at, in (0, 1]; the final score takes all."""
    patience: int = 0
    """A trial ends after so many reports without a better one; 0 is off."""

    def __post_init__(self) -> None:
        _ = self.per_trial
        if self.reports < 1 or self.patience < 0 or not 0 < self.report_share <= 1:
            raise BenchError("budget.reports is at least 1, patience at least 0, and report_share above 0, at most 1")

    @property
    def per_trial(self) -> Budget:
        """The budget as the trainer takes it."""
        return Budget(self.epochs, self.seconds, self.adapts)


@dataclass(frozen=True)
class SearchSpec:
    """How trials are chosen, pruned and kept."""

    trials: int = 100
    """In total, however often the search is called; `bench search --trials` overrides it."""
    sampler: str = "tpe"
    """tpe, random, gp or cmaes: Optuna's, each family by itself."""
    incumbent_share: float = 0.5
    """Share of the trials after a family's default that vary its best one so far, in [0, 1]; with `random`, none do."""
    pruner: str = "halving"
    """halving, hyperband, median or none: Optuna's, each family by itself."""
    prune_after: float = 0.5
    """Share of a trial's budget before which nothing is pruned."""
    family_floor: float = 0.5
    """Share of an equal part of the trials that every family keeps, in [0, 1]."""
    keep_weights: int = 20
    """Weights are kept for so many of the best trials."""
    checkpoints: str = "auto"
    """When a running trial leaves a checkpoint, to be continued from: auto (once a minute), always or never."""
    trial_timeout: float | None = None
    """Seconds after which a trial is taken to hang; 0 is never. None is ten times its seconds and ten minutes more, and
    never for a budget in epochs."""
    worker_memory: float | None = None
    """Gigabytes that a worker may hold on to between two trials; None is its share of the machine's."""

    def __post_init__(self) -> None:
        if self.sampler not in SAMPLERS:
            raise UnknownNameError("sampler", self.sampler, SAMPLERS)
        if self.pruner not in PRUNERS:
            raise UnknownNameError("pruner", self.pruner, PRUNERS)
        if self.trials < 1 or self.keep_weights < 0:
            raise BenchError("search.trials is at least 1 and search.keep_weights at least 0")
        if self.checkpoints not in CHECKPOINTS:
            raise UnknownNameError("checkpoints", self.checkpoints, CHECKPOINTS)
        if (self.trial_timeout or 0) < 0 or (self.worker_memory is not None and self.worker_memory <= 0):
            raise BenchError("search.trial_timeout is at least 0 seconds and search.worker_memory more than 0 GB")
        for key in ("prune_after", "family_floor", "incumbent_share"):
            if not 0 <= getattr(self, key) <= 1:
                raise BenchError(f"search.{key} is a share between 0 and 1")


@dataclass(frozen=True)
class StudySpec:
    """What a study asks. Names of families, augmentations and the like are checked by `space.Space`."""

    name: str
    dataset: str
    """cifar10, digits, or folder: images of your own, which commands take by --data."""
    families: tuple[str, ...]
    """Of cnn, resnet, vgg, efficientnet and timm_zoo; each has a default trial and a share of the other trials."""
    budget: BudgetSpec
    seed: int = 0
    """Every other seed but that of the split follows from it."""
    augmentations: tuple[str, ...] = ("flip", "crop", "cutout")
    """Also rotation, color and mixup; the search turns each on or off."""
    optimizers: tuple[str, ...] = ("sgd", "adamw", "muon")
    schedules: tuple[str, ...] = ("one_cycle", "cosine", "linear")
    averagings: tuple[str, ...] = ("none", "ema", "lookahead")
    """Averages of weights over steps."""
    image_size: int | None = None
    """Pixels a side at most: larger images are shrunk, in their proportions. None takes them as they are."""
    precision: str = "auto"
    """auto (what is faster here), float32 or bfloat16."""
    split: SplitSpec = field(default_factory=SplitSpec)
    search: SearchSpec = field(default_factory=SearchSpec)
    space: Mapping[str, Any] = field(default_factory=dict)
    """Narrowed parameters, by full name: a list of choices, or a table of low, high, step, log."""
    recipe: Mapping[str, Parameters] = field(default_factory=dict)
    """Changes to a family's default trial, by family and full parameter name."""

    def __post_init__(self) -> None:
        for key in ("families", "optimizers", "schedules", "averagings"):
            if not getattr(self, key):
                raise BenchError(f"study {self.name!r}: {key} must name at least one")
        if self.seed < 0:
            raise BenchError("seed is at least 0")
        if self.image_size is not None and self.image_size < SMALLEST_SIDE:
            raise BenchError(
                f"study {self.name!r}: image_size is at least {SMALLEST_SIDE} pixels, not {self.image_size}"
            )
        if self.precision not in ("auto", "float32", "bfloat16"):
            raise UnknownNameError("precision", self.precision, ("auto", "float32", "bfloat16"))

    @property
    def trial_timeout(self) -> float | None:
        """Seconds after which a trial is taken to hang; None is never.

        Where the study does not say: ten times its budget in seconds and ten minutes; never for a budget in epochs.
        """
        if self.search.trial_timeout is not None:
            return self.search.trial_timeout or None
        seconds = self.budget.seconds
        return None if seconds is None else _PATIENCE_SECONDS + _PATIENCE_FACTOR * seconds

    def identity(self) -> dict[str, Any]:
        """Everything that trials depend on, as plain JSON, by dotted key: two studies agree where these agree."""
        return {
            key: value
            for key, value in _flat(as_jsonable(self)).items()
            if key.rsplit(".", 1)[-1] not in _NOT_IDENTITY and key != "name"
        }


def is_study_name(name: str) -> bool:
    """Whether it could be one: at most 100 letters, digits, dots, dashes and underscores, and no path."""
    return re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}", name) is not None and ".." not in name


def check_study_name(name: str) -> str:
    """The name, where it is one (`is_study_name`). Raises BenchError."""
    if "://" in name:
        # Not repeated: it may hold a password.
        raise BenchError("a database is given by --storage or BENCH_STORAGE, not in the place of a study's name")
    if not is_study_name(name):
        raise BenchError(
            f"{name!r} is not a study name: use letters, digits, '-', '_' and '.', 100 at most, and no path"
        )
    return name


def parse_study(name: str, text: str, where: str) -> StudySpec:
    """The study that a TOML text defines. Raises BenchError for bad TOML, unknown keys and wrong types."""
    try:
        raw = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise BenchError(f"{where} is not valid TOML: {error}") from error
    known = {item.name for item in fields(StudySpec)} - {"name"}
    _refuse_unknown(raw, known, where)
    values: dict[str, Any] = {"name": check_study_name(name)}
    for key, value in raw.items():
        values[key] = _typed(key, value, where)
    for item in fields(StudySpec):
        if item.default is MISSING and item.default_factory is MISSING and item.name not in values:
            raise BenchError(f"{where} needs a value for {item.name!r}")
    return StudySpec(**values)


def stored_study(name: str, stored: Mapping[str, Any]) -> StudySpec:
    """The study from its definition as JSON (records.as_jsonable), as a database holds it. Raises BenchError."""
    where = f"the stored definition of {name}"
    values = {key: _typed(key, value, where) for key, value in _without_none(stored).items() if key != "name"}
    return StudySpec(name=check_study_name(name), **values)


def load_study(name: str, root: Path) -> StudySpec:
    """The definition `root/studies/NAME.toml`; a shipped study is copied there first. Raises BenchError."""
    check_study_name(name)
    path = root / "studies" / f"{name}.toml"
    if not path.exists():
        shipped = shipped_studies()
        if name not in shipped:
            present = [found.stem for found in path.parent.glob("*.toml")]
            raise UnknownNameError("study", name, {*shipped, *present})
        # Whole at once: another process may be reading it already.
        partial = path.with_suffix(f".{os.getpid()}.partial")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(shipped[name], partial)
            partial.replace(path)
        except OSError as error:
            raise BenchError(f"cannot write {path}: {error.strerror}; choose another folder with --root") from error
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BenchError(f"cannot read {path}: {error}") from error
    return parse_study(name, text, str(path))


def write_template(name: str, root: Path) -> Path:
    """Write a commented definition `root/studies/NAME.toml` for the user to edit. Raises BenchError where it exists."""
    path = root / "studies" / f"{check_study_name(name)}.toml"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("x") as file:
            file.write(_TEMPLATE)
    except OSError as error:
        if isinstance(error, FileExistsError) and path.exists():
            raise BenchError(f"{path} exists; choose another name or edit it") from None
        raise BenchError(f"cannot write {path}: {error.strerror}; choose another folder with --root") from error
    return path


def shipped_studies() -> dict[str, Path]:
    """The definitions that come with the program, by name."""
    inside = Path(str(resources.files("benchmark"))) / "studies"
    # An editable install has no copy inside the package: there the definitions lie beside it.
    folder = inside if inside.is_dir() else inside.parents[1] / "studies"
    return {path.stem: path for path in sorted(folder.glob("*.toml"))}


def shipped_study(name: str) -> StudySpec:
    """The definition of that name that comes with the program. Raises UnknownNameError."""
    shipped = shipped_studies()
    if name not in shipped:
        raise UnknownNameError("study", name, shipped)
    return parse_study(name, shipped[name].read_text(encoding="utf-8"), str(shipped[name]))


def _typed(key: str, value: Any, where: str) -> Any:
    sections = {"split": SplitSpec, "budget": BudgetSpec, "search": SearchSpec}
    if key in sections:
        return _section(sections[key], key, value, where)
    if key in ("families", "augmentations", "optimizers", "schedules", "averagings"):
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise BenchError(f"{where}: {key} is a list of names")
        if len(set(value)) != len(value):
            raise BenchError(f"{where}: {key} names something twice")
        return tuple(value)
    if key in ("space", "recipe") and not isinstance(value, dict):
        raise BenchError(f"{where}: {key} is a table: [{key}]")
    if key == "space":
        return _flat(value, leaves=_LEAF_KEYS)
    if key == "recipe":
        for family, settings in value.items():
            if not isinstance(settings, dict):
                raise BenchError(f"{where}: recipe.{family} is a table: [recipe.{family}]")
        return {family: _flat(settings) for family, settings in value.items()}
    wanted = int if key in ("seed", "image_size") else str
    if type(value) is not wanted:
        raise BenchError(f"{where}: {key} is of type {wanted.__name__}, not {value!r}")
    return value


def _section(kind: Any, key: str, value: Any, where: str) -> Any:
    if not isinstance(value, dict):
        raise BenchError(f"{where}: {key} is a table: [{key}]")
    _refuse_unknown(value, {item.name for item in fields(kind)}, f"{where}, [{key}]")
    for item in fields(kind):
        if item.name in value and not _fits(value[item.name], str(item.type)):
            raise BenchError(f"{where}: {key}.{item.name} is of type {item.type}, not {value[item.name]!r}")
    return kind(**value)


def _fits(value: Any, type_name: str) -> bool:
    if isinstance(value, bool):
        return type_name == "bool"
    if isinstance(value, int):
        return "int" in type_name or "float" in type_name
    return type(value).__name__ in type_name


def _refuse_unknown(raw: Mapping[str, Any], known: set[str], where: str) -> None:
    for key in raw:
        if key not in known:
            raise UnknownNameError(f"key in {where}:", key, known)


def _without_none(table: Mapping[str, Any]) -> dict[str, Any]:
    """The table and those in it without keys that have no value."""
    return {
        key: _without_none(value) if isinstance(value, Mapping) else value
        for key, value in table.items()
        if value is not None
    }


def _flat(table: Mapping[str, Any], leaves: frozenset[str] | set[str] = frozenset()) -> dict[str, Any]:
    """Nested tables as dotted keys; a table that has one of the `leaves` as key is a value."""
    result: dict[str, Any] = {}
    for key, value in table.items():
        if isinstance(value, Mapping) and value and not (leaves & set(value)):
            result.update({f"{key}.{inner}": item for inner, item in _flat(value, leaves).items()})
        else:
            result[key] = value
    return result
