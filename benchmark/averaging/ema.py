"""An exponential moving average of weights and buffers; leaves the training itself alone."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import torch
from optuna.distributions import CategoricalDistribution
from torch import nn

from benchmark.averaging import AVERAGINGS, Averaging, float_pairs


@AVERAGINGS.register(
    "ema",
    space={"decay": CategoricalDistribution((0.9, 0.95, 0.98, 0.99, 0.995, 0.999))},
    reference="Polyak and Juditsky 1992, SIAM J. Control Optim. 30(4); Morales-Brotons et al. 2024, arXiv:2411.18704",
)
def ema(model: nn.Module, /, *, decay: float = 0.98) -> Averaging:
    """`decay` is the share of the average that a step keeps, less in the beginning: (1 + t) / (10 + t) after t steps.

    So the average of a short training is not mostly of weights that had hardly learned (as in TensorFlow's
    ExponentialMovingAverage with `num_updates`).
    """
    return MovingAverage(model, decay)


class MovingAverage:
    """Answers with a copy of the network that holds the moving average; counters among its buffers are copied.

    torch's AveragedModel does the same, and sends its count of updates to the device with each: the host then waits.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.answering: nn.Module = copy.deepcopy(model)
        self._decay = decay
        self._updates = 0
        self._last, self._average = float_pairs(model, self.answering)
        buffers = zip(model.buffers(), self.answering.buffers(), strict=True)
        self._counts = [(last, average) for last, average in buffers if not last.is_floating_point()]

    @torch.no_grad()
    def update(self, share: float) -> None:  # noqa: ARG002 - the contract has it
        """Move the average towards the weights; it begins at the first ones that it is shown."""
        kept = min(self._decay, (1 + self._updates) / (10 + self._updates)) if self._updates else 0.0
        torch._foreach_lerp_(self._average, self._last, 1.0 - kept)
        for last, average in self._counts:
            average.copy_(last)
        self._updates += 1

    def state_dict(self) -> dict[str, Any]:
        """The averaged network, and how often it has seen weights."""
        return {"average": self.answering.state_dict(), "updates": self._updates}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over an averaged network."""
        self.answering.load_state_dict(state["average"])
        self._updates = state["updates"]
