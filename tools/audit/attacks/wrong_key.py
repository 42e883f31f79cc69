"""Keys that are nearly right: one bit of the epoch key flipped, and what is left of a frame.

The avalanche of Webster and Tavares, "On the design of S-boxes", CRYPTO '85, asked of the whole way
from epoch key to positions and masks.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import chisquare
from torch import Tensor, nn

import inference
from adc_firmware import PrivateFrame, frame_permutation, unmask
from audit.attack import OF_THE_POLICY, Attack, Evidence
from audit.finding import Finding, Scale, Stand
from audit.intervals import paired_interval, share_interval
from audit.material import white
from audit.own_home import own_home
from audit.positions import Sensor
from audit.subjects import scene_size
from inference.imaging import Gamma, IspSettings
from inference.session import ShuffledFrame
from keyvault.derivation import KEY_BYTES
from keyvault.errors import InputError
from keyvault.expansion import expand
from keyvault.grant import OpenGrant
from keyvault.policy import Policy, Protection
from sensor_sim import Camera, DnScene

NAME = "wrong_key"
NETWORK = "resnet20"
SIDE = 32  # of its input
FRAMES = 300
KEY_BITS = 8 * KEY_BYTES
_FAIL_PLACES = 0.25
_ABOVE_CHANCE = 1 / 6  # of what lies between chance and 1
_WORKS = 0.5  # of the frames, rightly classified with the right key
Derivation = Callable[[bytes], bytes]


def flipped(key: bytes, bit: int) -> bytes:
    """A key with one bit changed, counted from the last one."""
    return (int.from_bytes(key, "big") ^ (1 << bit)).to_bytes(len(key), "big")


def as_it_is(key: bytes) -> bytes:
    """The product's derivation: the whole key is used."""
    return key


def first_half(key: bytes) -> bytes:
    """A derivation that forgets half of the key, as the positive control."""
    return key[: KEY_BYTES // 2] + bytes(KEY_BYTES // 2)


def with_key(opened: OpenGrant, key: bytes) -> OpenGrant:
    """The grant as if its epoch key were this one."""
    return replace(opened, epoch_key=key)


def equal_places(
    opened: OpenGrant, frame: PrivateFrame, bits: Iterable[int], derivation: Derivation = as_it_is
) -> list[int]:
    """How many positions of a frame are stored at the same place if one bit of the epoch key is flipped, by bit."""
    keys = [derivation(key) for key in (opened.epoch_key, *(flipped(opened.epoch_key, bit) for bit in bits))]
    tables = [frame_permutation(with_key(opened, key), frame.header.frame_id).table for key in keys]
    stored = Sensor(frame.header.policy).stored(np.stack(tables))
    return [int((one == stored[0]).sum()) for one in stored[1:]]


def evenness(samples: NDArray[np.uint16], levels: int, bins: int = 256) -> float:
    """The p-value of a chi-square test that samples are uniform on 0 .. levels - 1."""
    return float(chisquare(np.bincount(samples.ravel().astype(np.int64) * bins // levels, minlength=bins)).pvalue)


def opened_with(frame: PrivateFrame, places: OpenGrant, masks: OpenGrant) -> ShuffledFrame:
    """A frame as a host would have it, the permutation taken from one key and the mask from another.

    The values that the wrong mask leaves are taken for DN as they are.
    """
    header = frame.header
    mask_key = masks.frame_secrets(header.frame_id).mask_key
    samples = unmask(frame.samples, frame_permutation(masks, header.frame_id), mask_key, header.policy)
    return ShuffledFrame(header, samples, frame_permutation(places, header.frame_id))


def under_another(frame: ShuffledFrame, generator: np.random.Generator) -> ShuffledFrame:
    """The frame with an unrelated permutation of its policy, which owes nothing to an epoch key."""
    return replace(frame, permutation=expand(generator.bytes(KEY_BYTES), frame.header.policy))


@torch.inference_mode()
def classes(network: nn.Module, settings: IspSettings, frames: list[ShuffledFrame], batch: int = 50) -> Tensor:
    """What the keyed network takes frames for: int64 (n,)."""
    keyed = inference.secure(network, torch.zeros(1, 3, SIDE, SIDE))
    parts = [frames[first : first + batch] for first in range(0, len(frames), batch)]
    return torch.cat([keyed(inference.isp(part, settings=settings)).argmax(1) for part in parts])


@dataclass(frozen=True, eq=False)
class Captured:
    """Frames of scenes, their classes, -1 where unknown, and the opened key that they are under."""

    opened: OpenGrant
    frames: list[PrivateFrame]
    labels: NDArray[np.int64]

    @property
    def keys(self) -> list[OpenGrant]:
        """The right key, for each frame."""
        return [self.opened] * len(self.frames)

    def flipped_keys(self, generator: np.random.Generator) -> list[OpenGrant]:
        """Keys that are one bit off, for each frame another bit as far as there are so many."""
        key = self.opened.epoch_key
        bits = np.concatenate([generator.permutation(KEY_BITS) for _ in range(len(self.frames) // KEY_BITS + 1)])
        return [with_key(self.opened, flipped(key, int(bit))) for bit in bits[: len(self.frames)]]

    def opened_with(self, places: Sequence[OpenGrant], masks: Sequence[OpenGrant]) -> list[ShuffledFrame]:
        """The frames as a host would have them with these keys, one for each frame."""
        return [opened_with(*one) for one in zip(self.frames, places, masks, strict=True)]

    def right(self, frames: list[ShuffledFrame]) -> NDArray[np.bool_]:
        """Which of the frames the network classifies as labelled."""
        chosen = inference.preset(NETWORK)
        found = classes(inference.pretrained(chosen), chosen.isp_settings(gamma=Gamma.NONE), frames)
        return np.asarray(found.numpy() == self.labels)


def capture(policy: Policy, plain: NDArray[np.uint16], labels: NDArray[np.int64]) -> Captured:
    """A frame of each scene, DN (n, h, w) or (n, h, w, 3), under a new key; PolicyError if they do not fit."""
    with own_home(policy) as home, Camera(home.key, device=home.device) as camera:
        scenes = [DnScene(dn, 0, white(policy), name=f"scene {number}") for number, dn in enumerate(plain)]
        return Captured(home.opened(), [camera.capture(scene) for scene in scenes], labels)


def run(evidence: Evidence, stand: Stand, generator: np.random.Generator) -> Finding:
    """At the file, how many positions a flipped bit leaves; in memory, what the network says under wrong keys.

    The scenes are those of the control's frames, on which the network was not trained; the frames are the attack's own.
    """
    policy, scenes = evidence.material.policy, evidence.control.first(FRAMES)
    if stand is Stand.FILE:
        return _positions(evidence, capture(policy, scenes.plain, scenes.labels), generator)
    if scenes.labels.min() < 0:
        raise InputError(
            "scenes without classes", hint="audit a policy, with scenes that have classes, such as CIFAR-10"
        )
    if scene_size(policy) != (SIDE, SIDE):
        raise InputError(f"{NETWORK} looks at {SIDE}x{SIDE} pixels", hint="audit a policy of such scenes")
    return _classes(evidence, capture(policy, scenes.plain, scenes.labels), generator)


def _positions(evidence: Evidence, captured: Captured, generator: np.random.Generator) -> Finding:
    policy, opened, frame = evidence.material.policy, captured.opened, captured.frames[0]
    sensor = Sensor(policy)
    scale = Scale("share of positions that stay when a key bit is flipped", sensor.chance_to_stay(), _FAIL_PLACES)
    trials = KEY_BITS * math.prod(sensor.grid)
    stayed = sum(equal_places(opened, frame, range(KEY_BITS)))
    control = sum(equal_places(opened, frame, range(KEY_BITS), first_half))
    interval = share_interval(stayed, trials)
    return Finding.judged(
        scale,
        interval,
        attack=NAME,
        stand=Stand.FILE,
        policy=evidence.name,
        score=stayed / trials,
        control_broke=share_interval(control, trials).low > scale.level,
        frames=1,
        smallest_breaking=1,
        note=(
            f"Each of {KEY_BITS} bits of the epoch key was flipped. {_under_the_mask(captured, generator)} "
            f"{OF_THE_POLICY}"
        ),
    )


def _under_the_mask(captured: Captured, generator: np.random.Generator) -> str:
    policy = captured.opened.grant.policy
    if policy.protection is not Protection.SHUFFLE_MASK:
        return "The policy has no mask: values are right under any key."
    wrong = captured.flipped_keys(generator)
    samples = np.stack([one.samples for one in captured.opened_with(wrong, wrong)])
    even = evenness(samples, 2**policy.bits)
    return f"What such a key makes of {len(samples)} frames' samples is uniform with p = {even:.2g} (chi-square)."


def _classes(evidence: Evidence, captured: Captured, generator: np.random.Generator) -> Finding:
    wrong, right = captured.flipped_keys(generator), captured.keys
    of_right = captured.opened_with(right, right)
    by_chance = captured.right([under_another(frame, generator) for frame in of_right])
    hits, with_right = captured.right(captured.opened_with(wrong, right)), captured.right(of_right)
    chance, trials = float(by_chance.mean()), len(hits)
    scale = Scale("share of frames classified rightly", chance, chance + _ABOVE_CHANCE * (1 - chance))
    paired = paired_interval(hits, by_chance, generator)
    interval = paired.mapped(lambda share: min(max(share, 0.0), 1.0))
    least = share_interval(int(with_right.sum()), trials).low
    shares = [f"with the right key {with_right.mean():.1%}"]
    if captured.opened.grant.policy.protection is Protection.SHUFFLE_MASK:
        shares += [
            f"with a wrong mask alone {captured.right(captured.opened_with(right, wrong)).mean():.1%}",
            f"with both wrong {captured.right(captured.opened_with(wrong, wrong)).mean():.1%}",
        ]
    return Finding.judged(
        scale,
        interval,
        attack=NAME,
        stand=Stand.MEMORY,
        policy=evidence.name,
        score=float(hits.mean()),
        control_broke=least > max(_WORKS, scale.fail),
        frames=trials,
        smallest_breaking=1,
        note=(
            f"{NETWORK} on scenes that it was not trained on; values right and positions by a key that is one bit off, "
            f"for each frame another bit. Chance is the same frames under unrelated permutations of the policy. "
            f"Rightly classified {', '.join(shares)}. {OF_THE_POLICY}"
        ),
    )


ATTACK = Attack(
    name=NAME, title="A key that is one bit off", stands=(Stand.FILE, Stand.MEMORY), frames_needed=0, run=run
)
