"""A grant in words, and as JSON for programs."""

from __future__ import annotations

import time
from typing import Any

from keyvault.grant import Grant, utc
from keyvault.policy import FrameKeys, Policy, Protection


def state(grant: Grant, now: int | None = None) -> str:
    """``valid``, ``expired`` or ``not yet valid`` at ``now`` (Unix s; None: the clock)."""
    moment = int(time.time()) if now is None else now
    if moment < grant.not_before:
        return "not yet valid"
    return "expired" if moment > grant.not_after else "valid"


def as_json(grant: Grant, now: int | None = None) -> dict[str, Any]:
    """The claims, with the key id, the state now, and why the policy is breakable (empty if it is not)."""
    return grant.to_json() | {"key_id": grant.key_id, "state": state(grant, now), "warning": grant.policy.breakable}


def as_text(grant: Grant, now: int | None = None) -> str:
    """The claims, one a line."""
    policy = grant.policy
    samples = "" if policy.samples_per_photosite == 1 else f", {policy.samples_per_photosite} samples a photosite"
    lines = [
        ("sensor", f"{grant.sensor} (key {grant.recipients[0].kid})"),
        ("epoch", f"{grant.epoch} (key id {grant.key_id})"),
        ("validity", f"{state(grant, now)}: {utc(grant.not_before)} to {utc(grant.not_after)}"),
        ("geometry", f"{policy.width}x{policy.height}, CFA {policy.cfa}, {policy.bits} bit{samples}"),
        ("shuffle", f"{policy.unit}s within {_scope(policy)}"),
        ("mask", "yes" if policy.protection is Protection.SHUFFLE_MASK else "no"),
        ("frame keys", "one for all frames" if policy.frame_keys is FrameKeys.FIXED else "one for each frame"),
        *(("host", f"{host.name} (key {host.kid})") for host in grant.hosts),
        ("issuer", grant.issuer),
    ]
    return "\n".join(f"{name:<11}{value}" for name, value in lines)


def warning(policy: Policy) -> str:
    """A warning of one line where frames under a policy are not protected; empty elsewhere."""
    return f"WARNING: {policy.breakable}" if policy.breakable else ""


def _scope(policy: Policy) -> str:
    if policy.scope == "frame":
        return "the whole frame"
    return "each row" if policy.band_rows == 1 else f"each band of {policy.band_rows} rows"
