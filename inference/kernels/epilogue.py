"""What is done to a convolution's result while it is in cache."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True, slots=True)
class Epilogue:
    """Bias, then a residual, then an activation.

    Attributes:
        bias: (O,), or None.
        residual: rows (R, O), one for each row of the result, or None.
        activation: "relu" or None.
    """

    bias: Tensor | None = None
    residual: Tensor | None = None
    activation: str | None = None

    def part(self, first: int, last: int) -> Epilogue:
        """The epilogue of some rows of the result."""
        residual = None if self.residual is None else self.residual[first:last]
        return Epilogue(self.bias, residual, self.activation)

    def finish(self, out: Tensor, *, biased: bool) -> None:
        """Apply it to rows ``out`` (R, O), in place; ``biased`` if the bias has been added."""
        if self.bias is not None and not biased:
            out.add_(self.bias)
        if self.residual is not None:
            out.add_(self.residual)
        if self.activation == "relu":
            out.relu_()
