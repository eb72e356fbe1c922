"""Every optimizer keeps its contract; Muon's matrices are the convolutions' own memory."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim import Muon, Optimizer

from benchmark import cuda_graphs
from benchmark.optimizers import OPTIMIZERS
from benchmark.optimizers.muon import FilterMuon

NAMES = list(OPTIMIZERS)
LAYOUTS = [torch.contiguous_format, torch.channels_last]


class Toy(nn.Module):
    """3x3, 1x1 and depthwise convolutions, norm, a linear layer with bias, and one frozen parameter."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 8, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(8)
        self.point = nn.Conv2d(8, 6, 1)
        self.depthwise = nn.Conv2d(6, 6, 3, groups=6, bias=False)
        self.head = nn.Linear(6, 4)
        self.frozen = nn.Parameter(torch.ones(3, 3), requires_grad=False)

    def forward(self, images: Tensor) -> Tensor:
        features = torch.relu(self.norm(self.first(images)))
        features = self.depthwise(torch.relu(self.point(features)))
        return self.head(features.mean(dim=(2, 3)))


def toy(layout: torch.memory_format = torch.channels_last) -> Toy:
    torch.manual_seed(0)
    return Toy().to(memory_format=layout)  # type: ignore[call-overload, no-any-return]


def batch() -> tuple[Tensor, Tensor]:
    """Noise, and classes that two channels' brightness tells."""
    generator = torch.Generator().manual_seed(1)
    images, labels = torch.randn(32, 3, 6, 6, generator=generator), torch.randint(4, (32,), generator=generator)
    images[:, 0] += 2.0 * (labels % 2).view(-1, 1, 1)
    images[:, 1] += 2.0 * (labels // 2).view(-1, 1, 1)
    return images, labels


def backward(model: nn.Module) -> float:
    images, labels = batch()
    model.zero_grad()
    loss = functional.cross_entropy(model(images), labels)
    loss.backward()
    return loss.item()


def addresses(optimizers: tuple[Optimizer, ...]) -> list[int]:
    return [p.data_ptr() for optimizer in optimizers for group in optimizer.param_groups for p in group["params"]]


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("name", NAMES)
def test_holds_every_trainable_parameter_once(name: str, layout: torch.memory_format) -> None:
    model = toy(layout)
    held = Counter(addresses(OPTIMIZERS[name].build(model)))
    assert held == Counter(p.data_ptr() for p in model.parameters() if p.requires_grad)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("name", NAMES)
def test_a_step_moves_every_weight_and_no_frozen_one(name: str, layout: torch.memory_format) -> None:
    model = toy(layout)
    optimizers = OPTIMIZERS[name].build(model)
    before = {key: value.detach().clone() for key, value in model.named_parameters()}
    backward(model)
    for optimizer in optimizers:
        optimizer.step()
    unmoved = [key for key, value in model.named_parameters() if torch.equal(value, before[key])]
    assert unmoved == ["frozen"]
    assert all(value.isfinite().all() for value in model.parameters())


@pytest.mark.parametrize("name", NAMES)
def test_defaults_learn(name: str) -> None:
    model = toy()
    optimizers = OPTIMIZERS[name].build(model)
    first = backward(model)
    for _ in range(40):
        for optimizer in optimizers:
            optimizer.step()
        last = backward(model)
    assert last < 0.7 * first


@pytest.mark.parametrize("name", NAMES)
def test_rates_may_be_scheduled_to_nothing(name: str) -> None:
    model = toy()
    # Rescaled filters would move without a rate: that is their constraint, not a step.
    params = {"unit_filters": False} if name == "muon" else {}
    optimizers = OPTIMIZERS[name].build(model, **params)
    before = {key: value.detach().clone() for key, value in model.named_parameters()}
    for group in (group for optimizer in optimizers for group in optimizer.param_groups):
        group["lr"] = 0.0
    backward(model)
    for optimizer in optimizers:
        optimizer.step()
    assert all(torch.equal(value, before[key]) for key, value in model.named_parameters())


@pytest.mark.parametrize("name", NAMES)
def test_biases_and_norms_are_not_decayed(name: str) -> None:
    model = toy()
    decay = {
        p.data_ptr(): group["weight_decay"]
        for optimizer in OPTIMIZERS[name].build(model, weight_decay=0.01)
        for group in optimizer.param_groups
        for p in group["params"]
    }
    for key, parameter in model.named_parameters():
        if parameter.requires_grad:
            assert decay[parameter.data_ptr()] == (0.01 if parameter.ndim > 1 else 0.0), key


def test_sgd_bias_scale() -> None:
    rates = [group["lr"] for group in OPTIMIZERS["sgd"].build(toy(), lr=0.1, bias_scale=8.0)[0].param_groups]
    assert rates == pytest.approx([0.1, 0.8])


@pytest.mark.parametrize("name", NAMES)
def test_a_model_without_convolutions(name: str) -> None:
    model = nn.Linear(3, 2)
    optimizers = OPTIMIZERS[name].build(model)
    assert sorted(addresses(optimizers)) == sorted(p.data_ptr() for p in model.parameters())


@pytest.mark.parametrize("name", NAMES)
def test_a_model_without_vectors(name: str) -> None:
    model = nn.Conv2d(3, 4, 3, bias=False)
    assert addresses(OPTIMIZERS[name].build(model)) == [model.weight.data_ptr()]


def muon_of(model: nn.Module, **params: Any) -> Optimizer:
    return next(
        optimizer for optimizer in OPTIMIZERS["muon"].build(model, **params) if isinstance(optimizer, FilterMuon)
    )


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("kernel", [1, 3])
def test_muon_is_torchs_muon_on_the_filters_as_matrices(kernel: int, layout: torch.memory_format) -> None:
    torch.manual_seed(0)
    convolution = nn.Conv2d(5, 7, kernel, bias=False).to(memory_format=layout)  # type: ignore[call-overload]
    # Muon's result does not depend on the order of columns but for rounding.
    matrix = nn.Parameter(convolution.weight.detach().flatten(1).clone())
    ours = muon_of(convolution, lr=0.1, momentum=0.7, weight_decay=0.01, unit_filters=False)
    reference = Muon([matrix], lr=0.1, momentum=0.7, weight_decay=0.01, nesterov=True, ns_steps=3)
    generator = torch.Generator().manual_seed(2)
    for _ in range(3):
        gradient = torch.randn(7, 5, kernel, kernel, generator=generator)
        convolution.weight.grad = gradient.contiguous(memory_format=layout)
        matrix.grad = gradient.flatten(1).clone()
        ours.step()
        reference.step()
    # Newton-Schulz runs in bfloat16, and sums in another order.
    torch.testing.assert_close(convolution.weight.flatten(1), matrix, atol=2e-2, rtol=0)
    assert (convolution.weight.flatten(1) - matrix).abs().mean() < 2e-3
    assert convolution.weight.is_contiguous(memory_format=layout)


def steps_of_muon(
    device: str, steps: int, resumed_at: int | None = None, layout: torch.memory_format = torch.channels_last
) -> list[Tensor]:
    """Filters after so many steps; with `resumed_at`, of an optimizer that took over from another one then."""
    torch.manual_seed(0)
    banks = nn.ModuleList([nn.Conv2d(3, 8, 3, bias=False), nn.Conv2d(8, 16, 1, bias=False)])
    banks = banks.to(device).to(memory_format=layout)
    optimizer = muon_of(banks, lr=0.1, weight_decay=0.1)
    generator = torch.Generator().manual_seed(1)
    for step in range(steps):
        if step == resumed_at:
            state = optimizer.state_dict()
            optimizer = muon_of(banks, lr=0.3)
            optimizer.load_state_dict(state)
        for bank in banks.parameters():
            bank.grad = torch.randn(bank.shape, generator=generator).to(device).contiguous(memory_format=layout)
        optimizer.param_groups[0]["lr"] = 0.1 / (1 + step)
        optimizer.step()
    return [bank.detach() for bank in banks.parameters()]


@pytest.mark.parametrize("resumed_at", [1, 4])
def test_muon_goes_on_from_its_state(resumed_at: int) -> None:
    for found, expected in zip(steps_of_muon("cpu", 6, resumed_at), steps_of_muon("cpu", 6), strict=True):
        assert torch.equal(found, expected)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("resumed_at", [None, 1, 4])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_muon_as_a_graph_is_muon_step_by_step(
    monkeypatch: pytest.MonkeyPatch, layout: torch.memory_format, resumed_at: int | None
) -> None:
    found = steps_of_muon("cuda", 6, resumed_at, layout)
    monkeypatch.setattr(cuda_graphs, "_captured", lambda work: work)
    for one, expected in zip(found, steps_of_muon("cuda", 6, layout=layout), strict=True):
        assert torch.equal(one, expected)


def test_muon_skips_filters_without_gradients() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3, bias=False), nn.Conv2d(4, 4, 3, bias=False))
    untouched = model[1].weight.detach().clone()
    optimizer = muon_of(model, unit_filters=False)
    model[0].weight.grad = torch.randn_like(model[0].weight)
    optimizer.step()
    assert torch.equal(model[1].weight, untouched)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_unit_filters_fix_the_norm(layout: torch.memory_format) -> None:
    model = toy(layout)
    optimizers = OPTIMIZERS["muon"].build(model, unit_filters=True)
    backward(model)
    for optimizer in optimizers:
        optimizer.step()
    for convolution in (model.first, model.point, model.depthwise):
        assert convolution.weight.norm().item() == pytest.approx(convolution.out_channels**0.5, rel=1e-5)


def test_a_filter_bank_of_zeros_stays_one() -> None:
    model = nn.Conv2d(3, 4, 3, bias=False)
    nn.init.zeros_(model.weight)
    model.weight.grad = torch.zeros_like(model.weight)
    for optimizer in OPTIMIZERS["muon"].build(model, unit_filters=True):
        optimizer.step()
    assert torch.equal(model.weight, torch.zeros_like(model.weight))


def test_bias_scale_is_the_rate_of_biases_and_norms() -> None:
    model = toy()
    optimizers = OPTIMIZERS["muon"].build(model, sgd_lr=0.5, bias_scale=4.0)
    rates = {p.data_ptr(): group["lr"] for o in optimizers for group in o.param_groups for p in group["params"]}
    assert rates[model.head.weight.data_ptr()] == 0.5
    assert rates[model.head.bias.data_ptr()] == rates[model.norm.weight.data_ptr()] == 2.0
