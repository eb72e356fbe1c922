"""Fold batch norms into the convolutions before them, for prediction; leaves the network itself as it is."""

from __future__ import annotations

import copy
from collections import Counter

from torch import fx, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

_AFTER_NORM = ["drop", "act"]
"""The modules of timm's BatchNormAct2d, in the order in which they come after the norm."""


def folded(model: nn.Module) -> nn.Module:
    """A copy that says the same up to rounding, without the batch norms that directly follow a convolution.

    `model` is in evaluation mode, where such a norm is a fixed scale and shift of each channel. Where there is none, or
    the forward pass cannot be traced, it is `model` itself. Source: Jacob et al. 2018, arXiv:1712.05877, section 3.2.
    """
    if not any(_is_fixed(part) for part in model.modules()) or not (pairs := _foldable(model)):
        return model
    copied = copy.deepcopy(model)
    for conv_name, norm_name in pairs:
        conv, norm = copied.get_submodule(conv_name), copied.get_submodule(norm_name)
        assert isinstance(conv, nn.Conv2d)
        assert isinstance(norm, nn.BatchNorm2d)
        copied.set_submodule(conv_name, fuse_conv_bn_eval(conv, norm))
        # What a norm of timm's does beside scale and shift; of a plain one nothing is left.
        copied.set_submodule(norm_name, nn.Sequential(*norm.children()))
    return copied


def _foldable(model: nn.Module) -> list[tuple[str, str]]:
    """Names of convolutions and of the norms that alone take their outputs; each is called once in a pass."""
    try:
        graph = _Tracer().trace(model)
    except Exception:
        # Whatever a forward pass does with a placeholder for its images: it is not traced, and runs as it is.
        return []
    modules = dict(model.named_modules())
    calls = Counter(node.target for node in graph.nodes if node.op == "call_module")
    pairs = []
    for node in graph.nodes:
        if node.op != "call_module" or not _is_fixed(modules[node.target]) or not isinstance(node.args[0], fx.Node):
            continue
        source = node.args[0]
        # No subclass: one that changes its weights in the forward pass is another function.
        follows = source.op == "call_module" and type(modules[source.target]) is nn.Conv2d and len(source.users) == 1
        if follows and calls[source.target] == calls[node.target] == 1:
            pairs.append((str(source.target), str(node.target)))
    return pairs


class _Tracer(fx.Tracer):
    """Looks into modules that are made of others, and into no batch norm."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        """Whether its pass is one call of the graph."""
        is_single = isinstance(m, nn.BatchNorm2d) or not any(True for _ in m.children())
        return is_single or super().is_leaf_module(m, module_qualified_name)


def _is_fixed(module: nn.Module) -> bool:
    """Whether it is a batch norm of statistics that it keeps, alone or with what timm's have after it."""
    if not isinstance(module, nn.BatchNorm2d) or module.training or module.running_mean is None:
        return False
    return type(module) is nn.BatchNorm2d or [name for name, _ in module.named_children()] == _AFTER_NORM
