"""What a planned network may return."""

from __future__ import annotations

from typing import Any

from torch import fx
from torch.utils import _pytree as pytree

from inference.edges import Factored
from inference.errors import ModelError
from inference.graphs import arguments
from inference.rules.call import is_tensor, law_of, sizes_of


def refuse_results(module: fx.GraphModule) -> fx.GraphModule:
    """Return a planned graph if every result is a tensor, and a shuffled one has its samples first.

    A layout orders axes behind that of the samples, so no other shuffled result could be revealed
    in the shape that the plain network gives it.  Raises ModelError.
    """
    for result in pytree.tree_leaves(arguments(module.graph.output_node())[0]):
        _refuse(result)
    return module


def _refuse(result: Any) -> None:
    if not isinstance(result, fx.Node) or not is_tensor(result):
        raise ModelError(
            f"the network returns {result}, which is no tensor", hint="return tensors, in tuples, lists or dicts"
        )
    law = law_of(result)
    if isinstance(law, Factored) and not (law.factors[0].batch and law.factors[0].size == sizes_of(result)[0]):
        raise ModelError(
            f"the network returns {result}, which is shuffled, and whose first axis is not that of the samples",
            hint="return it with an axis of samples, and that first",
        )
