"""What a trial's parameters belong to, told by their names alone; knows no registry and no distribution."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields

from benchmark.records import Parameters, ParameterValue, TrialConfig

FAMILY = "family"
"""The parameter that says which architecture a trial has."""
GROUPS = ("architecture", "optimizer", "schedule", "averaging", "augmentation", "training")

_CHOICES = {FAMILY: "architecture", "optimizer": "optimizer", "schedule": "schedule", "averaging": "averaging"}
"""Parameters that choose one of several things, and the group of what they choose."""
_CONFIGURED = frozenset(field.name for field in fields(TrialConfig))
"""What a configuration has beside choices and their parameters: of a family's own names, these are not architecture."""


def grouped(parameters: Parameters) -> dict[str, dict[str, ParameterValue]]:
    """A trial's parameters by group, in the order of GROUPS, under their full names; groups without any are left out.

    `sgd.lr` belongs to what `optimizer` chose, `flip` and `flip.mode` are augmentation, and what belongs to nothing
    else, as `batch_size`, is training; so is `cnn.batch_size`, where a study narrows it for that family.
    """
    by_group: dict[str, dict[str, ParameterValue]] = {group: {} for group in GROUPS}
    for name, value in parameters.items():
        by_group[_group(name, parameters)][name] = value
    return {group: members for group, members in by_group.items() if members}


def short_names(names: Iterable[str], family: str) -> dict[str, str]:
    """Each name without the family's prefix, as `width` for `cnn.width`, unless another would then be called so."""
    whole = dict.fromkeys(names)
    shortened = {name: name.removeprefix(f"{family}.") for name in whole}
    return {name: name if short in whole else short for name, short in shortened.items()}


def differences(before: Parameters, after: Parameters, family: str) -> list[str]:
    """What of `after` is otherwise than before, as "width 64", "flip" or "no flip", under short names.

    Parameters that belong to something which was not there before are left out.
    """
    names = short_names(after, family)
    return [_told(names[name], after[name]) for name in after if name in before and after[name] != before[name]]


def _told(name: str, value: ParameterValue) -> str:
    if isinstance(value, bool):
        return name if value else f"no {name}"
    return f"{name} {value}"


def _group(name: str, parameters: Parameters) -> str:
    if name in _CHOICES:
        return _CHOICES[name]
    owner, is_owned, own_name = name.partition(".")
    if owner == parameters.get(FAMILY) and own_name in _CONFIGURED:
        return "training"
    if is_owned:
        return next((group for choice, group in _CHOICES.items() if parameters.get(choice) == owner), "augmentation")
    # Augmentations are turned on and off; no other parameter that stands for itself is.
    return "augmentation" if isinstance(parameters[name], bool) else "training"
