"""Adam with decoupled weight decay; knows nothing of schedules or losses."""

from __future__ import annotations

from optuna.distributions import FloatDistribution
from torch import nn
from torch.optim import AdamW, Optimizer

from benchmark.optimizers import OPTIMIZERS, decayed_and_bare


@OPTIMIZERS.register(
    "adamw",
    space={
        "lr": FloatDistribution(1e-4, 3e-2, log=True),
        "weight_decay": FloatDistribution(1e-4, 0.3, log=True),
    },
    reference="Loshchilov and Hutter 2019, arXiv:1711.05101, algorithm 2",
)
def adamw(model: nn.Module, /, *, lr: float = 3e-3, weight_decay: float = 0.02) -> tuple[Optimizer, ...]:
    """AdamW; biases and norm parameters are not decayed."""
    return (AdamW(decayed_and_bare(model, {"weight_decay": weight_decay}, {}), lr=lr, fused=True),)
