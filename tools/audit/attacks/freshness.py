"""Whether anything that has to be new in every frame is used twice: its number, and with it the order and the mask.

Whoever has the keys sees it at a glance; an attacker finds it by ``reuse``.  The product is asked for it, too.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass, replace
from math import lgamma, log

import numpy as np
from numpy.typing import NDArray

from audit.attack import Attack, Evidence
from audit.finding import Finding, Scale, Stand
from audit.intervals import share_interval
from audit.material import Material
from audit.numbered_alike import numbered_alike
from audit.own_home import SENSOR, OwnHome, own_home
from audit.positions import Sensor
from audit.views import in_line
from keyvault.errors import EpochRollbackError, InputError, PolicyError
from keyvault.policy import FrameKeys, Policy, Protection
from sensor_sim import Camera

NAME = "freshness"
_FEWEST = 2
_CONTROL = 4  # frames
_BY_CHANCE = 1e-6  # how likely two fresh orders of all frames may be equal


@dataclass(frozen=True, eq=False)
class Repeated:
    """Which frames share something with another one: bool (n,) each.

    Attributes:
        orders: where samples are stored.
        masks: what was added to them, in the order of the scene.
    """

    orders: NDArray[np.bool_]
    masks: NDArray[np.bool_]

    @classmethod
    def of(cls, material: Material) -> Repeated:
        """Compare every frame with every other; without a mask no mask is shared."""
        orders = _repeated(material.tables)
        if material.policy.protection is not Protection.SHUFFLE_MASK:
            return cls(orders, np.zeros(len(orders), np.bool_))
        stored = (in_line(material.file).astype(np.int64) - in_line(material.memory)) % 2**material.policy.bits
        masks = np.take_along_axis(stored, material.tables[:, :, None].astype(np.int64), axis=1)
        return cls(orders, _repeated(masks))

    @property
    def frames(self) -> NDArray[np.bool_]:
        """Those that share either."""
        return self.orders | self.masks


def _repeated(rows: NDArray[np.int64] | NDArray[np.int32]) -> NDArray[np.bool_]:
    names = [hashlib.sha256(np.ascontiguousarray(row).data).digest() for row in rows]
    counts = Counter(names)
    return np.array([counts[name] > 1 for name in names])


def refuses_a_fixed_mask(policy: Policy) -> bool:
    """Whether one mask for all frames cannot even be asked for."""
    try:
        replace(policy, protection=Protection.SHUFFLE_MASK, frame_keys=FrameKeys.FIXED)
    except PolicyError:
        return True
    return False


def numbers_every_frame_anew(home: OwnHome) -> bool:
    """Whether a sensor that starts again from the same files gives no frame a number that it gave before."""
    frames = []
    for _ in range(2):
        with Camera(home.key, device=home.device) as camera:
            frames += [camera.capture().header.frame_id for _ in range(2)]
    return len(set(frames)) == len(frames)


def refuses_an_older_key(home: OwnHome) -> bool:
    """Whether a sensor that has used the second epoch's key refuses the first one's file."""
    newer = home.key.with_name("2.bin")
    newer.write_bytes(home.vault.issue(SENSOR, home.terms).data)
    with Camera(newer, device=home.device):
        pass
    try:
        with Camera(home.key, device=home.device):
            return False
    except EpochRollbackError:
        return True


def refusals(home: OwnHome) -> dict[str, bool]:
    """Of each way to use a mask twice, whether the product refuses it; the home's first key is spent by it."""
    return {
        "a fixed key with a mask": refuses_a_fixed_mask(home.terms.policy),
        "a frame number used twice": numbers_every_frame_anew(home),
        "an older key file": refuses_an_older_key(home),
    }


def _check(policy: Policy, frames: int) -> None:
    if policy.frame_keys is FrameKeys.FIXED:
        raise InputError("the policy has one key for all frames and no mask: nothing has to be new in a frame")
    orders = sum(lgamma(len(part) + 1) for part in Sensor(policy).parts())  # logarithm of how many there are
    if orders < 2 * log(frames) - log(2 * _BY_CHANCE):
        raise InputError(
            f"{frames} frames of {policy.width} x {policy.height} photosites can be in the same order by chance",
            hint="give a larger sensor, or fewer frames",
        )


def run(evidence: Evidence, stand: Stand, generator: np.random.Generator) -> Finding:  # noqa: ARG001  # draws nothing
    """Look for an order or a mask that two of the frames share, and ask the product for ways to make it so.

    A single pair fails the policy, and so does a product that does not refuse.  The control is four frames that were
    all given the same number.

    Raises InputError if the policy has one key for all frames, or so few orders that two are the same by chance.
    """
    material = evidence.material
    _check(material.policy, len(material))
    with own_home(replace(material.policy, protection=Protection.SHUFFLE_MASK)) as home:
        control = Repeated.of(numbered_alike(home.opened(), np.resize(material.plain, _control_shape(material))))
        refused = refusals(home)
    found = Repeated.of(material)
    hits = int(found.frames.sum()) if all(refused.values()) else len(material)
    return Finding.judged(
        Scale("share of frames whose order or mask is used twice", 0.0, 0.0),
        share_interval(hits, len(material)),
        attack=NAME,
        stand=stand,
        policy=evidence.name,
        score=hits / len(material),
        control_broke=bool((control.orders & control.masks).all()),
        frames=len(material),
        smallest_breaking=_FEWEST,
        note=_note(found, refused),
    )


def _control_shape(material: Material) -> tuple[int, ...]:
    return (_CONTROL, *material.plain.shape[1:])


def _note(found: Repeated, refused: dict[str, bool]) -> str:
    words = "; ".join(f"{name}: {'refused' if done else 'possible'}" for name, done in refused.items())
    return (
        f"Of {len(found.frames)} frames {int(found.orders.sum())} share their order with another one, and "
        f"{int(found.masks.sum())} their mask. The product, asked for {words}."
    )


ATTACK = Attack(
    name=NAME,
    title="A number, an order or a mask used twice",
    stands=(Stand.FILE,),
    frames_needed=_FEWEST,
    run=run,
)
