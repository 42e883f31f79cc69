"""Equation 2: from keys to the offsets of a deformable operator.

A deformable operator samples its input at grid position + kernel tap + offset.  With the input
stored in the order ``k_in`` and the output to be stored in the order ``k_out``, the offset of a tap
is the displacement from where the regular window at *stored* output position ``k_out(q)`` would
sample to where the pixel that the tap of *true* position q reads is stored now.  Offsets are whole
numbers, so that sampling never interpolates, and a tap that falls into the padding is sent
outside the map, where deformable operators sample zero.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torchvision.ops import deform_conv2d

from inference.taps import Grid, Pair, grid_taps, stored_taps

OUTSIDE = -2  # a row and column that lies outside of every map


def offsets(k_in: Tensor | None, k_out: Tensor | None, grid: Grid, dtype: torch.dtype = torch.float32) -> Tensor:
    """f(K) of Eq. 2 for any regular window, in the layout of torchvision's DeformConv2d.

    Args:
        k_in: int32 (1 or N, h * w), stored position of each input position; None for true order.
        k_out: int32 (1 or N, h' * w'), stored position of each output position; None for true order.
        grid: the window.
        dtype: of the offsets; that of the values that will be sampled.

    Returns (1 or N, 2 * T, h', w') with (dy, dx) of tap t in channels 2 t and 2 t + 1.
    """
    device = next((key.device for key in (k_in, k_out) if key is not None), None)
    return displacements(stored_taps(grid_taps(grid).to(device), k_in, k_out), grid, dtype)


def displacements(taps: Tensor, grid: Grid, dtype: torch.dtype) -> Tensor:
    """Offsets (R, 2 * T, h', w') that lead the taps of ``grid`` to stored positions ``taps`` (R, P, T)."""
    (out_h, out_w), (kernel_h, kernel_w) = grid.out, grid.kernel
    rows = torch.where(taps < 0, OUTSIDE, taps // grid.size[1])
    columns = torch.where(taps < 0, OUTSIDE, taps % grid.size[1])
    shape = (taps.shape[0], out_h, out_w, kernel_h, kernel_w)
    dy = rows.view(shape) - grid.sampling(0).to(taps.device)[None, :, None, :, None]
    dx = columns.view(shape) - grid.sampling(1).to(taps.device)[None, None, :, None, :]
    both = torch.stack((dy, dx), -1).view(shape[0], out_h, out_w, 2 * grid.taps)
    return both.permute(0, 3, 1, 2).contiguous().to(dtype)


def sample_taps(x: Tensor, offset: Tensor, grid: Grid) -> Tensor:
    """What each tap of a deformable window reads: (N, C, T, h', w'), zero outside the map.

    A depthwise deformable convolution whose kernels have a single one.
    """
    channels, taps = x.shape[1], grid.taps
    one_hot = torch.eye(taps, dtype=x.dtype, device=x.device).repeat(channels, 1)
    weight = one_hot.view(channels * taps, 1, *grid.kernel)
    sampled = deform_conv2d(x, offset, weight, stride=grid.stride, padding=grid.padding, dilation=grid.dilation)
    return sampled.unflatten(1, (channels, taps))


def deform_max_pool2d(
    x: Tensor,
    offset: Tensor,
    kernel_size: Pair,
    stride: Pair | None = None,
    padding: Pair = (0, 0),
    dilation: Pair = (1, 1),
) -> Tensor:
    """Deformable max pooling: the largest of the positions that the displaced taps read.

    Args:
        x: (N, C, h, w) floating point.
        offset: (N, 2 * T, h', w') whole numbers in x's dtype, as :func:`offsets` makes them.
        kernel_size, stride, padding, dilation: of the window; the stride is the kernel's size if None.

    Returns (N, C, h', w').  A tap outside the map counts as minus infinity.
    """
    size = (x.shape[2], x.shape[3])
    grid = Grid.regular(size, kernel_size, stride or kernel_size, padding, dilation)
    return largest(sample_taps(x, offset, grid), offset, grid)


def largest(sampled: Tensor, offset: Tensor, grid: Grid) -> Tensor:
    """The maximum over the taps (N, C, T, h', w') that lie inside the map."""
    pairs = offset.unflatten(1, (*grid.kernel, 2))
    rows = pairs[:, :, :, 0] + grid.sampling(0).to(offset.device).T[:, None, :, None]
    columns = pairs[:, :, :, 1] + grid.sampling(1).to(offset.device).T[None, :, None, :]
    inside = (rows >= 0) & (rows < grid.size[0]) & (columns >= 0) & (columns < grid.size[1])
    return sampled.masked_fill(~inside.flatten(1, 2)[:, None], float("-inf")).amax(2)
