"""Weights for networks whose own are not at hand: random, but under which their output depends on the image.

Whether a keyed network computes what the plain one does needs no trained weights.  It needs signals
that do not fade on their way and scores that differ.  So each convolution and linear layer, in the
order in which they run, is scaled to outputs of unit variance on given images (Mishkin and Matas, "All you
need is a good init", ICLR 2016), class scores to more, displacements of boxes to less, and batch
norms take their statistics from the same images.  Where a norm saw values that hardly differ its variance
is made larger: it would magnify rounding.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from keyvault.errors import InputError

SCORE_SPREAD = 3.0
BOX_SPREAD = 0.2
_BOXES = ("bbox", "regression_head")
LEAST_VARIANCE = 0.1  # of a norm's squared mean
#: How many images of a data set serve.
CALIBRATION = 4
LEAST_IMAGES = 2
_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d)


@torch.no_grad()
def calibrate(network: nn.Module, x: Any, classes: int, seed: int) -> nn.Module:
    """Give a network random weights, in place, and return it in evaluation mode.

    Args:
        network: every batch norm of it keeps statistics.
        x: what it is called with: two images or more.
        classes: layers whose outputs are so many, or a multiple, are taken for class scores.
        seed: of the weights.

    Raises:
        InputError: there is but one image.
    """
    if len(x) < LEAST_IMAGES:
        raise InputError("random weights take their scale from two images, there is one", hint="give more images")
    generator = torch.Generator().manual_seed(seed)
    network.eval()
    layers = {module: name for name, module in network.named_modules() if isinstance(module, nn.Conv2d | nn.Linear)}
    for layer in layers:
        layer.weight.copy_(torch.randn(layer.weight.shape, generator=generator))
        if layer.bias is not None:
            layer.bias.zero_()
    norms = [module for module in network.modules() if isinstance(module, _NORMS)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.train()
        norm.momentum = 1.0
    hooks = [layer.register_forward_hook(_Scaling(_spread(name, layer, classes))) for layer, name in layers.items()]
    network(x)
    for hook in hooks:
        hook.remove()
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
        mean, variance = norm.running_mean, norm.running_var
        if mean is not None and variance is not None:
            torch.maximum(variance, LEAST_VARIANCE * mean**2, out=variance)
    return network.eval()


def _spread(name: str, layer: nn.Conv2d | nn.Linear, classes: int) -> float:
    """The standard deviation that a layer's outputs are to have."""
    if any(part in name for part in _BOXES) and layer.weight.shape[0] % 4 == 0:
        return BOX_SPREAD
    return SCORE_SPREAD if layer.weight.shape[0] % classes == 0 else 1.0


class _Scaling:
    """A forward hook that scales its layer to a spread, the first time it runs."""

    def __init__(self, wanted: float) -> None:
        self._wanted = wanted
        self._done = False

    def __call__(self, layer: Any, _inputs: Any, output: Tensor) -> Tensor | None:
        spread = float(output.std()) if output.numel() > 1 else 0.0
        if self._done or spread == 0:
            return None
        self._done = True
        layer.weight.mul_(self._wanted / spread)
        return output * (self._wanted / spread)
