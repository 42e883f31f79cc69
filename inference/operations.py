"""The keyed operators: what a planned graph holds besides untouched ATen operators.

They are call_function nodes with one target, :func:`keyed`, and a description in
``node.meta["operation"]``.  All but :class:`Arranged` gather taps at key-given positions and
combine them; they differ in how.  Lowering turns them into calls of a backend.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NoReturn

from torch import Tensor

from inference.edges import AnyOrder, Factor
from inference.taps import Grid


@dataclass(frozen=True, slots=True, eq=False)
class Window:
    """Taps between two orders.

    Attributes:
        taps: int32 (P, T) tap map over true positions, -1 for the padding.
        grid: a regular window with the same numbers of positions and taps, for offsets; where
            the taps are not regular, just the shape of the maps.
        axes: the input's axes whose joint index the taps point into.
        extents: what replaces their sizes in the output; the product is P.
        source, target: the orders of input and output; None for true order.
    """

    taps: Tensor
    grid: Grid
    axes: tuple[int, ...]
    extents: tuple[int, ...]
    source: AnyOrder | None
    target: AnyOrder | None


@dataclass(frozen=True, slots=True, eq=False)
class Conv:
    """Multiply the taps with a weight (O, C / groups, kh, kw); arguments: values, weight, bias, residual.

    The residual, if it is not None, is added to the result; then ``activation``, "relu" or None,
    is applied.  The weight of a transposed convolution is (C, O / groups, kh, kw).
    """

    window: Window
    groups: int = 1
    activation: str | None = None
    transposed: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Largest:
    """The maximum of the taps, none of which is padding; argument: values."""

    window: Window


@dataclass(frozen=True, slots=True, eq=False)
class Weighted:
    """The sum of taps, none of which is padding, times float64 ``weights`` (P, T); argument: values."""

    window: Window
    weights: Tensor


@dataclass(frozen=True, slots=True, eq=False)
class Copy:
    """One tap a position, ``fill`` where it is padding; argument: values."""

    window: Window
    fill: float = 0.0


@dataclass(frozen=True, slots=True, eq=False)
class Arranged:
    """A parameter or buffer, expanded to ``shape``, whose flat index then has these ``factors``, in their orders.

    Argument: the parameter or buffer.
    """

    factors: tuple[Factor, ...]
    shape: tuple[int, ...]


Windowed = Conv | Largest | Weighted | Copy
Operation = Windowed | Arranged


def keyed(*arguments: Any) -> NoReturn:  # noqa: ARG001 - the graph holds them
    """Target of the keyed operators of a planned graph, which is lowered before it runs."""
    raise RuntimeError("a planned graph has to be lowered before it runs")
