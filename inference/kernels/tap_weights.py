"""Weights of convolutions, arranged for rows of gathered taps: dense, grouped, depthwise."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor

from inference.kernels.epilogue import Epilogue


class TapWeight(Protocol):
    """A prepared weight."""

    outputs: int

    def multiply(self, tapped: Tensor, epilogue: Epilogue, out: Tensor) -> None:
        """Write the convolution of gathered taps (R, T, C) to ``out`` (R, O)."""


def tap_weight(weight: Tensor, groups: int) -> TapWeight:
    """Prepare a weight (O, C / groups, kh, kw)."""
    if groups == 1:
        return Dense(weight)
    return Depthwise(weight) if weight.shape[1] == 1 else Grouped(weight, groups)


class Dense:
    """One matrix (T C, O)."""

    def __init__(self, weight: Tensor) -> None:
        self.outputs = weight.shape[0]
        self._matrix = weight.flatten(2).permute(2, 1, 0).flatten(0, 1).contiguous()

    def multiply(self, tapped: Tensor, epilogue: Epilogue, out: Tensor) -> None:
        """One matrix product."""
        if epilogue.bias is None:
            torch.mm(tapped.flatten(1), self._matrix, out=out)
        else:
            torch.addmm(epilogue.bias, tapped.flatten(1), self._matrix, out=out)
        epilogue.finish(out, biased=True)


class Grouped:
    """One matrix (T C / G, O / G) for each of G groups."""

    def __init__(self, weight: Tensor, groups: int) -> None:
        self.outputs, self._groups = weight.shape[0], groups
        by_group = weight.flatten(2).unflatten(0, (groups, -1))  # (G, O / G, C / G, T)
        self._matrices = by_group.permute(0, 3, 2, 1).flatten(1, 2).contiguous()

    def multiply(self, tapped: Tensor, epilogue: Epilogue, out: Tensor) -> None:
        """One matrix product a group."""
        by_group = tapped.unflatten(2, (self._groups, -1)).permute(2, 0, 1, 3).flatten(2)  # (G, R, T C / G)
        product = torch.bmm(by_group, self._matrices)
        out.unflatten(1, (self._groups, -1)).copy_(product.transpose(0, 1))
        epilogue.finish(out, biased=False)


class Depthwise:
    """One weight (T, C, M) a tap and channel, for M outputs of each channel."""

    def __init__(self, weight: Tensor) -> None:
        self.outputs = weight.shape[0]
        self._weight = weight

    def multiply(self, tapped: Tensor, epilogue: Epilogue, out: Tensor) -> None:
        """Weighted taps, summed."""
        channels = tapped.shape[2]
        by_tap = self._weight.flatten(1).unflatten(0, (channels, -1)).permute(2, 0, 1)  # (T, C, M)
        sums = out.unflatten(1, (channels, -1)).zero_()
        for tap in range(tapped.shape[1]):
            sums.addcmul_(tapped[:, tap, :, None], by_tap[tap])
        epilogue.finish(out, biased=False)
