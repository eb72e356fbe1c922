"""The joint search space of a study: what may be suggested for each family, and the expert's own values.

Knows Optuna's distributions; knows no trial, no storage and no training.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from benchmark.architectures import ARCHITECTURES
from benchmark.augmentations import AUGMENTATIONS
from benchmark.averaging import AVERAGINGS
from benchmark.definition import StudySpec
from benchmark.errors import BenchError, UnknownNameError
from benchmark.optimizers import OPTIMIZERS
from benchmark.records import VIEWS, Choice, Parameters, ParameterValue, TrialConfig
from benchmark.registry import Entry, Registry, contains
from benchmark.schedules import SCHEDULES

Suggest = Callable[[str, BaseDistribution], Any]

TRAINING_SPACE: Mapping[str, BaseDistribution] = {
    "batch_size": CategoricalDistribution((64, 128, 256, 512, 1024, 2048)),
    "label_smoothing": FloatDistribution(0.0, 0.3),
    "clip_norm": CategoricalDistribution((0.0, 1.0, 5.0)),
    "views": CategoricalDistribution(tuple(VIEWS)),
}
GROWTH_SPACE: Mapping[str, BaseDistribution] = {"start_size": CategoricalDistribution((0.5, 0.625, 0.75, 1.0))}
"""Parameters of families with the tag `any_size`: their networks take images of any size."""
TRAINING_DEFAULTS: Parameters = {
    "optimizer": "sgd",
    "schedule": "one_cycle",
    "batch_size": 128,
    "label_smoothing": 0.1,
    "averaging": "none",
    "clip_norm": 0.0,
    "start_size": 1.0,
    "views": "two",
    "flip": True,
    "crop": True,
}
"""What an expert starts from where the family's recipe says nothing; other augmentations are off."""

OFF_AT_ZERO = frozenset({"clip_norm"})
"""Limits of which 0 is none, so that it is nearest to the largest."""
_BEYOND = 1e9
"""How large none is: finite, so that it has a distance from itself."""


class Space:
    """Every parameter of a study by full name, narrowed as the study says.

    A training parameter that the study narrows for one family, as `resnet.batch_size`, is that family's own: it is
    suggested under this name, in place of the one that the other families share.

    Raises UnknownNameError or BenchError on construction for names and ranges that do not exist.
    """

    def __init__(self, spec: StudySpec) -> None:
        self.spec = spec
        self._registries: dict[str, Registry[..., Any]] = {
            "families": ARCHITECTURES,
            "optimizers": OPTIMIZERS,
            "schedules": SCHEDULES,
            "augmentations": AUGMENTATIONS,
            "averagings": AVERAGINGS,
        }
        self._distributions: dict[str, BaseDistribution] = {**TRAINING_SPACE, **GROWTH_SPACE}
        self._defaults: dict[str, ParameterValue] = dict(TRAINING_DEFAULTS)
        open_names: set[str] = set()
        for key, registry in self._registries.items():
            for name in getattr(spec, key):
                entry = registry[name]
                self._distributions |= {f"{name}.{key}": value for key, value in entry.space.items()}
                self._defaults |= {f"{name}.{key}": value for key, value in entry.defaults.items()}
                open_names |= {f"{name}.{key}" for key in entry.tags.get("open", ())}
        self._distributions["optimizer"] = CategoricalDistribution(spec.optimizers)
        self._distributions["schedule"] = CategoricalDistribution(spec.schedules)
        self._distributions["averaging"] = CategoricalDistribution(spec.averagings)
        for name in spec.augmentations:
            self._distributions[name] = CategoricalDistribution((True, False))
            self._defaults.setdefault(name, False)
        if "flip" not in spec.augmentations:
            # What is never mirrored in training, as written words, is not asked about in a mirror, unless that is said.
            self._defaults["views"] = "one"
            if "views" not in spec.space:
                self._distributions["views"] = CategoricalDistribution(("one",))
        own = {f"{family}.{name}": full for family in spec.families for name, full in training_space(family).items()}
        self._own = {name for name in own if name in spec.space and name not in self._distributions}
        """Training parameters that a family has for itself."""
        self._distributions |= {name: own[name] for name in self._own}
        for name, narrowing in spec.space.items():
            self._known(name, "parameter in [space]")
            self._distributions[name] = narrowed(name, self._distributions[name], narrowing, name in open_names)
        self._check_open_choices()
        self._recipes = {family: self._recipe(family) for family in spec.families}
        for family in spec.recipe:
            if family not in spec.families:
                raise UnknownNameError("family in [recipe]", family, spec.families)

    def expert(self, family: str) -> dict[str, ParameterValue]:
        """The family's default trial: every active parameter by full name."""
        values: dict[str, ParameterValue] = {}

        def take(name: str, _: BaseDistribution) -> ParameterValue:
            values[name] = self.expert_value(family, name)
            return values[name]

        self.configure(family, take, seed=0)
        return values

    def expert_value(self, family: str, name: str) -> ParameterValue:
        """What the family's expert takes for a parameter, active by default or not: the nearest that the study has."""
        return nearest(name, self._distributions[name], self._recipes[family][name])

    def distributions(self, names: Mapping[str, Any]) -> dict[str, BaseDistribution]:
        """The distributions of the given parameters."""
        return {name: self._distributions[name] for name in names}

    def configure(self, family: str, suggest: Suggest, seed: int) -> TrialConfig:
        """Ask `suggest` for every parameter that is active for the family, in a fixed order, and put them together."""
        spec = self.spec

        def ask(name: str) -> Any:
            name = self._name(family, name)
            return suggest(name, self._distributions[name])

        def chosen(registry: Registry[..., Any], name: str) -> Choice:
            return Choice(name, {key: ask(f"{name}.{key}") for key in registry[name].space})

        architecture = chosen(ARCHITECTURES, family)
        optimizer = chosen(OPTIMIZERS, ask("optimizer"))
        schedule = chosen(SCHEDULES, ask("schedule"))
        augmentations = tuple(chosen(AUGMENTATIONS, name) for name in spec.augmentations if ask(name))
        averaging = chosen(AVERAGINGS, ask("averaging"))
        return TrialConfig(
            architecture=architecture,
            augmentations=augmentations,
            optimizer=optimizer,
            schedule=schedule,
            averaging=averaging,
            budget=spec.budget.per_trial,
            reports=spec.budget.reports,
            report_share=spec.budget.report_share,
            patience=spec.budget.patience,
            precision=spec.precision,
            seed=seed,
            **{name: ask(name) for name in training_space(family)},
        )

    def _recipe(self, family: str) -> dict[str, ParameterValue]:
        """The expert's value of every parameter: general, then the family's own, then the study's."""
        entry: Entry[..., Any] = ARCHITECTURES[family]
        own = entry.tags.get("recipe", {})
        recipe = self.spec.recipe.get(family, {})
        given = {self._name(family, name): value for name, value in recipe.items()}
        if len(given) < len(recipe):
            raise BenchError(f"[recipe.{family}] gives a parameter twice, by its own name and by the shared one")
        for name, value in given.items():
            self._known(name, f"parameter in [recipe.{family}]")
            if not contains(self._distributions[name], value):
                raise BenchError(f"[recipe.{family}] {name} = {value!r} lies outside {self._distributions[name]}")
        return {self._name(family, name): value for name, value in {**self._defaults, **own}.items()} | given

    def _name(self, family: str, name: str) -> str:
        """The full name under which the family has a parameter: its own where the study gave it one."""
        own = f"{family}.{name}"
        return own if own in self._own else name

    def _check_open_choices(self) -> None:
        """Have entries whose parameters take more than their space lists say whether they know the study's choices."""
        for key, registry in self._registries.items():
            for name in getattr(self.spec, key):
                tags = registry[name].tags
                for parameter in tags.get("open", ()):
                    listed = self._distributions[f"{name}.{parameter}"]
                    for choice in listed.choices if isinstance(listed, CategoricalDistribution) else ():
                        tags["check"](choice)

    def _known(self, name: str, kind: str) -> None:
        if name not in self._distributions:
            raise UnknownNameError(kind, name, self._distributions)


def training_space(family: str) -> Mapping[str, BaseDistribution]:
    """What every trial of a registered family has to choose beside its architecture, optimizer and the like."""
    return {**TRAINING_SPACE, **(GROWTH_SPACE if ARCHITECTURES[family].tags.get("any_size") else {})}


def narrowed(name: str, full: BaseDistribution, narrowing: Any, is_open: bool = False) -> BaseDistribution:
    """The part of a distribution that a study keeps: a list of values, or a table of low, high, step and log.

    Raises BenchError where it is not a part of the full one, unless `is_open` (any choice may be listed).
    """
    if isinstance(narrowing, list) and narrowing:
        for value in narrowing:
            if not (is_open or contains(full, value)):
                raise BenchError(f"[space] {name}: {value!r} lies outside {full}")
        return CategoricalDistribution(tuple(narrowing))
    if isinstance(narrowing, Mapping) and isinstance(full, IntDistribution | FloatDistribution):
        unknown = set(narrowing) - {"low", "high", "step", "log"}
        if unknown:
            raise UnknownNameError(f"key of [space] {name}:", unknown.pop(), ("low", "high", "step", "log"))
        merged = {"low": full.low, "high": full.high, "step": full.step, "log": full.log} | dict(narrowing)
        try:
            if not full.low <= merged["low"] <= merged["high"] <= full.high:
                raise BenchError(f"[space] {name}: {dict(narrowing)} lies outside {full.low} to {full.high}")
            return type(full)(**merged)
        except (TypeError, ValueError) as error:
            raise BenchError(f"[space] {name}: {dict(narrowing)} is no range ({error})") from error
    raise BenchError(f"[space] {name}: give a list of values, or for a number a table of low and high")


def magnitude(name: str, value: float) -> float:
    """How large a parameter's value is: a 0 that means "off" lies beyond all others, see OFF_AT_ZERO.

    `name` may be that of a family's own, as `resnet.clip_norm`.
    """
    return _BEYOND if name.rpartition(".")[2] in OFF_AT_ZERO and value == 0 else value


def nearest(name: str, distribution: BaseDistribution, value: ParameterValue) -> ParameterValue:
    """The value itself where its distribution has it, else the nearest that it has (the first for words)."""
    if contains(distribution, value):
        return value
    if isinstance(distribution, CategoricalDistribution):
        numbers = [item for item in distribution.choices if isinstance(item, int | float)]
        if isinstance(value, int | float) and len(numbers) == len(distribution.choices):
            wanted = magnitude(name, value)
            return min(numbers, key=lambda number: abs(magnitude(name, number) - wanted))
        return distribution.choices[0]
    assert isinstance(distribution, IntDistribution | FloatDistribution)
    assert isinstance(value, int | float)
    clipped = min(max(value, distribution.low), distribution.high)
    if distribution.step:
        steps = round((clipped - distribution.low) / distribution.step)
        clipped = min(distribution.low + steps * distribution.step, distribution.high)
    return int(clipped) if isinstance(distribution, IntDistribution) else float(clipped)
