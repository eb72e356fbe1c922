"""Stochastic gradient descent with Nesterov momentum; knows nothing of schedules or losses."""

from __future__ import annotations

from optuna.distributions import FloatDistribution
from torch import nn
from torch.optim import SGD, Optimizer

from benchmark.optimizers import OPTIMIZERS, decayed_and_bare


@OPTIMIZERS.register(
    "sgd",
    space={
        "lr": FloatDistribution(0.005, 5.0, log=True),
        "momentum": FloatDistribution(0.8, 0.98),
        "weight_decay": FloatDistribution(1e-6, 1e-2, log=True),
        "bias_scale": FloatDistribution(1.0, 64.0, log=True),
    },
    reference="Sutskever et al. 2013, ICML, section 2; bias_scale: Page 2019, How to Train Your ResNet 7",
)
def sgd(
    model: nn.Module,
    /,
    *,
    lr: float = 0.2,
    momentum: float = 0.9,
    weight_decay: float = 5e-4,
    bias_scale: float = 1.0,
) -> tuple[Optimizer, ...]:
    """SGD; biases and norm parameters get `bias_scale` times the rate, and no weight decay (He et al. 2019, 3.1)."""
    groups = decayed_and_bare(model, {"lr": lr, "weight_decay": weight_decay}, {"lr": lr * bias_scale})
    return (SGD(groups, momentum=momentum, nesterov=True, fused=True),)
