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
from audit.finding import Finding, Interval, Scale, Stand, Verdict, judge
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
_FAIL = 0.25
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


def equal_values(
    opened: OpenGrant, frame: PrivateFrame, bits: Iterable[int], derivation: Derivation = as_it_is
) -> list[int]:
    """How many values of a frame, whose positions are known, are right if one bit of the mask's key is flipped."""
    keys = [derivation(key) for key in (opened.epoch_key, *(flipped(opened.epoch_key, bit) for bit in bits))]
    right, *others = (unmasked(frame, opened, with_key(opened, key)) for key in keys)
    return [int((one == right).sum()) for one in others]


def evenness(samples: NDArray[np.uint16], levels: int, bins: int = 256) -> float:
    """The p-value of a chi-square test that samples are uniform on 0 .. levels - 1."""
    return float(chisquare(np.bincount(samples.ravel().astype(np.int64) * bins // levels, minlength=bins)).pvalue)


def unmasked(frame: PrivateFrame, right: OpenGrant, masks: OpenGrant) -> NDArray[np.uint16]:
    """A frame's samples without the mask of one key, every word of which goes where the right key says.

    So nothing but the mask's words is wrong; the values that they leave are taken for DN as they are.
    """
    header = frame.header
    mask_key = masks.frame_secrets(header.frame_id).mask_key
    return unmask(frame.samples, frame_permutation(right, header.frame_id), mask_key, header.policy)


def under_another(frame: ShuffledFrame, generator: np.random.Generator) -> ShuffledFrame:
    """The frame with an unrelated permutation of its policy, which owes nothing to an epoch key."""
    return replace(frame, permutation=expand(generator.bytes(KEY_BYTES), frame.header.policy))


def of_noise(frame: ShuffledFrame, generator: np.random.Generator) -> ShuffledFrame:
    """The frame with values drawn at random, which owe nothing to a key."""
    samples = generator.integers(0, 2**frame.header.policy.bits, frame.samples.shape).astype(np.uint16)
    return replace(frame, samples=samples)


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
        """The frames as a host would have them, with positions by one key and the mask of another, each its own."""
        found = []
        for frame, of_places, of_masks in zip(self.frames, places, masks, strict=True):
            samples = unmasked(frame, self.opened, of_masks)
            found.append(ShuffledFrame(frame.header, samples, frame_permutation(of_places, frame.header.frame_id)))
        return found

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
    """At the file, how many positions and values a flipped bit leaves; in memory, what the network says of wrong keys.

    The scenes are those of the control's frames, on which the network was not trained; the frames are the attack's own.
    """
    policy, scenes = evidence.material.policy, evidence.control.first(FRAMES)
    if stand is Stand.FILE:
        return _at_the_file(evidence, capture(policy, scenes.plain, scenes.labels), generator)
    if scenes.labels.min() < 0:
        raise InputError(
            "scenes without classes", hint="audit a policy, with scenes that have classes, such as CIFAR-10"
        )
    if scene_size(policy) != (SIDE, SIDE):
        raise InputError(f"{NETWORK} looks at {SIDE}x{SIDE} pixels", hint="audit a policy of such scenes")
    return _in_memory(evidence, capture(policy, scenes.plain, scenes.labels), generator)


@dataclass(frozen=True)
class Part:
    """What wrong keys were asked for, positions or masks, and what came of it."""

    scale: Scale
    interval: Interval
    score: float
    control_broke: bool

    @property
    def verdict(self) -> Verdict:
        """Of this part alone."""
        return judge(self.scale, self.interval, self.control_broke)


def worst(parts: Sequence[Part]) -> Part:
    """The part with the worst verdict, and of several the one that is furthest above chance."""
    return min(parts, key=lambda one: (list(Verdict).index(one.verdict), one.scale.chance - one.score))


def _at_the_file(evidence: Evidence, captured: Captured, generator: np.random.Generator) -> Finding:
    policy, opened, frame = evidence.material.policy, captured.opened, captured.frames[0]
    sensor, bits = Sensor(policy), range(KEY_BITS)
    places = Scale("share of positions that stay when a key bit is flipped", sensor.chance_to_stay(), _FAIL)
    counted = [equal_places(opened, frame, bits), equal_places(opened, frame, bits, first_half)]
    masked = policy.protection is Protection.SHUFFLE_MASK
    parts = [_counted(places, counted, math.prod(sensor.grid), 1 + masked)]
    if masked:
        values = Scale("share of values right with the mask of a key with a bit flipped", 2.0**-policy.bits, _FAIL)
        counted = [equal_values(opened, frame, bits), equal_values(opened, frame, bits, first_half)]
        parts.append(_counted(values, counted, frame.samples.size, 1 + masked))
    told = "; ".join(f"{part.scale.unit} {part.score:.2%}, by chance {part.scale.chance:.2%}" for part in parts)
    return _finding(
        *(evidence, Stand.FILE, parts, 1),
        f"Each of {KEY_BITS} bits of the epoch key was flipped. Of one frame, {told}. "
        f"{_under_the_mask(captured, generator)}",
    )


def _counted(scale: Scale, counted: Sequence[Sequence[int]], of_one: int, parts: int) -> Part:
    """What came of all flipped bits, and of the same with the control's derivation; one of so many parts."""
    (hits, of_control), trials = (sum(one) for one in counted), KEY_BITS * of_one
    broke = share_interval(of_control, trials).low > scale.level
    return Part(scale, share_interval(hits, trials, parts), hits / trials, broke)


def _finding(evidence: Evidence, stand: Stand, parts: Sequence[Part], frames: int, note: str) -> Finding:
    """The worst part; where nothing leaks, every part has to have broken its control."""
    part = worst(parts)
    leaks = part.verdict in (Verdict.FAIL, Verdict.WARN)
    return Finding.judged(
        part.scale,
        part.interval,
        attack=NAME,
        stand=stand,
        policy=evidence.name,
        score=part.score,
        control_broke=leaks or all(one.control_broke for one in parts),
        frames=frames,
        smallest_breaking=1,
        note=f"{note} {OF_THE_POLICY}",
    )


def _under_the_mask(captured: Captured, generator: np.random.Generator) -> str:
    policy = captured.opened.grant.policy
    if policy.protection is not Protection.SHUFFLE_MASK:
        return "The policy has no mask: values are right under any key."
    samples = np.stack([one.samples for one in captured.opened_with(captured.keys, captured.flipped_keys(generator))])
    even = evenness(samples, 2**policy.bits)
    return f"What such a mask makes of {len(samples)} frames' samples is uniform with p = {even:.2g} (chi-square)."


def _in_memory(evidence: Evidence, captured: Captured, generator: np.random.Generator) -> Finding:
    wrong, right = captured.flipped_keys(generator), captured.keys
    of_right = captured.opened_with(right, right)
    with_right, masked = captured.right(of_right), captured.opened.grant.policy.protection is Protection.SHUFFLE_MASK

    def part(what: str, frames: list[ShuffledFrame], blind: list[ShuffledFrame]) -> Part:
        hits, by_chance = captured.right(frames), captured.right(blind)
        chance = float(by_chance.mean())
        scale = Scale(f"share of frames classified rightly with {what}", chance, chance + _ABOVE_CHANCE * (1 - chance))
        interval = paired_interval(hits, by_chance, generator, 1 + masked).mapped(
            lambda share: min(max(share, 0.0), 1.0)
        )
        least = share_interval(int(with_right.sum()), len(with_right)).low
        return Part(scale, interval, float(hits.mean()), least > max(_WORKS, scale.fail))

    unrelated = [under_another(frame, generator) for frame in of_right]
    parts = [part("wrong positions", captured.opened_with(wrong, right), unrelated)]
    if masked:
        noise = [of_noise(frame, generator) for frame in of_right]
        parts.append(part("a wrong mask", captured.opened_with(right, wrong), noise))
    told = ", ".join(f"{one.scale.unit.rpartition(' with ')[2]} {one.score:.1%}" for one in parts)
    return _finding(
        *(evidence, Stand.MEMORY, parts, len(with_right)),
        f"{NETWORK} on scenes that it was not trained on, by keys that are one bit off, for each frame another bit. "
        "Chance is the same frames under unrelated permutations of the policy, and for masks values drawn at random. "
        f"Rightly classified: the right key {with_right.mean():.1%}, {told}.",
    )


ATTACK = Attack(
    name=NAME, title="A key that is one bit off", stands=(Stand.FILE, Stand.MEMORY), frames_needed=0, run=run
)
