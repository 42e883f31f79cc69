"""What turns an exported graph into a keyed one: small passes, each doing one thing.

Every pass takes and returns a GraphModule, and what it returned is verified by
:func:`inference.passes.check.check_layouts`.
"""

from inference.passes.assign import assign_layouts
from inference.passes.check import LayoutCheckError, check_layouts
from inference.passes.cleanup import remove_no_ops, remove_writes
from inference.passes.constants import fold_constants
from inference.passes.decompose import decompose
from inference.passes.fold import fold_batch_norm
from inference.passes.fuse import fuse_activations, fuse_sums
from inference.passes.in_place import write_in_place
from inference.passes.lower import lower
from inference.passes.regions import inline_regions
from inference.passes.results import refuse_results

__all__ = [
    "LayoutCheckError",
    "assign_layouts",
    "check_layouts",
    "decompose",
    "fold_batch_norm",
    "fold_constants",
    "fuse_activations",
    "fuse_sums",
    "inline_regions",
    "lower",
    "refuse_results",
    "remove_no_ops",
    "remove_writes",
    "write_in_place",
]
