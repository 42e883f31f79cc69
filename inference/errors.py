"""Refusals of the authorised host, beside those of keyvault."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from keyvault.errors import PrivcamError


class DeviceUnavailableError(PrivcamError):
    """The device asked for is not in this machine."""

    exit_code = 11


@dataclass(frozen=True, slots=True)
class UnsupportedOperator:
    """One operator of a network that no rule covers.

    Attributes:
        operator: its name, such as ``aten.grid_sampler.default``.
        module: dotted path of the module that calls it; empty for the network itself.
        source: ``file:line`` of the call, or the line's text; empty where unknown.
    """

    operator: str
    module: str = ""
    source: str = ""

    def __str__(self) -> str:
        place = " ".join(
            part for part in (self.module and f"in {self.module}", self.source and f"at {self.source}") if part
        )
        return f"{self.operator} ({place})" if place else self.operator


class UnsupportedOperatorError(PrivcamError):
    """A network uses operators that cannot be keyed; the message names all of them.

    Attributes:
        operators: what is missing, in the order of the graph.
    """

    exit_code = 12

    def __init__(self, operators: Sequence[UnsupportedOperator], *, hint: str = "") -> None:
        self.operators = tuple(operators)
        count = len(self.operators)
        listed = "; ".join(map(str, self.operators))
        super().__init__(f"no rule for {count} operator{'s' * (count != 1)}: {listed}", hint=hint)


class ModelError(PrivcamError):
    """A network, its weights and its input do not go together."""

    exit_code = 13


class UnknownModelError(ModelError):
    """No network has the name asked for."""


class WeightsError(ModelError):
    """Weights cannot be read, or do not fit the network."""


class SavedNetworkError(ModelError):
    """A saved keyed network is incomplete, damaged, of a newer version, or none."""


class InputMismatchError(ModelError):
    """A tensor or frame does not have the form that the network or the ISP was set up for."""
