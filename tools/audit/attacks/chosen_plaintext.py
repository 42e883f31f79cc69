"""The camera is shown charts that give every photosite a number: its private frames then say where each one went.

After Li, Li, Chen, Bourbakis and Lo, "A general quantitative cryptanalysis of permutation-only multimedia ciphers",
Signal Processing: Image Communication 23(3), 2008, and Jolfaei, Wu and Muthukkumarasamy, "On the security of
permutation-only image encryption schemes", IEEE TIFS 11(2), 2016: as few charts as a number has digits.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from audit.attack import OF_THE_POLICY, Attack, Evidence, control_policy
from audit.finding import Finding, Scale, Stand
from audit.intervals import least_breaking, mean_interval
from audit.material import Material, make_material
from audit.pairs import BROKEN, UNIT, greens, guess, put_right, said
from audit.positions import Sensor
from audit.views import seen
from keyvault.errors import InputError
from keyvault.policy import Policy
from quad_scenes import WHITE

Images = NDArray[np.uint8]
Floats = NDArray[np.float64]
NAME = "chosen_plaintext"
LEVELS = WHITE + 1  # that a chart can show
READ = 100  # frames that are put right


def charts(policy: Policy) -> Images:
    """The fewest charts that tell the photosites of a band apart: uint8 (n, h, w, 3), a pixel for each photosite.

    A photosite's number in its band is written to the base 256: a digit for each chart, or three on a stacked
    sensor.  On a mosaic all three colours show the digit, so that it does not matter which one the filter leaves.
    """
    inside = policy.band_rows * policy.width
    samples = policy.samples_per_photosite
    count = 1
    while LEVELS ** (samples * count) < inside:
        count += 1
    numbers = np.arange(policy.photosites) % inside
    digits = [numbers // LEVELS**place % LEVELS for place in range(samples * count)]
    shown = np.stack(digits, axis=1).reshape(policy.height, policy.width, count, samples)
    return np.ascontiguousarray(np.broadcast_to(shown, (*shown.shape[:3], 3)).transpose(2, 0, 1, 3), np.uint8)


def show(policy: Policy, scenes: Images) -> tuple[Material, int]:
    """Hold the charts, and then scenes, in front of a new camera: frames under one sealed key, and how many are charts.

    Args:
        policy: of the frames.
        scenes: uint8 (n, h, w, 3), a pixel for each quad of a mosaic, or for each photosite.
    """
    numbered = charts(policy)
    factor = policy.height // scenes.shape[1]
    images = np.concatenate([numbered, scenes.repeat(factor, axis=1).repeat(factor, axis=2)])
    return make_material(images, policy), len(numbered)


def attacked(material: Material, chosen: int, stand: Stand) -> Floats:
    """Shares of positions that are put right in each frame of a scene by the first chart, the first two, ...: (k, n).

    Args:
        material: frames of all charts, and then of scenes.
        chosen: how many are of charts.
        stand: where the attacker reads both.
    """
    sensor = Sensor(material.policy)
    frames, plain = sensor.in_line(seen(material, stand)), sensor.in_line(material.plain)
    found = [guess(plain[:count], frames[:count], sensor) for count in range(1, chosen + 1)]
    return np.array([[sensor.found(one, table) for table in material.tables[chosen:]] for one in found])


def run(evidence: Evidence, stand: Stand, generator: np.random.Generator) -> Finding:
    """Put 100 frames right by charts that the same camera was shown.

    The camera and its sealed key are made for the attack, under the policy of the evidence.

    Raises InputError if there are no scenes to read.
    """
    policy, scenes = evidence.material.policy, evidence.scenes[:READ]
    if not len(scenes):
        raise InputError("it needs scenes besides those of the frames, there are none", hint="give more scenes")
    material, chosen = show(policy, scenes)
    shares = attacked(material, chosen, stand)
    control = attacked(*show(control_policy(policy), scenes), stand)[-1]
    sensor = Sensor(policy)
    scale = Scale(UNIT, sensor.chance(), BROKEN)
    intervals = {pairs: mean_interval(one, generator) for pairs, one in enumerate(shares, 1)}
    return Finding.judged(
        scale,
        intervals[len(shares)],
        attack=NAME,
        stand=stand,
        policy=evidence.name,
        score=float(shares[-1].mean()),
        control_broke=mean_interval(control, generator).low > scale.level,
        frames=len(material),
        smallest_breaking=least_breaking(intervals, scale.level),
        note=(
            f"Charts needed to number the photosites in {LEVELS} levels: {chosen}. Positions of {len(scenes)} other "
            f"frames put right by 1 chart and more: {said(shares)}. The "
            f"control, a fixed key: {control.mean():.1%}. The camera sees the charts without noise."
            f"{greens(sensor)} {OF_THE_POLICY}"
        ),
        pictures=_pictures(material, chosen, stand),
    )


def _pictures(material: Material, chosen: int, stand: Stand) -> dict[str, Images]:
    sensor = Sensor(material.policy)
    frames, plain = sensor.in_line(seen(material, stand)), sensor.in_line(material.plain)
    shown = {
        "the first chart": plain[0],
        "a scene": plain[chosen],
        "what the attacker sees": frames[chosen],
        "put right by the charts": put_right(frames[chosen], guess(plain[:chosen], frames[:chosen], sensor)),
    }
    return {name: sensor.as_picture(samples) for name, samples in shown.items()}


ATTACK = Attack(
    name=NAME,
    title="Charts shown to the camera give the positions of other frames",
    stands=(Stand.FILE, Stand.MEMORY),
    frames_needed=0,
    run=run,
)
