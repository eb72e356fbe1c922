"""Muon for convolution filters with SGD for the rest; knows nothing of schedules or losses."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import torch
from optuna.distributions import CategoricalDistribution, FloatDistribution
from torch import Tensor, nn
from torch.optim import SGD, Muon, Optimizer

from benchmark.cuda_graphs import replayed
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
        "sgd_lr": FloatDistribution(0.01, 30.0, log=True),
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
        optimizers.append(FilterMuon(filters, lr, momentum, weight_decay, unit_filters))
    return tuple(optimizers)


class FilterMuon(Optimizer):
    """Torch's Muon for convolution filters, each bank as a matrix (outputs, inputs x k x k).

    `lr` and `weight_decay` are a group's as usual; the momentum is fixed, since a graph would not see it change.
    """

    def __init__(
        self, filters: list[nn.Parameter], lr: float, momentum: float, weight_decay: float, unit_filters: bool
    ) -> None:
        super().__init__(filters, {"lr": lr, "weight_decay": weight_decay})
        self._filters = filters
        self._orders = [_memory_order(parameter) for parameter in filters]
        # Torch's Muon takes matrices only: these are views that share the filters' memory.
        self._matrices = [
            parameter.detach().permute(order).view(parameter.shape[0], -1) for parameter, order in self._each()
        ]
        self._directions = Directions(self._matrices, momentum)
        is_on_gpu = self._matrices[0].is_cuda
        self._rescale = replayed(partial(_to_units, self._matrices), is_on_gpu) if unit_filters else None

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]  # noqa: ARG002 - torch's signature
        """Move every bank in its direction at the group's rate, and scale it back where filters are to stay units."""
        (group,) = self.param_groups
        gradients = [
            _as_matrix(torch.zeros_like(one) if one.grad is None else one.grad, order) for one, order in self._each()
        ]
        directions = self._directions.follow(gradients)
        moving = [number for number, one in enumerate(self._filters) if one.grad is not None]
        if moving:
            matrices = [self._matrices[number] for number in moving]
            torch._foreach_mul_(matrices, 1 - group["lr"] * group["weight_decay"])
            torch._foreach_add_(matrices, [directions[number] for number in moving], alpha=group["lr"])
        if self._rescale is not None:
            self._rescale()

    def state_dict(self) -> dict[str, Any]:
        """Torch's, and the momentum."""
        return {**super().state_dict(), "momentum": [held.clone() for held in self._directions.momentum]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over rates and momentum of another one."""
        super().load_state_dict({name: value for name, value in state_dict.items() if name != "momentum"})
        torch._foreach_copy_(self._directions.momentum, state_dict["momentum"])

    def _each(self) -> Iterator[tuple[nn.Parameter, tuple[int, int, int, int]]]:
        return zip(self._filters, self._orders, strict=True)


class Directions:
    """What Muon adds to matrices at a rate of 1, from their gradients: torch's Muon with its momentum."""

    def __init__(self, like: list[Tensor], momentum: float) -> None:
        self._gradients = [torch.zeros_like(matrix) for matrix in like]
        self._moved = [nn.Parameter(torch.zeros_like(matrix)) for matrix in like]
        for moved, gradient in zip(self._moved, self._gradients, strict=True):
            moved.grad = gradient
        self._muon = Muon(
            self._moved, lr=1.0, momentum=momentum, weight_decay=0.0, nesterov=True, ns_steps=_NEWTON_SCHULZ_STEPS
        )
        self.momentum: list[Tensor] = [torch.zeros_like(matrix) for matrix in like]
        for moved, held in zip(self._moved, self.momentum, strict=True):
            # Here already, so that a graph and a checkpoint find them in the same memory.
            self._muon.state[moved]["momentum_buffer"] = held
        # Some thirty kernels per matrix.
        self._find = replayed(partial(_by_muon, self._muon, self._moved), like[0].is_cuda)

    def follow(self, gradients: list[Tensor]) -> list[Tensor]:
        """The directions for these gradients; valid until the next call."""
        torch._foreach_copy_(self._gradients, gradients)
        self._find()
        return [moved.detach() for moved in self._moved]


def _by_muon(optimizer: Muon, moved: list[nn.Parameter]) -> None:
    torch._foreach_zero_([one.detach() for one in moved])
    optimizer.step()  # type: ignore[no-untyped-call]


def _to_units(matrices: list[Tensor]) -> None:
    # A bank of zeros stays one, instead of becoming not a number.
    norms = torch._foreach_clamp_min(torch._foreach_norm(matrices), _SMALLEST_NORM)
    torch._foreach_mul_(matrices, [one.shape[0] ** 0.5 / norm for one, norm in zip(matrices, norms, strict=True)])


def _as_matrix(filters: Tensor, order: tuple[int, int, int, int]) -> Tensor:
    """A bank of filters as a matrix (O, I x h x w), a view where they lie in memory in that order."""
    return filters.permute(order).reshape(filters.shape[0], -1)


def _memory_order(filters: Tensor) -> tuple[int, int, int, int]:
    """The order in which the dimensions of filters (O, I, h, w) lie in memory, so that a matrix can share it."""
    return (0, 1, 2, 3) if filters.is_contiguous() else (0, 2, 3, 1)
