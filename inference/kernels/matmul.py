"""Rows times a constant matrix, as fast as this build of torch can."""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor

from inference.kernels.epilogue import Epilogue

ROWS_PACKED_FOR = 2048  # the packed layout is chosen for about so many rows at a time


class PackedMatrix:
    """A constant matrix (O, K) that rows (R, K) are multiplied with: ``rows @ matrix.T + bias``.

    For float32 on the CPU the matrix is kept in oneDNN's own layout, by operators of torch that
    are not public; where they do not exist, and for everything else, addmm does the same.
    """

    def __init__(self, matrix: Tensor) -> None:
        self.outputs = matrix.shape[0]
        self._columns = matrix.t().contiguous()
        self._packed: Tensor | None = None
        if matrix.device.type == "cpu" and matrix.dtype == torch.float32 and packing_works():
            self._packed = torch.ops.mkldnn._reorder_linear_weight(matrix.contiguous(), ROWS_PACKED_FOR)  # noqa: SLF001

    def multiply(self, rows: Tensor, epilogue: Epilogue, out: Tensor) -> None:
        """Write the product of ``rows`` (R, K), with its epilogue, to ``out`` (R, O)."""
        bias = epilogue.bias
        if self._packed is None:
            if bias is None:
                torch.mm(rows, self._columns, out=out)
            else:
                torch.addmm(bias, rows, self._columns, out=out)
            epilogue.finish(out, biased=True)
            return
        product = torch.ops.mkldnn._linear_pointwise(rows, self._packed, bias, "none", [], "")  # noqa: SLF001
        if epilogue.residual is not None:
            torch.add(product, epilogue.residual, out=out)
            if epilogue.activation == "relu":
                out.relu_()
        elif epilogue.activation == "relu":
            torch.clamp_min(product, 0, out=out)
        else:
            out.copy_(product)


@cache
def packing_works() -> bool:
    """Whether this torch has oneDNN's packed linear layer and it computes what it should."""
    try:
        packed = torch.ops.mkldnn._reorder_linear_weight(torch.eye(16), ROWS_PACKED_FOR)  # noqa: SLF001
        rows = torch.linspace(-1, 1, 32).view(2, 16)
        result = torch.ops.mkldnn._linear_pointwise(rows, packed, None, "none", [], "")  # noqa: SLF001
    except (AttributeError, NotImplementedError, RuntimeError):
        return False
    return torch.equal(result, rows)
