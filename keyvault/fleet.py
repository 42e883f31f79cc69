"""One operation for many sensors: some at a time in one transaction, each sensor's part whole or undone."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from keyvault.change import Change
from keyvault.errors import (
    FleetError,
    InputError,
    NameTakenError,
    PolicyError,
    PrivcamError,
    StateError,
    UnknownNameError,
)
from keyvault.table_macs import of_sensor
from keyvault.vault import Vault

BATCH = 100
_SHOWN = 3
_OF_ONE_SENSOR = (InputError, NameTakenError, PolicyError, StateError, UnknownNameError)

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Batch(Generic[Result]):
    """What one transaction has done, durably: results, and refusals by the sensor's name."""

    results: tuple[Result, ...]
    refused: tuple[tuple[str, PrivcamError], ...]


def run(vault: Vault, sensors: Sequence[str], operation: Callable[[Change, str], Result]) -> Iterator[Batch[Result]]:
    """Do an operation for each of many sensors.

    A sensor for which it is refused is left as it was, and the others go on.  What stops the run
    (an interruption, a full disk, a damaged vault) undoes the batch that was not finished; those before
    are kept.
    """
    for start in range(0, len(sensors), BATCH):
        results: list[Result] = []
        refused: list[tuple[str, PrivcamError]] = []
        with vault.change() as change:
            for name in sensors[start : start + BATCH]:
                try:
                    with change.part():
                        change.macs.open(of_sensor(name))
                        results.append(operation(change, name))
                except _OF_ONE_SENSOR as error:
                    refused.append((name, error))
        yield Batch(tuple(results), tuple(refused))


def refuse(refused: Sequence[tuple[str, PrivcamError]], of: int) -> None:
    """Raise FleetError if there were refusals; it names the first ones."""
    if not refused:
        return
    shown = "; ".join(f"{name}: {error}" for name, error in refused[:_SHOWN])
    more = "; ..." if len(refused) > _SHOWN else ""
    raise FleetError(
        f"{len(refused)} of {of} sensors were refused and left as they were: {shown}{more}",
        hint=refused[0][1].hint or "the others are done",
    )
