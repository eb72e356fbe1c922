"""The one plug-in concept: a registered function with a search space, defaults and a reference.

A module in a registry's package registers at import; `Registry.load` imports them all, so a new file is a new entry.
Knows Optuna's distributions and nothing of what is registered.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Generic, ParamSpec, TypeVar

from optuna.distributions import BaseDistribution, CategoricalDistribution, IntDistribution

from benchmark.errors import UnknownNameError
from benchmark.records import Parameters

P = ParamSpec("P")
T = TypeVar("T")


class RegistrationError(Exception):
    """A registration contradicts itself: a programming error in the registering module."""


@dataclass(frozen=True)
class Entry(Generic[P, T]):
    """A registered function: `build` makes the thing, `space` says what may be searched, `defaults` what experts do."""

    name: str
    build: Callable[P, T]
    space: Mapping[str, BaseDistribution]
    defaults: Parameters
    reference: str
    tags: Mapping[str, Any] = field(default_factory=dict)
    """Facts about the entry that its registry's package defines (see there)."""


class Registry(Generic[P, T]):
    """Named entries of one kind, found by importing every module of `package`."""

    def __init__(self, kind: str, package: str) -> None:
        self.kind = kind
        self._package = package
        self._entries: dict[str, Entry[P, T]] = {}
        self._loaded = False

    def register(
        self, name: str, *, space: Mapping[str, BaseDistribution], reference: str, **tags: Any
    ) -> Callable[[Callable[P, T]], Callable[P, T]]:
        """Register the decorated function under `name`.

        Its keyword-only arguments must be exactly the keys of `space`, each with a default inside its distribution;
        the defaults are the expert's recipe. `reference` is the source of the method. Raises RegistrationError.
        """

        def add(build: Callable[P, T]) -> Callable[P, T]:
            if name in self._entries:
                raise RegistrationError(f"{self.kind} {name!r} is registered twice")
            if not reference:
                raise RegistrationError(f"{self.kind} {name!r} needs a reference")
            defaults = _checked_defaults(f"{self.kind} {name!r}", build, space)
            self._entries[name] = Entry(
                name,
                build,
                MappingProxyType(dict(space)),
                MappingProxyType(defaults),
                reference,
                MappingProxyType(tags),
            )
            return build

        return add

    def load(self) -> None:
        """Import every module of the registry's package, once."""
        if self._loaded:
            return
        package = importlib.import_module(self._package)
        for module in pkgutil.iter_modules(package.__path__):
            importlib.import_module(f"{self._package}.{module.name}")
        self._loaded = True

    def __getitem__(self, name: str) -> Entry[P, T]:
        self.load()
        if name not in self._entries:
            raise UnknownNameError(self.kind, name, self._entries)
        return self._entries[name]

    def __iter__(self) -> Iterator[str]:
        self.load()
        return iter(sorted(self._entries))

    def __len__(self) -> int:
        self.load()
        return len(self._entries)

    def __contains__(self, name: object) -> bool:
        self.load()
        return name in self._entries


def _checked_defaults(what: str, build: Callable[..., Any], space: Mapping[str, BaseDistribution]) -> dict[str, Any]:
    keyword_only = {
        parameter.name: parameter.default
        for parameter in inspect.signature(build).parameters.values()
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY
    }
    if set(keyword_only) != set(space):
        raise RegistrationError(
            f"{what}: the space has {sorted(space)}, the keyword-only arguments are {sorted(keyword_only)}"
        )
    for name, default in keyword_only.items():
        if default is inspect.Parameter.empty:
            raise RegistrationError(f"{what}: {name} needs a default, the expert's value")
        if not contains(space[name], default):
            raise RegistrationError(f"{what}: default {name}={default!r} lies outside {space[name]}")
    return keyword_only


def contains(distribution: BaseDistribution, value: Any) -> bool:
    """Whether `value` is one that the distribution can produce; "14" is not 14, and True is not 1."""
    if isinstance(distribution, CategoricalDistribution):
        of_kind = [choice for choice in distribution.choices if isinstance(choice, bool) == isinstance(value, bool)]
        return value in of_kind
    wanted = int if isinstance(distribution, IntDistribution) else (int, float)
    if isinstance(value, bool) or not isinstance(value, wanted):
        return False
    try:
        return bool(distribution._contains(distribution.to_internal_repr(value)))
    except (TypeError, ValueError):
        return False
