"""What an attack is given, and what it looks like to the audit."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from audit.finding import Finding, Stand
from audit.material import Material
from keyvault.errors import InputError, PolicyError
from keyvault.policy import FrameKeys, Policy, Protection

OF_THE_POLICY = "The frames are the attack's own, under a key of its own: this is of the policy, not of given frames."


class DoesNotApplyError(InputError):
    """An attack cannot say anything of sound evidence: it is too little, or nothing that the attack fits."""


@contextmanager
def refusals() -> Iterator[None]:
    """Around an attack on evidence that is there: raises what the attack refuses of it as DoesNotApplyError."""
    try:
        yield
    except (InputError, PolicyError) as error:
        raise DoesNotApplyError(str(error), hint=error.hint) from error


@dataclass(frozen=True, eq=False)
class Evidence:
    """What the audit of one policy works on.

    Attributes:
        name: of the policy, for people.
        material: frames under the policy.
        control: frames of the same scenes under :func:`control_policy`, which attacks have to break.
        scenes: uint8 (m, h, w, 3), scenes of the same kind that an attacker knows; none of them is in the frames.
        labels: int64 (m,), their classes; -1 where unknown.

    Raises InputError when constructed without frames or with labels for other scenes.
    """

    name: str
    material: Material
    control: Material
    scenes: NDArray[np.uint8]
    labels: NDArray[np.int64]

    def __post_init__(self) -> None:
        if not len(self.material) or not len(self.control):
            raise InputError("an audit without frames", hint="give the audit more scenes")
        if len(self.labels) != len(self.scenes):
            raise InputError(f"{len(self.labels)} labels for {len(self.scenes)} scenes")


@dataclass(frozen=True, slots=True)
class Attack:
    """One attack of the audit.

    Attributes:
        name: its module's name.
        title: for people.
        stands: where an attacker has to stand for it.
        frames_needed: with fewer it is not run, as what it then missed would be no pass; 0 if it makes its own.
        run: attacks evidence and positive control; raises InputError or PolicyError where it cannot say anything.
    """

    name: str
    title: str
    stands: tuple[Stand, ...]
    frames_needed: int
    run: Callable[[Evidence, Stand, np.random.Generator], Finding]


def control_policy(policy: Policy) -> Policy:
    """The paper's fixed key without a mask; what moves, and how far, stays that of the policy, as attacks go by it."""
    return replace(policy, protection=Protection.SHUFFLE, frame_keys=FrameKeys.FIXED)
