"""How operators that cannot be keyed are named to the user."""

from __future__ import annotations

import re
from collections.abc import Sequence

from torch import fx

from inference.errors import UnsupportedOperator, UnsupportedOperatorError
from inference.graphs import module_path

_HINT = "replace these operators, or run these parts of the network outside of secure()"
_FRAME = re.compile(r'File "(?P<file>[^"]+)", line (?P<line>\d+)')


def described(node: fx.Node, reason: str = "") -> UnsupportedOperator:
    """An operator, where it is called, and what keeps it from being keyed."""
    operator = f"{node.target} ({reason})" if reason else str(node.target)
    return UnsupportedOperator(operator, module_path(node), _source(node.meta.get("stack_trace") or ""))


def refuse(operators: Sequence[UnsupportedOperator]) -> None:
    """Raises UnsupportedOperatorError if there are any."""
    if operators:
        raise UnsupportedOperatorError(operators, hint=_HINT)


def _source(trace: str) -> str:
    """The innermost line of a stack trace that is not torch's own."""
    frames = [(m["file"], m["line"]) for m in _FRAME.finditer(trace)]
    own = [frame for frame in frames if "/torch/" not in frame[0]] or frames
    return ":".join(own[-1]) if own else ""
