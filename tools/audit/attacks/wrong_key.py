"""Keys that are nearly right: one bit of the epoch key flipped, and what is left of a frame.

The avalanche of Webster and Tavares, "On the design of S-boxes", CRYPTO '85, asked of the whole way
from epoch key to positions and masks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import chisquare
from torch import Tensor, nn

import inference
from adc_firmware import PrivateFrame, frame_permutation, unmask
from audit.attack import Attack, Evidence
from audit.finding import Finding, Scale, Stand, judge
from audit.intervals import share_interval
from audit.material import scene_of
from audit.own_home import own_home
from inference.imaging import Gamma, IspSettings
from inference.session import ShuffledFrame
from keyvault.derivation import KEY_BYTES
from keyvault.errors import InputError
from keyvault.grant import OpenGrant
from keyvault.policy import Policy, Protection, Unit
from sensor_sim import Camera

NAME = "wrong_key"
NETWORK = "resnet20"
SIDE = 32  # of its input
FRAMES = 300
KEY_BITS = 8 * KEY_BYTES
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
    """How many photosites of a frame are stored at the same place if one bit of the epoch key is flipped, by bit."""
    keys = [derivation(key) for key in (opened.epoch_key, *(flipped(opened.epoch_key, bit) for bit in bits))]
    tables = [frame_permutation(with_key(opened, key), frame.header.frame_id).table for key in keys]
    return [int((table == tables[0]).sum()) for table in tables[1:]]


def chance_of_a_place(policy: Policy) -> float:
    """The share of photosites that two independent permutations of this policy leave at the same place.

    Of a uniform permutation of k elements one is expected to stay, so each band has one element of 1 or 4 photosites.
    """
    bands = -(-policy.height // policy.band_rows)
    return bands * (4 if policy.unit is Unit.QUAD else 1) / policy.photosites


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


@torch.inference_mode()
def classes(network: nn.Module, settings: IspSettings, frames: list[ShuffledFrame], batch: int = 50) -> Tensor:
    """What the keyed network takes frames for: int64 (n,)."""
    keyed = inference.secure(network, torch.zeros(1, 3, SIDE, SIDE))
    parts = [frames[first : first + batch] for first in range(0, len(frames), batch)]
    return torch.cat([keyed(inference.isp(part, settings=settings)).argmax(1) for part in parts])


@dataclass(frozen=True, eq=False)
class Captured:
    """Frames of labelled scenes, and the opened key that they are under."""

    opened: OpenGrant
    frames: list[PrivateFrame]
    labels: NDArray[np.int64]

    def right(self, places: OpenGrant, masks: OpenGrant) -> int:
        """How many frames the network classifies as labelled, opened with these keys."""
        chosen = inference.preset(NETWORK)
        opened = [opened_with(frame, places, masks) for frame in self.frames]
        found = classes(inference.pretrained(chosen), chosen.isp_settings(gamma=Gamma.NONE), opened)
        return int((found.numpy() == self.labels).sum())


def capture(policy: Policy, images: NDArray[np.uint8], labels: NDArray[np.int64]) -> Captured:
    """A frame of each image (n, h, w, 3) under a new key; PolicyError if their size is not the policy's."""
    with own_home(policy) as home, Camera(home.key, device=home.device) as camera:
        scenes = [scene_of(image, policy, f"scene {number}") for number, image in enumerate(images)]
        return Captured(home.opened(), [camera.capture(scene) for scene in scenes], labels)


def run(evidence: Evidence, stand: Stand, generator: np.random.Generator) -> Finding:
    """At the file, how many positions a flipped bit leaves; in memory, what the network says under wrong keys."""
    chosen = np.flatnonzero(evidence.labels >= 0)[:FRAMES]
    if not chosen.size:
        raise InputError("no known scene has a class", hint="give scenes with classes, such as CIFAR-10")
    captured = capture(evidence.material.policy, evidence.scenes[chosen], evidence.labels[chosen])
    wrong = with_key(captured.opened, flipped(captured.opened.epoch_key, int(generator.integers(KEY_BITS))))
    measure = _positions if stand is Stand.FILE else _classes
    return measure(evidence, captured, wrong)


def _positions(evidence: Evidence, captured: Captured, wrong: OpenGrant) -> Finding:
    policy, opened, frame = evidence.material.policy, captured.opened, captured.frames[0]
    trials = KEY_BITS * policy.photosites
    scale = Scale("share of positions that stay when a key bit is flipped", chance_of_a_place(policy), 0.25)
    hits = sum(equal_places(opened, frame, range(KEY_BITS)))
    control = sum(equal_places(opened, frame, range(KEY_BITS), first_half))
    interval = share_interval(hits, trials)
    return Finding(
        attack=NAME,
        stand=Stand.FILE,
        policy=evidence.name,
        score=hits / trials,
        unit=scale.unit,
        chance=scale.chance,
        interval=interval,
        verdict=judge(scale, interval, share_interval(control, trials).low > scale.fail),
        frames=1,
        smallest_breaking=1 if interval.low > scale.fail else None,
        note=f"Each of 256 bits of the epoch key was flipped.{_under_the_mask(captured, wrong)}",
    )


def _under_the_mask(captured: Captured, wrong: OpenGrant) -> str:
    policy = wrong.grant.policy
    if policy.protection is not Protection.SHUFFLE_MASK:
        return " The policy has no mask: values are right under any key."
    samples = np.stack([opened_with(one, wrong, wrong).samples for one in captured.frames])
    even = evenness(samples, 2**policy.bits)
    return f" What such a key makes of {len(samples)} frames' samples is uniform with p = {even:.2g} (chi-square)."


def _classes(evidence: Evidence, captured: Captured, wrong: OpenGrant) -> Finding:
    opened, trials = captured.opened, len(captured.frames)
    scale = Scale("share of frames classified rightly", 0.1, 0.25)
    hits = captured.right(wrong, opened)
    interval = share_interval(hits, trials)
    return Finding(
        attack=NAME,
        stand=Stand.MEMORY,
        policy=evidence.name,
        score=hits / trials,
        unit=scale.unit,
        chance=scale.chance,
        interval=interval,
        verdict=judge(scale, interval, share_interval(captured.right(opened, opened), trials).low > 0.5),
        frames=trials,
        note=f"{NETWORK}, values right and positions by a key that is one bit off.{_other_parts(captured, wrong)}",
    )


def _other_parts(captured: Captured, wrong: OpenGrant) -> str:
    opened, trials = captured.opened, len(captured.frames)
    shares = [f"With the right key {captured.right(opened, opened) / trials:.1%}"]
    if wrong.grant.policy.protection is Protection.SHUFFLE_MASK:
        shares += [
            f"with a wrong mask alone {captured.right(opened, wrong) / trials:.1%}",
            f"with both wrong {captured.right(wrong, wrong) / trials:.1%}",
        ]
    return f" {', '.join(shares)}."


ATTACK = Attack(
    name=NAME, title="A key that is one bit off", stands=(Stand.FILE, Stand.MEMORY), frames_needed=FRAMES, run=run
)
