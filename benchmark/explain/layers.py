"""Which layer of a network Grad-CAM looks at, found by asking the network; knows no architecture by name."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from benchmark.records import ImageShape

LEAST_SIDE = 3
"""Places on the shorter side of a map that is worth showing. The last maps of networks for 32-pixel images may have 2,
which tell hardly more than chance where the evidence is."""
LEAST_ACTIVATION = -0.3
"""No usual activation gives less: SiLU's least value is -0.28. What a convolution or a norm gives goes further down."""


@dataclass(frozen=True)
class MapLayer:
    """A layer whose output is a map of the image: C channels at each of `height` x `width` places."""

    name: str
    """As `nn.Module.named_modules` has it."""
    order: str
    """How channels and places lie in the output: "BChw", "BhwC", or "BTC" with the places as tokens, row by row."""
    height: int
    width: int
    prefix: int = 0
    """Tokens before those of places, as the class token of a vision transformer."""

    def as_map(self, output: Tensor) -> Tensor:
        """The layer's output as (B, C, h, w)."""
        if self.order == "BTC":
            places = output[:, self.prefix :].transpose(1, 2)
            return places.reshape(*places.shape[:2], self.height, self.width)
        return output if self.order == "BChw" else output.permute(0, 3, 1, 2)

    def put_back(self, maps: Tensor, output: Tensor) -> Tensor:
        """The layer's output with these maps (B, C, h, w) in place of its own."""
        if self.order == "BTC":
            return torch.cat([output[:, : self.prefix], maps.flatten(2).transpose(1, 2)], 1)
        return maps if self.order == "BChw" else maps.permute(0, 2, 3, 1)


def find_map_layer(network: nn.Module, images: Tensor) -> MapLayer | None:
    """The last layer whose output is a map that the answer wholly comes from, fine enough to tell places apart.

    `images`: some that the network takes, normalised, float32 (B, C, H, W); a few are enough. The network has to be in
    evaluation mode. The layer is the last with at least LEAST_SIDE places a side, else the last of those with most
    places, and None where no layer has a map. Of the layers with maps of that size, the last is taken whose output is
    that of an activation, if there is one, as where the method was introduced: of what a convolution or a norm gives,
    many images have no place that counts as evidence for their class. A map

    - has more than one place, in the proportions of the image;
    - moves the answer: once a class token has seen the patches, their own outputs have no influence; and
    - lets nothing pass beside it: from the images to the logits no path avoids it, as one does around the inside of a
      residual or an attention block.
    """
    found = list(_map_layers(network, images))
    fine = [one for one in found if min(one[0].height, one[0].width) >= LEAST_SIDE]
    if not found:
        return None
    last = fine[0][0] if fine else max((layer for layer, _ in found), key=lambda layer: layer.height * layer.width)
    size = (last.height, last.width)
    return next((layer for layer, activates in found if activates and (layer.height, layer.width) == size), last)


def _map_layers(network: nn.Module, images: Tensor) -> Iterator[tuple[MapLayer, bool]]:
    """The layers with a map, the last first, and whether an activation gave it."""
    images = images.detach().clone().requires_grad_()
    with torch.enable_grad():
        outputs, logits = _outputs(network, images)
        # Of the classes that were predicted: any would do.
        grads = torch.autograd.grad(logits.amax(1).sum(), list(outputs.values()), allow_unused=True)
    shape = ImageShape(*images.shape[1:])
    prefix = max(int(getattr(module, "num_prefix_tokens", 0)) for module in network.modules())
    for (name, output), grad in reversed(list(zip(outputs.items(), grads, strict=True))):
        layer = None if grad is None else next(_readings(name, output, shape, prefix), None)
        if layer is None or grad is None or not layer.as_map(grad).any():
            continue
        if not _has_way_around(logits, output, images):
            yield layer, bool((output >= LEAST_ACTIVATION).all())


def _outputs(network: nn.Module, images: Tensor) -> tuple[dict[str, Tensor], Tensor]:
    """What every layer that ran once gave, in the order in which they ended, and the logits."""
    outputs: dict[str, Tensor] = {}
    repeated = set()

    def note(name: str, output: Any) -> Any:
        if not isinstance(output, Tensor) or not output.requires_grad:
            return None
        if name in outputs:
            repeated.add(name)
        outputs[name] = output
        # What is done in place to the copy leaves the layer's own output alone.
        return output.clone()

    hooks = [
        module.register_forward_hook(lambda _, __, output, name=name: note(name, output))
        for name, module in network.named_modules()
        if name
    ]
    try:
        logits: Tensor = network(images)
    finally:
        for hook in hooks:
            hook.remove()
    return {name: output for name, output in outputs.items() if name not in repeated}, logits


def _readings(name: str, output: Tensor, image: ImageShape, prefix: int) -> Iterator[MapLayer]:
    """The ways in which an output can be read as a map, the likelier first."""
    if output.dim() == 4:
        for order, (height, width) in (("BChw", output.shape[2:]), ("BhwC", output.shape[1:3])):
            if _is_map_of(image, height, width):
                yield MapLayer(name, order, height, width)
    if output.dim() == 3:
        for before in dict.fromkeys((prefix, 0)):
            places = output.shape[1] - before
            for height in range(1, places + 1):
                if places % height == 0 and _is_map_of(image, height, places // height):
                    yield MapLayer(name, "BTC", height, places // height, before)


def _is_map_of(image: ImageShape, height: int, width: int) -> bool:
    """Whether so many places are more than one, in the proportions of the image but for rounding a side."""
    off = abs(height * image.width - width * image.height)
    return height * width > 1 and off < max(image.height, image.width)


def _has_way_around(logits: Tensor, output: Tensor, images: Tensor) -> bool:
    """Whether the logits depend on the images also by another way than through `output`."""
    # The nodes' Python objects are the same only as long as one of them is kept.
    start, avoided = logits.grad_fn, output.grad_fn
    seen, waiting = {start, avoided}, [start]
    while waiting:
        node = waiting.pop()
        if getattr(node, "variable", None) is images:
            return True
        for before, _ in node.next_functions if node is not None else ():
            if before is not None and before not in seen:
                seen.add(before)
                waiting.append(before)
    return False
