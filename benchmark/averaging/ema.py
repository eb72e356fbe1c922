"""An exponential moving average of weights and buffers; leaves the training itself alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from optuna.distributions import CategoricalDistribution
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from benchmark.averaging import AVERAGINGS, Averaging


@AVERAGINGS.register(
    "ema",
    space={"decay": CategoricalDistribution((0.9, 0.95, 0.98, 0.99, 0.995, 0.999))},
    reference="Polyak and Juditsky 1992, SIAM J. Control Optim. 30(4); Morales-Brotons et al. 2024, arXiv:2411.18704",
)
def ema(model: nn.Module, /, *, decay: float = 0.98) -> Averaging:
    """`decay` is the share of the average that a step keeps; it should forget well within the budget's steps."""
    return MovingAverage(model, decay)


class MovingAverage:
    """Answers with a copy of the network that holds the moving average."""

    def __init__(self, model: nn.Module, decay: float) -> None:
        self._model = model
        self._average = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(decay), use_buffers=True)  # type: ignore[no-untyped-call]
        self.answering: nn.Module = self._average.module

    def update(self, share: float) -> None:  # noqa: ARG002 - the contract has it
        """Move the average towards the weights."""
        self._average.update_parameters(self._model)

    def state_dict(self) -> dict[str, Any]:
        """The averaged network."""
        return {"average": self._average.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over an averaged network."""
        self._average.load_state_dict(state["average"])
