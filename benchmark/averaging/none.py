"""No averaging: the weights of the last step answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn

from benchmark.averaging import AVERAGINGS, Averaging


@AVERAGINGS.register("none", space={}, reference="Robbins and Monro 1951, Annals of Mathematical Statistics 22(3)")
def none(model: nn.Module, /) -> Averaging:
    """The network itself answers."""
    return LastWeights(model)


class LastWeights:
    """Answers with the network in training."""

    def __init__(self, model: nn.Module) -> None:
        self.answering = model

    def update(self, share: float) -> None:
        """Nothing to do."""

    def state_dict(self) -> dict[str, Any]:
        """Nothing."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Nothing to take over."""
