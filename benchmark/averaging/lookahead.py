"""Look-ahead: slow weights that follow the fast ones, and to which the fast ones return; knows no optimizer."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import torch
from optuna.distributions import FloatDistribution
from torch import nn

from benchmark.averaging import AVERAGINGS, Averaging, float_pairs

_EVERY = 5


@AVERAGINGS.register(
    "lookahead",
    space={"decay": FloatDistribution(0.8, 0.99)},
    reference="Zhang et al. 2019, arXiv:1907.08610; growing decay: Jordan 2024, arXiv:2404.00498, section 3.4",
)
def lookahead(model: nn.Module, /, *, decay: float = 0.95) -> Averaging:
    """Every 5th step the slow weights keep `decay`^5 x share^3 of themselves, take the rest from the fast ones, and
    the fast ones return to them. The slow ones follow closely at first and hardly at the end, and they answer.
    """
    return SlowWeights(model, decay)


class SlowWeights:
    """Answers with a copy of the network that holds the slow weights, buffers included."""

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.answering: nn.Module = copy.deepcopy(model)
        self._decay = decay**_EVERY
        self._steps = 0
        self._fast, self._slow = float_pairs(model, self.answering)

    @torch.no_grad()
    def update(self, share: float) -> None:
        """At every 5th step: pull the slow weights towards the fast ones, and set the fast ones back to them."""
        self._steps += 1
        if self._steps % _EVERY:
            return
        torch._foreach_lerp_(self._slow, self._fast, 1.0 - self._decay * share**3)
        torch._foreach_copy_(self._fast, self._slow)

    def state_dict(self) -> dict[str, Any]:
        """The slow weights, and the step."""
        return {"slow": self.answering.state_dict(), "steps": self._steps}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over slow weights, and the step."""
        self.answering.load_state_dict(state["slow"])
        self._steps = state["steps"]
