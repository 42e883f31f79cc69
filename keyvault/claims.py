"""What a sealed key file claims: one grant, or several of consecutive epochs with the same rights.

The claims are one JSON object (docs/spec/sealed_key.md, section 5).  Its epochs differ in number and
commitment only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

from keyvault import canonical
from keyvault.errors import InputError
from keyvault.grant import Grant, Kind, Recipient
from keyvault.policy import Policy

MAX_EPOCHS = 256  # in one file
_SHARED = (
    "issuer",
    "min_epoch",
    "not_after",
    "not_before",
    "sensor",
    "serial",
    "status_max_age",
)


def to_json(grants: Sequence[Grant]) -> dict[str, Any]:
    """The claims of a file as members of a canonical JSON object; InputError as :func:`check`."""
    check(grants)
    first = grants[0]
    return {name: getattr(first, name) for name in _SHARED} | {
        "epochs": [{"commitment": canonical.b64url(g.commitment), "epoch": g.epoch} for g in grants],
        "policy": first.policy.to_json(),
        "recipients": [{"kid": r.kid, "kind": str(r.kind), "name": r.name} for r in first.recipients],
        "sensor_key": canonical.b64url(first.sensor_key),
    }


def from_json(value: Any) -> tuple[Grant, ...]:
    """The inverse of to_json; InputError or PolicyError for anything else."""
    claims = _members(value, {*_SHARED, "epochs", "policy", "recipients", "sensor_key"}, "the grant")
    shared = {name: claims[name] for name in _SHARED} | {
        "policy": Policy.from_json(claims["policy"]),
        "recipients": _recipients(claims["recipients"]),
        "sensor_key": _octets(claims["sensor_key"], "sensor_key"),
    }
    if not isinstance(claims["epochs"], list):
        raise InputError("epochs is not a list")
    entries = [_members(item, {"commitment", "epoch"}, "an epoch") for item in claims["epochs"]]
    grants = tuple(
        Grant(epoch=entry["epoch"], commitment=_octets(entry["commitment"], "commitment"), **shared)
        for entry in entries
    )
    check(grants)
    return grants


def check(grants: Sequence[Grant]) -> None:
    """Raise InputError unless these grants can be the claims of one file."""
    if not 1 <= len(grants) <= MAX_EPOCHS:
        raise InputError(f"a sealed key is for 1 to {MAX_EPOCHS} epochs, not {len(grants)}")
    first = grants[0]
    if len(grants) > 1 and first.for_sensor is not None:
        raise InputError("a key that is sealed for its sensor is for one epoch")
    for one, following in pairwise(grants):
        if following.epoch != one.epoch + 1:
            raise InputError(f"epoch {following.epoch} does not follow epoch {one.epoch}")
        if replace(following, epoch=first.epoch, commitment=first.commitment) != first:
            raise InputError(f"epochs {first.epoch} and {following.epoch} of one file differ in more than their keys")


def _recipients(value: Any) -> tuple[Recipient, ...]:
    if not isinstance(value, list):
        raise InputError("recipients is not a list")
    entries = [_members(item, set(Recipient.__slots__), "a recipient") for item in value]
    try:
        return tuple(Recipient(Kind(entry["kind"]), entry["name"], entry["kid"]) for entry in entries)
    except ValueError as error:
        raise InputError(f"a recipient is neither sensor nor host: {error}") from error


def _members(value: Any, names: set[str], what: str) -> dict[str, Any]:
    if not isinstance(value, dict) or set(value) != names:
        raise InputError(f"{what} has missing or unknown members")
    return value


def _octets(value: Any, what: str) -> bytes:
    if not isinstance(value, str):
        raise InputError(f"{what} is not a string")
    return canonical.unb64url(value, what)
