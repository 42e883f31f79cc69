"""Policies under which frames are not protected as they could be: what was measured, and what to use instead.

The measurements are those of tools/privacy_audit.py on 32 x 32 pictures of CIFAR-10; docs/threat_model.md has them
together, and docs/privacy_audit.md every one.
"""

from __future__ import annotations

from dataclasses import dataclass

from keyvault.policy import FrameKeys, Policy, Protection, Unit

#: Where the figures of every attack on every policy are.
AUDIT = "docs/privacy_audit.md"
_NARROW = 16  # bands in a frame
_ISSUE = "issue a new epoch with"
_BROKEN = (
    "audited at 32x32: 100 frames give over 95 % of the pixels their places and 200 frames over 99 %; "
    "2 known pictures give 99 %, one chart of the attacker's choice all"
)
_HISTOGRAM = (
    "audited: a picture is found among 10,400 by its values in 100 % of cases, "
    "its class of ten told in over 40 %, on a mosaic in about 30 % (guessing: 12 %)"
)
_ROWS = (
    "audited without mask: from one frame that was shuffled within rows a picture is made whose correlation with the "
    "scene is 0.61 (mean scene: 0.16)"
)
_BANDS = "audited without mask: two bands of 16 rows give 0.44, rows 0.61, whole frames 0.26 (mean scene: 0.16)"
_QUADS = "audited without mask: 12 % of the neighbours in one frame of 256 quads are found (guessing: 0.4 %)"


@dataclass(frozen=True, slots=True)
class Weakness:
    """One reason why a policy protects less than it could.

    Attributes:
        broken: whether frames under it give away the picture or the scene; otherwise the mask still hides them.
        reason: what goes wrong, and what was measured.
        fix: what to do about it.
    """

    broken: bool
    reason: str
    fix: str


def weaknesses(policy: Policy) -> list[Weakness]:
    """What is weak about a policy, the worst first; empty for the default one."""
    masked = policy.protection is Protection.SHUFFLE_MASK
    found = []
    if policy.frame_keys is FrameKeys.FIXED:
        fix = f"{_ISSUE} --frame-keys per-frame --protection shuffle+mask"
        found.append(Weakness(True, f"{policy.breakable}; {_BROKEN}", fix))
    if not masked:
        reason = "shuffle without mask leaves the histogram, which identifies scenes"
        found.append(Weakness(True, f"{reason}; {_HISTOGRAM}", f"{_ISSUE} --protection shuffle+mask"))
    if _narrow(policy):
        found.append(_narrow_scope(policy, masked))
    if policy.unit is Unit.QUAD and not masked:
        reason = f"quads move as a whole, so that colours and edges within each 2 x 2 quad stay together; {_QUADS}"
        found.append(Weakness(True, reason, f"{_ISSUE} --unit photosite"))
    return found


def _narrow(policy: Policy) -> bool:
    return policy.scope == "row" or (policy.scope != "frame" and policy.height >= _NARROW * policy.band_rows)


def _narrow_scope(policy: Policy, masked: bool) -> Weakness:
    if policy.scope == "row":
        reason = f"samples stay in their row, whose mean stays with them; {_ROWS}"
    else:
        reason = (
            f"samples stay in their band of {policy.band_rows} of {policy.height} rows, whose mean stays with them; "
            f"{_BANDS}"
        )
    if masked:
        reason += "; here the mask hides the values, and is all that does"
    return Weakness(not masked, reason, f"{_ISSUE} --scope frame")
