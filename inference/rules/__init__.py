"""One rule an operator: how it acts on keyed values.

``RULES`` maps ATen overloads to rules.  A rule gets a :class:`~inference.rules.call.Call` with at
least one keyed input, emits the nodes that compute it on stored values, and returns the last one.
Operators whose inputs are all plain need no rule: they run as they are.
"""

from inference.rules import (  # noqa: F401 - they fill the table
    channels,
    contractions,
    linear,
    movement,
    pointwise,
    reductions,
    resample,
    windows,
)
from inference.rules.table import RULES

__all__ = ["RULES"]
