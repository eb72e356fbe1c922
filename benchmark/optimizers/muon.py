"""Muon for convolution filters with SGD for the rest; knows nothing of schedules or losses."""

from __future__ import annotations

from typing import Any

import torch
from optuna.distributions import CategoricalDistribution, FloatDistribution
from torch import Tensor, nn
from torch.optim import SGD, Muon, Optimizer

from benchmark.optimizers import OPTIMIZERS, trainable

_NEWTON_SCHULZ_STEPS = 3
_REST_MOMENTUM = 0.85
_SMALLEST_NORM = 1e-12


@OPTIMIZERS.register(
    "muon",
    space={
        "lr": FloatDistribution(0.01, 1.0, log=True),
        "momentum": FloatDistribution(0.5, 0.95),
        "weight_decay": FloatDistribution(1e-6, 1e-1, log=True),
        "sgd_lr": FloatDistribution(0.01, 300.0, log=True),
        "bias_scale": FloatDistribution(1.0, 64.0, log=True),
        "unit_filters": CategoricalDistribution((True, False)),
    },
    reference="Jordan et al. 2024, Muon; filters as in airbench94_muon (github.com/KellerJordan/cifar10-airbench)",
)
def muon(
    model: nn.Module,
    /,
    *,
    lr: float = 0.24,
    momentum: float = 0.6,
    weight_decay: float = 1e-5,
    sgd_lr: float = 0.2,
    bias_scale: float = 1.0,
    unit_filters: bool = True,
) -> tuple[Optimizer, ...]:
    """Torch's Muon on every convolution's filters as a matrix (outputs, inputs x k x k); Nesterov SGD on the rest.

    `sgd_lr` is the rate of linear layers, times `bias_scale` that of biases and norm parameters. With `unit_filters`
    each filter bank is scaled back to a Frobenius norm of the root of its outputs after every step, so that `lr`
    is the turn per step; it presumes a norm layer after the convolution. A model without convolutions gets SGD alone.
    """
    filters = [parameter for parameter in trainable(model) if parameter.ndim == 4]
    linear = [parameter for parameter in trainable(model) if parameter.ndim in (2, 3)]
    vectors = [parameter for parameter in trainable(model) if parameter.ndim <= 1]
    groups: list[dict[str, Any]] = [
        {"params": linear, "lr": sgd_lr, "weight_decay": weight_decay},
        {"params": vectors, "lr": sgd_lr * bias_scale, "weight_decay": 0.0},
    ]
    groups = [group for group in groups if group["params"]]
    optimizers: list[Optimizer] = []
    if groups:
        optimizers.append(SGD(groups, momentum=_REST_MOMENTUM, nesterov=True, fused=True))
    if filters:
        optimizers.append(_filter_muon(filters, lr, momentum, weight_decay, unit_filters))
    return tuple(optimizers)


def _filter_muon(
    filters: list[nn.Parameter], lr: float, momentum: float, weight_decay: float, unit_filters: bool
) -> Optimizer:
    # torch's Muon takes matrices only: it is given views that share the filters' memory, and their gradients.
    orders = [_memory_order(parameter) for parameter in filters]
    matrices: list[Tensor] = [
        nn.Parameter(parameter.detach().permute(order).view(parameter.shape[0], -1))
        for parameter, order in zip(filters, orders, strict=True)
    ]
    optimizer = Muon(
        matrices, lr=lr, momentum=momentum, weight_decay=weight_decay, nesterov=True, ns_steps=_NEWTON_SCHULZ_STEPS
    )

    def lend_gradients(*_: Any) -> None:
        for matrix, parameter, order in zip(matrices, filters, orders, strict=True):
            gradient = parameter.grad
            matrix.grad = None if gradient is None else gradient.permute(order).reshape(matrix.shape)

    @torch.no_grad()
    def rescale(*_: Any) -> None:
        # A bank of zeros stays one, instead of becoming not a number.
        norms = torch._foreach_clamp_min(torch._foreach_norm(matrices), _SMALLEST_NORM)
        torch._foreach_mul_(matrices, [matrix.shape[0] ** 0.5 / n for matrix, n in zip(matrices, norms, strict=True)])

    optimizer.register_step_pre_hook(lend_gradients)
    if unit_filters:
        optimizer.register_step_post_hook(rescale)
    return optimizer


def _memory_order(filters: Tensor) -> tuple[int, int, int, int]:
    """The order in which the dimensions of filters (O, I, h, w) lie in memory, so that a matrix can share it."""
    return (0, 1, 2, 3) if filters.is_contiguous() else (0, 2, 3, 1)
