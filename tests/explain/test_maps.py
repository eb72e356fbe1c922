"""Grad-CAM maps are those of the paper, lie on planted evidence, and an ensemble's are its members' by votes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from planted_evidence import Planted, alone, entrant, plant, train_on
from torch import Tensor, nn
from torch.nn import functional

from benchmark.architectures import ARCHITECTURES
from benchmark.errors import BenchError
from benchmark.explain import Explanation, MapLayer, explain, grad_cam
from benchmark.inference import LoadedEntrant, LoadedModel
from benchmark.records import Choice, ImageShape


@pytest.fixture(scope="module")
def planted() -> Planted:
    return plant(512)


@pytest.fixture(scope="module")
def model(planted: Planted) -> LoadedModel:
    return train_on(planted, Choice("resnet", {"depth": 8, "width": 8}))


@pytest.fixture(scope="module")
def explanation(planted: Planted, model: LoadedModel) -> Explanation:
    return explain(alone(model), planted.test.pixels)


@pytest.mark.parametrize("has_recurrent", [False, True])
def test_maps_are_made_in_float32_and_without_cudnn_where_it_has_no_gradients(
    planted: Planted, model: LoadedModel, has_recurrent: bool
) -> None:
    settings: list[tuple[bool, bool]] = []

    class Noting(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = model.network
            self.recurrent = nn.LSTM(2, 2) if has_recurrent else nn.Identity()

        def forward(self, images: Tensor) -> Tensor:
            # Where it is asked for its answer alone, it is as in training.
            if torch.is_grad_enabled():
                settings.append((torch.backends.cudnn.enabled, torch.backends.cudnn.allow_tf32))
            return self.network(images)  # type: ignore[no-any-return]

    explain(alone(replace(model, network=Noting().eval())), planted.test.pixels[:4])
    assert set(settings) == {(not has_recurrent, False)}
    assert torch.backends.cudnn.enabled


def by_the_paper(lower: nn.Module, upper: nn.Module, images: Tensor, classes: Tensor) -> Tensor:
    """Equations 1 and 2 of Selvaraju et al. 2017, for a network in two parts."""
    maps = lower(images).detach().clone().requires_grad_()
    # Images do not meet in evaluation mode: the gradient of the sum is that of each.
    upper(maps * 1).gather(1, classes[:, None]).sum().backward()
    assert maps.grad is not None
    weights = maps.grad.mean((2, 3))
    return functional.relu(torch.einsum("bc,bchw->bhw", weights, maps.detach()))


def test_maps_are_those_of_the_paper_at_every_layer() -> None:
    """Layers before one that works in place, and frozen ones, included."""
    torch.manual_seed(0)
    network = ARCHITECTURES["cnn"].build(ImageShape(3, 16, 16), 5, variant="plain", width=16).eval()
    features = network.get_submodule("features")
    assert isinstance(features, nn.Sequential)
    features[0].requires_grad_(False)
    head = network.get_submodule("head")
    images, classes = torch.randn(3, 3, 16, 16), torch.tensor([4, 0, 2])
    for index in range(len(features)):
        rest = features[index + 1 :]

        def upper(maps: Tensor, rest: nn.Module = rest) -> Tensor:
            logits: Tensor = head(rest(maps).mean((2, 3)))
            return logits

        expected = by_the_paper(features[: index + 1], upper, images, classes)
        layer = MapLayer(f"features.{index}", "BChw", *expected.shape[1:])
        torch.testing.assert_close(grad_cam(network, layer, images, classes), expected)
        assert expected.any()


def test_maps_lie_on_the_evidence(planted: Planted, explanation: Explanation) -> None:
    assert (explanation.predicted == planted.test.labels).mean() > 0.9
    heat = explanation.heat
    chance = planted.patches.mean()
    mass = (heat * planted.patches).sum((1, 2)) / heat.sum((1, 2))
    # The patch has 8 x 8 pixels, as two places a side of the map: enlarged, it spreads into those around.
    assert mass.mean() > 5 * chance
    highest = heat.reshape(len(heat), -1).argmax(axis=1)
    assert planted.patches.reshape(len(heat), -1)[np.arange(len(heat)), highest].mean() > 0.9


def test_shapes_and_ranges(planted: Planted, model: LoadedModel, explanation: Explanation) -> None:
    rows = len(planted.test)
    assert explanation.heat.shape == (rows, 32, 32)
    assert explanation.member_heats.shape == (1, rows, 32, 32)
    assert explanation.heat.dtype == explanation.member_heats.dtype == np.float32
    assert explanation.heat.min() >= 0
    np.testing.assert_allclose(explanation.heat.max((1, 2)), 1)
    np.testing.assert_array_equal(explanation.heat, explanation.member_heats[0])
    assert explanation.map_sizes.tolist() == [[8, 8]]
    assert explanation.layers == ("blocks",)
    assert explanation.votes == (1.0,)
    log_probs = model.log_probs(planted.test.pixels)
    np.testing.assert_array_equal(explanation.predicted, log_probs.argmax(axis=1))
    np.testing.assert_allclose(explanation.confidence, np.exp(log_probs.max(axis=1)))


def test_a_temperature_changes_what_is_claimed_and_no_map(
    planted: Planted, model: LoadedModel, explanation: Explanation
) -> None:
    pixels = planted.test.pixels[:6]
    found = explain(alone(model), pixels, temperature=3.0)
    powers = np.exp(model.log_probs(pixels).astype(np.float64) / 3)
    np.testing.assert_allclose(found.probs, powers / powers.sum(axis=1, keepdims=True), rtol=1e-4)
    np.testing.assert_array_equal(found.predicted, explanation.predicted[:6])
    np.testing.assert_allclose(found.heat, explanation.heat[:6], atol=1e-5)


def test_the_predicted_class_is_explained_unless_another_is_asked_for(
    planted: Planted, model: LoadedModel, explanation: Explanation
) -> None:
    pixels = planted.test.pixels[:6]
    same = explain(alone(model), pixels, explanation.predicted[:6])
    np.testing.assert_allclose(same.heat, explanation.heat[:6], atol=1e-5)
    other = explain(alone(model), pixels, (explanation.predicted[:6] + 1) % 3)
    np.testing.assert_array_equal(other.predicted, explanation.predicted[:6])
    # The patch of one colour speaks against the other colours.
    on_patch = planted.patches[:6]
    assert (other.heat * on_patch).sum() < 0.2 * (explanation.heat[:6] * on_patch).sum()


def test_precision_and_views_of_the_trial_do_not_matter_to_maps(
    planted: Planted, model: LoadedModel, explanation: Explanation
) -> None:
    other = replace(model, config=replace(model.config, precision="bfloat16", views="six"))
    np.testing.assert_allclose(
        explain(alone(other), planted.test.pixels[:4], explanation.predicted[:4]).heat, explanation.heat[:4], atol=1e-5
    )


class Blind(nn.Module):
    """A network that knows no places: it looks at mean colours."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(3, 3)

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.linear(images.mean((2, 3)))
        return logits


def together(votes: tuple[float, ...] | None, *models: LoadedModel) -> LoadedEntrant:
    members = tuple(replace(model, number=number) for number, model in enumerate(models))
    return LoadedEntrant(entrant(*members, weights=votes), members, None)


def test_an_ensembles_map_is_its_members_by_votes(planted: Planted, model: LoadedModel) -> None:
    other = train_on(planted, Choice("cnn", {"variant": "plain", "width": 16, "depth": 2, "stem_stride": 1}), epochs=1)
    pixels, classes = planted.test.pixels[:5], [0, 1, 2, 0, 1]
    alones = [explain(alone(one), pixels, classes).heat for one in (model, other)]
    found = explain(together((0.25, 0.75), model, other), pixels, classes)
    np.testing.assert_allclose(found.heat, 0.25 * alones[0] + 0.75 * alones[1], atol=1e-6)
    np.testing.assert_allclose(found.member_heats, np.stack(alones), atol=1e-6)
    assert found.map_sizes.tolist() == [[8, 8], [4, 4]]
    # A method without votes, as stacking: each counts the same.
    found = explain(together(None, model, other), pixels, classes)
    np.testing.assert_allclose(found.heat, np.mean(alones, axis=0), atol=1e-6)


def test_members_without_a_map_leave_their_votes_to_the_others(planted: Planted, model: LoadedModel) -> None:
    blind = replace(model, network=Blind().eval())
    pixels = planted.test.pixels[:3]
    found = explain(together((0.2, 0.5, 0.3), model, blind, model), pixels)
    assert found.layers == ("blocks", "", "blocks")
    assert found.map_sizes.tolist() == [[8, 8], [0, 0], [8, 8]]
    np.testing.assert_allclose(found.votes, (0.4, 0, 0.6))
    assert not found.member_heats[1].any()
    np.testing.assert_allclose(found.heat, found.member_heats[0], atol=1e-6)


def test_an_entrant_without_any_map_is_refused(planted: Planted, model: LoadedModel) -> None:
    blind = replace(model, network=Blind().eval())
    with pytest.raises(BenchError, match="planted has no layer whose output is a map of the image"):
        explain(together((0.0, 1.0), model, blind), planted.test.pixels[:3])
    with pytest.raises(BenchError, match="no image to explain"):
        explain(alone(model), planted.test.pixels[:0])
