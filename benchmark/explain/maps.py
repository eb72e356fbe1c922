"""Grad-CAM maps of a loaded entrant; chooses no images and draws nothing."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass

import numpy as np
import torch
from captum.attr import LayerGradCam
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from benchmark.errors import BenchError
from benchmark.explain.layers import MapLayer, find_map_layer
from benchmark.inference import LoadedEntrant, LoadedModel
from benchmark.temperature import apply_temperature

_BATCH = 64
"""Images at a time."""
_ASKED = 4
"""Images by which the layer is found: of several, one that leaves a layer dead does no harm."""


@dataclass(frozen=True, eq=False)
class Explanation:
    """What an entrant says of N images, and which places of them spoke for it; H x W pixels, M members, K classes.

    Maps are float32 in [0, 1]: a member's own are divided by their highest value in the image, so that 1 is the place
    that spoke most for the class, and 0 one that did not or spoke against it. A map without any such place is 0.
    """

    probs: NDArray[np.float32]
    """The entrant's probabilities (N, K) after the temperature, with the views and the precision of its trials."""
    classes: NDArray[np.int64]
    """The class (N,) that each image's maps are about."""
    heat: NDArray[np.float32]
    """The entrant's maps (N, H, W): the mean of its members' by `votes`, 1 only where all have their highest value."""
    member_heats: NDArray[np.float32]
    """Each member's maps (M, N, H, W), in the order of `LoadedEntrant.members`; 0 for one without."""
    map_sizes: NDArray[np.int64]
    """Height and width (M, 2) of the members' maps before they were enlarged; 0 for one without."""
    layers: tuple[str, ...]
    """The layer (M) that each member's maps are of; empty for one without."""
    votes: tuple[float, ...]
    """What each member counts in `heat` (M), summing to 1; 0 for one without a map."""

    @property
    def predicted(self) -> NDArray[np.int64]:
        """The most probable class (N,)."""
        most: NDArray[np.int64] = self.probs.argmax(axis=1)
        return most

    @property
    def confidence(self) -> NDArray[np.float32]:
        """The probability (N,) of the predicted class."""
        most: NDArray[np.float32] = self.probs.max(axis=1)
        return most


def explain(
    loaded: LoadedEntrant,
    pixels: NDArray[np.uint8],
    classes: Sequence[int] | NDArray[np.int64] | None = None,
    *,
    temperature: float = 1.0,
) -> Explanation:
    """Grad-CAM maps of images uint8 (N, H, W, C) for `classes` (N,), or for what the entrant predicts.

    `temperature` scales the stated probabilities and no map: without it those of two entrants do not compare. All
    members of an ensemble are asked about the same class. Maps are computed in float32, of one view of the image,
    and enlarged bilinearly. Raises BenchError where no member that votes has a layer with a map.
    """
    if not len(pixels):
        raise BenchError("there is no image to explain")
    probs = np.exp(apply_temperature(loaded.log_probs(pixels), temperature))
    asked = probs.argmax(axis=1) if classes is None else np.asarray(classes, np.int64)
    layers = [layer_of(member, pixels) for member in loaded.members]
    counted = np.array([0.0 if layer is None else vote for layer, vote in zip(layers, loaded.votes, strict=True)])
    if not counted.sum():
        raise BenchError(
            f"{loaded.entrant.name} has no layer whose output is a map of the image, of more than one place: Grad-CAM "
            "has nothing to show; explain another entrant"
        )
    heats = np.stack(
        [
            np.zeros(pixels.shape[:3], np.float32) if layer is None else heat_of(member, layer, pixels, asked)
            for member, layer in zip(loaded.members, layers, strict=True)
        ]
    )
    votes = counted / counted.sum()
    return Explanation(
        probs=probs,
        classes=asked,
        heat=np.tensordot(votes, heats, axes=1).astype(np.float32),
        member_heats=heats,
        map_sizes=np.array([(0, 0) if layer is None else (layer.height, layer.width) for layer in layers]),
        layers=tuple("" if layer is None else layer.name for layer in layers),
        votes=tuple(votes.tolist()),
    )


def layer_of(model: LoadedModel, pixels: NDArray[np.uint8]) -> MapLayer | None:
    """The layer that a model's maps of images uint8 (N, H, W, C) are of; None where it has none."""
    with _in_float32(model.network):
        return find_map_layer(model.network, model.inputs(pixels[:_ASKED]))


def heat_of(
    model: LoadedModel, layer: MapLayer, pixels: NDArray[np.uint8], classes: NDArray[np.int64]
) -> NDArray[np.float32]:
    """One model's maps (N, H, W) of images uint8 (N, H, W, C) for `classes` (N,), each divided by its highest value."""
    heats = []
    for start in range(0, len(pixels), _BATCH):
        batch = slice(start, start + _BATCH)
        images = model.inputs(pixels[batch])
        with _in_float32(model.network):
            maps = grad_cam(model.network, layer, images, torch.as_tensor(classes[batch], device=images.device))
        heat = functional.interpolate(maps[:, None], images.shape[2:], mode="bilinear", align_corners=False)[:, 0]
        most = heat.amax((1, 2), keepdim=True)
        heats.append(torch.where(most > 0, heat / most, 0.0).cpu().numpy())
    return np.concatenate(heats)


def _in_float32(network: nn.Module) -> AbstractContextManager[None]:
    """Convolutions in float32, not in TF32; recurrent layers without cuDNN, which has gradients in training alone."""
    has_recurrent = any(isinstance(module, nn.RNNBase) for module in network.modules())
    return torch.backends.cudnn.flags(enabled=not has_recurrent, deterministic=True, allow_tf32=False)


def grad_cam(network: nn.Module, layer: MapLayer, images: Tensor, classes: Tensor) -> Tensor:
    """Grad-CAM maps, float32 (B, h, w) at or above 0, of normalised images (B, C, H, W) for `classes` int64 (B,).

    The sum over channels of the layer's outputs, each weighted by the mean gradient of the class's logit over all
    places; what is negative becomes 0. Source: Selvaraju et al. 2017, arXiv:1610.02391, section 3, equations 1 and 2.
    """
    # Captum knows one order of channels and places: it looks at a stand-in that sees the layer's output in that order.
    stand_in = nn.Identity()
    hook = network.get_submodule(layer.name).register_forward_hook(
        lambda _, __, output: layer.put_back(stand_in(layer.as_map(output)), output)
    )
    try:
        maps: Tensor = LayerGradCam(network, stand_in).attribute(images, classes, relu_attributions=True)
    finally:
        hook.remove()
    return maps[:, 0].detach()
