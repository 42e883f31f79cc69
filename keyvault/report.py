"""What a verified sealed key grants, in words and as JSON for programs."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from keyvault import claims
from keyvault.grant import Grant, utc
from keyvault.identity import thumbprint
from keyvault.policy import FrameKeys, Policy, Protection
from keyvault.weakness import AUDIT, weaknesses

_DAY = 86_400
_SOON = 30 * _DAY
VALID, EXPIRED, NOT_YET_VALID = "valid", "expired", "not yet valid"


def state(grant: Grant, now: int) -> str:
    """``valid``, ``expired`` or ``not yet valid`` at ``now`` (Unix s)."""
    if now < grant.not_before:
        return NOT_YET_VALID
    return EXPIRED if now > grant.not_after else VALID


def ends_soon(not_before: int, not_after: int, now: int) -> bool:
    """Whether a validity that has not ended is in its last tenth, and ends within 30 days."""
    return 0 <= not_after - now < min(_SOON, (not_after - not_before) / 10)


def as_json(grants: Sequence[Grant], now: int | None = None) -> dict[str, Any]:
    """The claims of a file, with what follows from them at ``now`` (Unix s; None: the clock).

    Besides the claims: ``key_ids``, one an epoch; ``state``; ``seconds_left`` until the validity begins or
    ends, None once it has ended; ``warnings``, none where nothing is to be said.
    """
    moment = int(time.time()) if now is None else now
    return claims.to_json(grants) | {
        "key_ids": [grant.key_id for grant in grants],
        "state": state(grants[0], moment),
        "seconds_left": _seconds_left(grants[0], moment),
        "warnings": warnings(grants[0], moment),
    }


def as_text(grants: Sequence[Grant], now: int | None = None) -> str:
    """The claims of a file, one a line, at ``now`` (Unix s; None: the clock)."""
    moment = int(time.time()) if now is None else now
    grant = grants[-1]
    lines = [
        ("sensor", f"{grant.sensor} (key {thumbprint(grant.verifier())})"),
        *([("epochs", f"{grants[0].epoch} to {grant.epoch}")] if len(grants) > 1 else []),
        *(("epoch", f"{one.epoch} (key id {one.key_id})") for one in grants),
        ("serial", str(grant.serial)),
        ("in use", f"epochs from {grant.min_epoch} on"),
        ("validity", _validity(grant, moment)),
        ("status", _status(grant)),
        *_policy(grant.policy),
        ("for", grant.sealed_for()),
        *(("host", f"{host.name} (key {host.kid})") for host in grant.hosts),
        ("issuer", grant.issuer),
    ]
    return "\n".join(f"{name:<11}{value}" for name, value in lines)


def warnings(grant: Grant, now: int) -> list[str]:
    """What to look at before a sealed key is used at ``now`` (Unix s)."""
    found = [weakness.reason for weakness in weaknesses(grant.policy)]
    if state(grant, now) == NOT_YET_VALID:
        found.append(f"not valid before {utc(grant.not_before)}")
    elif state(grant, now) == EXPIRED:
        found.append(f"expired at {utc(grant.not_after)}: keyvault rotate --sensor {grant.sensor}")
    elif ends_soon(grant.not_before, grant.not_after, now):
        found.append(f"expires in {span(grant.not_after - now)}: keyvault rotate --sensor {grant.sensor}")
    if grant.for_sensor is None:
        found.append("for hosts only: the sensor cannot open it")
    elif not grant.hosts:
        found.append("for the sensor only: no host can open its frames")
    return found


def warning(policy: Policy) -> str:
    """A warning of one line where frames under a policy are not protected; empty elsewhere."""
    return f"WARNING: {policy.breakable}; {AUDIT} has what attacks get" if policy.breakable else ""


def span(seconds: int) -> str:
    """A length of time in words, rounded down to one unit, such as ``3 days``."""
    for name, length in (("day", _DAY), ("hour", 3600), ("minute", 60)):
        if seconds >= length:
            count = seconds // length
            return f"{count} {name}{'s' if count > 1 else ''}"
    return f"{seconds} s"


def _validity(grant: Grant, now: int) -> str:
    found = state(grant, now)
    left = _seconds_left(grant, now)
    if found == EXPIRED:
        note = f"{span(now - grant.not_after)} ago"
    else:
        note = f"{span(left or 0)} left" if found == VALID else f"in {span(left or 0)}"
    return f"{found}: {utc(grant.not_before)} to {utc(grant.not_after)} ({note})"


def _seconds_left(grant: Grant, now: int) -> int | None:
    found = state(grant, now)
    if found == EXPIRED:
        return None
    return (grant.not_before if found == NOT_YET_VALID else grant.not_after) - now


def _status(grant: Grant) -> str:
    if grant.status_max_age is None:
        return "opens without a status list"
    return f"opens with a status list of at most {span(grant.status_max_age)}"


def _policy(policy: Policy) -> list[tuple[str, str]]:
    samples = "" if policy.samples_per_photosite == 1 else f", {policy.samples_per_photosite} samples a photosite"
    return [
        ("geometry", f"{policy.width}x{policy.height}, CFA {policy.cfa}, {policy.bits} bit{samples}"),
        ("shuffle", f"{policy.unit}s within {_scope(policy)}"),
        ("mask", "yes" if policy.protection is Protection.SHUFFLE_MASK else "no"),
        ("frame keys", "one for all frames" if policy.frame_keys is FrameKeys.FIXED else "one for each frame"),
    ]


def _scope(policy: Policy) -> str:
    if policy.scope == "frame":
        return "the whole frame"
    return "each row" if policy.band_rows == 1 else f"each band of {policy.band_rows} rows"
