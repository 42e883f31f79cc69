"""A mask that hides more than one frame: what scenes usually look like is enough to take it off.

A two-time pad, after Mason, Watkins, Eisner and Stubblefield, "A natural language approach to
automated cryptanalysis of two-time pads", CCS 2006, with the histogram of scenes as the language.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from adc_firmware import frame_permutation
from adc_firmware.addressing import MaskGenerator
from audit.attack import Attack, Evidence
from audit.finding import Finding, Scale, Stand
from audit.intervals import mean_interval
from audit.own_home import SENSOR, OwnHome, own_home
from audit.views import in_line, known, picture, seen
from keyvault.derivation import SESSION_BYTES, FrameId
from keyvault.errors import EpochRollbackError, PolicyError
from keyvault.grant import OpenGrant
from keyvault.policy import FrameKeys, Policy, Protection
from sensor_sim import Camera

Samples = NDArray[np.uint16]
Floats = NDArray[np.float64]
NAME = "reuse"
FRAMES = 256
SCENES = 2000
NEAR = 8  # codes
_FAIL = 0.25
_CAPTION = "one mask for all frames: stored; under the mask that was found; true (in order, for the reader)"
_CLASSES = 8  # of brightness
_ROUNDS = 3
_POSITIONS = 1024
_SAME = FrameId(bytes(SESSION_BYTES), 0)  # the number that all frames are given
_NEVER = 0.5  # how often a value that no known scene has is taken to have been seen


def histogram(scenes: Samples, levels: int) -> Floats:
    """How often each of ``levels`` values occurs in scenes of any shape: float64 (levels,), sum 1."""
    counts = np.bincount(scenes.ravel(), minlength=levels) + _NEVER
    return np.asarray(counts / counts.sum())


@dataclass(frozen=True, eq=False)
class Usual:
    """What scenes usually look like.

    Attributes:
        overall: float64 (levels,), how often a sample has each value.
        edges: means of a scene that part eight classes of brightness: (7,).
        by_brightness: the same as ``overall`` for scenes of each class: (8, levels).
    """

    overall: Floats
    edges: Floats
    by_brightness: Floats

    @classmethod
    def of(cls, scenes: Samples, levels: int) -> Usual:
        """Learn from scenes (m, p) with samples below ``levels``."""
        brightness = scenes.mean(axis=1)
        edges = np.quantile(brightness, np.arange(1, _CLASSES) / _CLASSES)
        group = np.digitize(brightness, edges)
        parts = [histogram(scenes[group == one], levels) for one in range(_CLASSES)]
        return cls(histogram(scenes, levels), edges, np.stack(parts))

    @property
    def levels(self) -> int:
        """How many values a sample can have."""
        return len(self.overall)


def likelihoods(frames: Samples, usual: Floats) -> Floats:
    """The logarithm of how likely frames (n, p) are under each mask of each position: (p, levels)."""
    levels, places = len(usual), frames.shape[1]
    rows = np.arange(places, dtype=np.int64) * levels
    counts = np.bincount((frames + rows).ravel(), minlength=levels * places).reshape(-1, levels)
    # The sum over values v of counts[v] * log(usual[v - mask]) is a circular correlation.
    spectra = np.fft.rfft(counts, axis=1) * np.conj(np.fft.rfft(np.log(usual)))
    return np.fft.irfft(spectra, levels, axis=1)


def likeliest_mask(frames: Samples, usual: Usual) -> Samples:
    """The mask of each position under which its samples are likeliest, if all frames have the same one.

    A first guess tells how bright each frame is, and frames of one brightness are more alike than frames at large.

    Args:
        frames: uint16 (n, p): n frames as stored, below the number of levels.
        usual: what they are expected to show.

    Returns uint16 (p,).
    """
    mask = likelihoods(frames, usual.overall).argmax(axis=1)
    for _ in range(_ROUNDS):
        bare = without(frames, mask.astype(np.uint16), usual.levels)
        group = np.digitize(bare.mean(axis=1), usual.edges)
        parts = [likelihoods(frames[group == one], usual.by_brightness[one]) for one in np.unique(group)]
        mask = np.sum(parts, axis=0).argmax(axis=1)
    return mask.astype(np.uint16)


def without(frames: Samples, mask: Samples, levels: int) -> Samples:
    """Frames (n, p) with a mask (p,) subtracted, modulo the levels."""
    return ((frames.astype(np.int64) - mask) % levels).astype(np.uint16)


def errors(guess: Samples, truth: Samples, levels: int) -> NDArray[np.int64]:
    """How many codes each guess is off, the shorter way round: 0 to levels / 2."""
    apart = (guess.astype(np.int64) - truth) % levels
    return np.minimum(apart, levels - apart)


def best_constant(usual: Floats, near: int) -> float:
    """Share of samples within ``near`` codes of the one value that has most of them so."""
    around = np.concatenate([usual[-near:], usual, usual[:near]])
    return float(np.convolve(around, np.ones(2 * near + 1), "valid").max())


def near(stored: Samples, plain: Samples, usual: Usual) -> Floats:
    """The share of frames, by position, whose sample is right within 8 codes once the likeliest mask is off.

    Args:
        stored: uint16 (n, p), as if all under one mask.
        plain: (n, p), what they hide.
        usual: what scenes look like.
    """
    levels = usual.levels
    bare = without(stored, likeliest_mask(stored, usual), levels)
    return np.asarray((errors(bare, plain, levels) <= NEAR).mean(axis=0))


def reused(opened: OpenGrant, plain: Samples) -> tuple[Samples, Samples]:
    """Frames (n, p, c) as a chip would store them that gives all the same number, and without their mask.

    Returns both as (n, p * c), in stored order.
    """
    policy = opened.grant.policy
    words = MaskGenerator(opened.frame_secrets(_SAME).mask_key, policy).words(0, policy.photosites)
    where = np.argsort(frame_permutation(opened, _SAME).table)
    stored = (plain.astype(np.int64) + words) % 2**policy.bits
    moved, true = (part[:, where].reshape(len(plain), -1).astype(np.uint16) for part in (stored, plain))
    return moved, true


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


@dataclass(frozen=True, eq=False)
class Forced:
    """What reuse would give away, if it were possible.

    Attributes:
        shares: of frames whose sample is right within 8 codes, by position.
        frames: how many they are.
        median: error in codes.
        smallest: the least number of frames that are enough.
        picture: one frame as stored, without its mask as guessed, and as it is, all in true order.
    """

    shares: Floats
    frames: int
    median: float
    smallest: int | None
    picture: NDArray[np.uint8]


def forced(opened: OpenGrant, plain: Samples, usual: Usual) -> Forced:
    """Attack frames (n, p, c) that were all given the same number."""
    stored, true = reused(opened, plain)
    bare = without(stored, likeliest_mask(stored, usual), usual.levels)
    views = [picture(_in_order(opened, part[0]), opened.grant.policy) for part in (stored, bare, true)]
    off = errors(bare, true, usual.levels)
    shares = np.asarray((off <= NEAR).mean(axis=0))
    return Forced(
        shares, len(plain), float(np.median(off)), smallest(stored, true, usual), np.concatenate(views, axis=1)
    )


def smallest(stored: Samples, plain: Samples, usual: Usual) -> int | None:
    """The least number of frames (n, p), among powers of two, that are enough; None if all are not."""
    counts = [2**power for power in range(1, len(plain).bit_length())]
    tried = ((count, near(some(stored[:count]), some(plain[:count]), usual).mean()) for count in counts)
    return next((count for count, share in tried if share > _FAIL), None)


def some(frames: Samples) -> Samples:
    """At most 1024 of the positions of frames (n, p), as many as the attack is judged by."""
    return frames[:, :: -(-frames.shape[1] // _POSITIONS)]


def _in_order(opened: OpenGrant, stored: Samples) -> Samples:
    table = frame_permutation(opened, _SAME).table
    return stored.reshape(len(table), -1)[table]


def run(evidence: Evidence, stand: Stand, generator: np.random.Generator) -> Finding:
    """Take one mask off all frames at once, and ask the product for ways to make it one."""
    material = evidence.material.first(FRAMES)
    policy = material.policy
    usual = Usual.of(known(evidence.scenes[:SCENES], policy).reshape(len(evidence.scenes[:SCENES]), -1), 2**policy.bits)
    scale = Scale(f"share of samples within {NEAR} codes", best_constant(usual.overall, NEAR), _FAIL)
    masked = replace(policy, protection=Protection.SHUFFLE_MASK, frame_keys=FrameKeys.PER_FRAME)
    with own_home(masked) as home:
        control = forced(home.opened(), in_line(material.plain), usual)
        refused = refusals(home)
    stored, hidden = (part.reshape(len(part), -1) for part in (seen(material, stand), in_line(material.memory)))
    if all(refused.values()):
        shares, least = near(some(stored), some(hidden), usual), smallest(stored, hidden, usual)
    else:
        shares, least = control.shares, control.smallest
    interval = mean_interval(shares, generator)
    return Finding.judged(
        scale,
        interval,
        attack=NAME,
        stand=stand,
        policy=evidence.name,
        score=float(shares.mean()),
        control_broke=control.smallest is not None,
        frames=len(material),
        smallest_breaking=least if interval.low > _FAIL else None,
        note=_note(refused, control, policy),
        pictures={_CAPTION: control.picture},
    )


def _note(refused: dict[str, bool], control: Forced, policy: Policy) -> str:
    bare = "" if policy.protection is Protection.SHUFFLE_MASK else " This policy has no mask to take off."
    words = "; ".join(f"{name}: {'refused' if done else 'possible'}" for name, done in refused.items())
    return (
        f"{words[0].upper()}{words[1:]}. Forced on {control.frames} frames, one mask leaves a median error of "
        f"{control.median:g} codes, and {control.smallest} frames break it.{bare}"
    )


ATTACK = Attack(name=NAME, title="One mask for many frames", stands=(Stand.FILE,), frames_needed=FRAMES, run=run)
