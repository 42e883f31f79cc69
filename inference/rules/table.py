"""The table of rules."""

from __future__ import annotations

from collections.abc import Callable

from torch import fx
from torch._ops import OpOverload

from inference.rules.call import Call

Rule = Callable[[Call], fx.Node]
RULES: dict[OpOverload, Rule] = {}


def rule(*operators: OpOverload) -> Callable[[Rule], Rule]:
    """Enter a rule into the table for each of these operators.  Raises ValueError if one has a rule."""

    def enter(function: Rule) -> Rule:
        for operator in operators:
            if operator in RULES:
                raise ValueError(f"{operator} has two rules")
            RULES[operator] = function
        return function

    return enter
