"""Every averaging keeps its contract; the averages are those of loops written by hand."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import torch
from optuna.distributions import CategoricalDistribution, FloatDistribution
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from benchmark.averaging import AVERAGINGS
from benchmark.registry import contains

NAMES = list(AVERAGINGS)
State = dict[str, Tensor]


def network() -> nn.Module:
    """Weights, a frozen one, float buffers and an integer one, and dropout, which tells training from predicting."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3), nn.Flatten(), nn.Dropout(0.5), nn.Linear(12, 2))
    model[0].bias.requires_grad_(False)
    return model.to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]


def images() -> Tensor:
    return torch.randn(6, 2, 4, 4, generator=torch.Generator().manual_seed(1))


def state_of(model: nn.Module) -> State:
    return {name: value.detach().clone() for name, value in model.state_dict().items()}


def floats(state: State) -> State:
    return {name: value for name, value in state.items() if value.is_floating_point()}


@torch.no_grad()
def move(model: nn.Module, step: int) -> None:
    """Change every weight and buffer, as a training step does; each step otherwise."""
    generator = torch.Generator().manual_seed(step)
    for value in model.state_dict().values():
        if value.is_floating_point():
            value.add_(torch.rand(value.shape, generator=generator))
        else:
            value.add_(1)


def corners(name: str) -> list[dict[str, Any]]:
    ends = []
    for distribution in AVERAGINGS[name].space.values():
        if isinstance(distribution, CategoricalDistribution):
            ends.append((distribution.choices[0], distribution.choices[-1]))
        else:
            assert isinstance(distribution, FloatDistribution)
            ends.append((distribution.low, distribution.high))
    return [dict(zip(AVERAGINGS[name].space, corner, strict=True)) for corner in itertools.product(*ends)]


CASES = [(name, params) for name in NAMES for params in [dict(AVERAGINGS[name].defaults), *corners(name)]]


@pytest.mark.parametrize("name", NAMES)
def test_says_where_it_is_from_and_what_experts_do(name: str) -> None:
    entry = AVERAGINGS[name]
    assert any(character.isdigit() for character in entry.reference), "no year"
    assert set(entry.defaults) == set(entry.space)
    assert all(contains(entry.space[key], value) for key, value in entry.defaults.items())


@pytest.mark.parametrize(("name", "params"), CASES)
def test_answers_like_the_network_at_first(name: str, params: dict[str, Any]) -> None:
    model = network()
    averaging = AVERAGINGS[name].build(model, **params)
    assert isinstance(averaging.answering, nn.Module)
    assert torch.equal(averaging.answering.eval()(images()), model.eval()(images()))
    assert list(averaging.answering.state_dict()) == list(model.state_dict())


@pytest.mark.parametrize(("name", "params"), CASES)
def test_answers_with_weights_between_those_it_has_seen(name: str, params: dict[str, Any]) -> None:
    model = network()
    averaging = AVERAGINGS[name].build(model, **params)
    before = state_of(model)
    highest = before
    for step in range(10):
        move(model, step)
        highest = state_of(model)
        averaging.update((step + 1) / 11)
    for key, value in floats(state_of(averaging.answering)).items():
        assert value.isfinite().all()
        assert (value > before[key]).all(), key
        assert (value <= highest[key] + 1e-5).all(), key


@pytest.mark.parametrize("name", NAMES)
def test_keeps_the_networks_memory(name: str) -> None:
    """Optimizers and captured graphs hold the addresses of the weights."""
    model = network()
    addresses = [value.data_ptr() for value in model.state_dict().values()]
    averaging = AVERAGINGS[name].build(model)
    answers = [value.data_ptr() for value in averaging.answering.state_dict().values()]
    for step in range(6):
        move(model, step)
        averaging.update(0.5)
    assert [value.data_ptr() for value in model.state_dict().values()] == addresses
    assert [value.data_ptr() for value in averaging.answering.state_dict().values()] == answers
    assert averaging.answering[0].weight.is_contiguous(memory_format=torch.channels_last)  # type: ignore[index, union-attr]


@pytest.mark.parametrize("name", NAMES)
def test_gradients_pass_on(name: str) -> None:
    """An update between two backward passes leaves no trace in either."""
    model = network()
    averaging = AVERAGINGS[name].build(model)
    for _ in range(6):
        model(images()).sum().backward()
        averaging.update(0.5)
    assert all(parameter.grad is not None for parameter in model.parameters() if parameter.requires_grad)
    assert all(parameter.is_leaf for parameter in averaging.answering.parameters())


def test_without_averaging_the_network_itself_answers() -> None:
    model = network()
    averaging = AVERAGINGS["none"].build(model)
    before = state_of(model)
    averaging.update(0.5)
    assert averaging.answering is model
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_the_moving_average_is_the_one_written_by_hand() -> None:
    """The first update copies, the next keep less than `decay`; buffers are averaged like weights."""
    model = network()
    averaging = AVERAGINGS["ema"].build(model, decay=0.6)
    assert averaging.answering is not model
    expected: State = {}
    # From the 13th step on 0.6 is the smaller of the two.
    for step in range(20):
        move(model, step)
        before = state_of(model)
        averaging.update(step / 20)
        assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
        kept = min(0.6, (1 + step) / (10 + step))
        expected = {
            name: value if step == 0 else kept * expected[name] + (1 - kept) * value
            for name, value in floats(before).items()
        }
    found = floats(state_of(averaging.answering))
    assert set(found) == set(expected)
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, rtol=1e-5, atol=1e-6)


def test_the_moving_average_is_torchs() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
    # So small that it is what a step keeps from the beginning.
    ours = AVERAGINGS["ema"].build(model, decay=0.1)
    reference = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(0.1), use_buffers=True)
    for _ in range(4):
        model(torch.randn(2, 3, 5, 5))
        with torch.no_grad():
            for weights in model.parameters():
                weights.add_(torch.randn_like(weights))
        ours.update(0.5)
        reference.update_parameters(model)
    expected = floats(reference.module.state_dict())
    assert all(torch.equal(value, expected[name]) for name, value in floats(state_of(ours.answering)).items())
    # Torch averages the count of batches too, rounding down.
    assert ours.answering[1].num_batches_tracked == model[1].num_batches_tracked == 4


def test_slow_weights_are_those_of_the_loop_written_by_hand() -> None:
    """Every fifth step slow = w slow + (1 - w) fast with w = decay^5 share^3, and the fast return to them."""
    model = network()
    averaging = AVERAGINGS["lookahead"].build(model, decay=0.9)
    assert averaging.answering is not model
    slow = floats(state_of(model))
    for step in range(1, 18):
        move(model, step)
        share = step / 17
        before = floats(state_of(model))
        averaging.update(share)
        if step % 5 == 0:
            keep = 0.9**5 * share**3
            slow = {name: keep * value + (1 - keep) * before[name] for name, value in slow.items()}
            before = slow
        fast, answer = floats(state_of(model)), floats(state_of(averaging.answering))
        assert {"1.running_mean", "1.running_var"} < set(answer)
        for name, value in slow.items():
            torch.testing.assert_close(answer[name], value, rtol=1e-5, atol=1e-6)
            torch.testing.assert_close(fast[name], before[name], rtol=1e-5, atol=1e-6)


def test_slow_weights_are_the_fast_ones_at_the_start_and_hardly_move_at_the_end() -> None:
    model = network()
    averaging = AVERAGINGS["lookahead"].build(model, decay=0.99)
    for step in range(5):
        move(model, step)
        averaging.update(0.0)
    answer, fast = floats(state_of(averaging.answering)), floats(state_of(model))
    assert all(torch.equal(value, fast[name]) for name, value in answer.items())
    move(model, 5)
    for _ in range(5):
        averaging.update(1.0)
    for name, value in floats(state_of(averaging.answering)).items():
        assert (value - answer[name]).abs().max() < 1 - 0.99**5 + 1e-4
