"""What is audited: policies by name, in words or of a sealed key, or a folder of private frames."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

import inference
from adc_firmware import PrivateFrame, inspect, read
from adc_firmware.files import is_private
from audit.material import Material
from keyvault.derivation import FrameId
from keyvault.errors import InputError, PolicyError, PrivcamError
from keyvault.policy import Cfa, FrameKeys, Policy, Protection, Unit
from sensor_sim.policies import Wanted, named_policies

SIDE = 32  # pixels of the reference scenes
BITS = 8
#: Protections by name; ``row``, ``band:N`` and ``quad`` are words of a policy already.
PROTECTIONS: dict[str, tuple[Protection, FrameKeys]] = {
    "fixed": (Protection.SHUFFLE, FrameKeys.FIXED),
    "per-frame": (Protection.SHUFFLE, FrameKeys.PER_FRAME),
    "default": (Protection.SHUFFLE_MASK, FrameKeys.PER_FRAME),
}
COMPARED = ("fixed", "per-frame", "default", "row", "band:16", "quad")
_KEYS = {
    FrameKeys.FIXED: "one permutation for all frames",
    FrameKeys.PER_FRAME: "a permutation of its own for each frame",
}


@dataclass(frozen=True, slots=True)
class Subject:
    """A policy under audit and the name that findings have for it; PolicyError for a sensor without colours."""

    name: str
    policy: Policy

    def __post_init__(self) -> None:
        if self.policy.cfa is Cfa.NONE and self.policy.samples_per_photosite == 1:
            raise PolicyError("the audit's scenes have colours, this sensor has none", hint="name a mosaic, or stacked")

    @property
    def about(self) -> str:
        """The policy in words, one line."""
        policy = self.policy
        sensor = "stacked" if policy.samples_per_photosite == 3 else policy.cfa
        mask = "values masked" if policy.protection is Protection.SHUFFLE_MASK else "values as they are"
        scope = (
            "the frame"
            if policy.scope == "frame"
            else policy.scope.replace(":", " of ") + " rows" * (":" in policy.scope)
        )
        return (
            f"{policy.width}x{policy.height}, {sensor}, {policy.bits} bit; {_KEYS[policy.frame_keys]}, {mask}; "
            f"{policy.unit}s move inside {'a ' if scope != 'the frame' else ''}{scope}"
        )


def subject(text: str) -> Subject:
    """The policy that ``--policy`` names: words parted by commas, or a sealed key's file.

    Words are those of ``sensor-sim cost`` and the names in ``PROTECTIONS``.  What they leave open: a stacked sensor,
    or with a mosaic one whose quads are the scenes' pixels; 8 bits; photosites; the whole frame; ``default``.

    Raises:
        InputError: other words, or two on one thing.
        PolicyError: they contradict each other, or the sensor has no colours.
    """
    words = [] if Path(text).is_file() else [word.strip() for word in text.split(",")]
    if "" in words:
        raise InputError(f"{text!r:.60} has an empty word for a policy", hint=f"such as {', '.join(COMPARED)}")
    named = [word for word in words if word in PROTECTIONS]
    if len(named) > 1:
        raise InputError(f"{text!r:.60} says two things of the protection", hint=f"one of {', '.join(PROTECTIONS)}")
    mosaic = any(word in tuple(Cfa) for word in words)
    side = 2 * SIDE if mosaic else SIDE
    open_words = Wanted((side, side), BITS, stacked=not mosaic, unit=Unit.PHOTOSITE, scope="frame")
    rest = ",".join(word for word in words if word not in PROTECTIONS) if words else text
    policy = next(open_words.policies()) if not rest else next(iter(named_policies(rest, open_words, None)))
    if named:
        protection, frame_keys = PROTECTIONS[named[0]]
        policy = replace(policy, protection=protection, frame_keys=frame_keys)
    return Subject(Path(text).stem if not words else ",".join(words), policy)


def scene_size(policy: Policy) -> tuple[int, int]:
    """Rows and columns of scenes whose pixels are this sensor's quads, or its stacked photosites."""
    factor = 1 if policy.cfa is Cfa.NONE else 2
    return policy.height // factor, policy.width // factor


def frame_paths(folder: Path) -> list[Path]:
    """The private frames in a folder, in the order of their counters; all of one policy.

    Raises:
        InputError: it is no folder, holds none, or frames of several policies.
    """
    if not folder.is_dir():
        raise InputError(f"there is no folder {folder}", hint="give the folder that holds the private frames")
    found = []
    for path in sorted(path for path in folder.iterdir() if is_private(path)):
        try:
            found.append((inspect(path).claims, path))
        except PrivcamError as error:
            raise InputError(f"{path} is no private frame: {error}", hint="take it out of the folder") from error
    if not found:
        raise InputError(f"nothing to audit: no private frames in {folder}", hint="give a folder that holds some")
    first, other = found[0], next((one for one in found if one[0].policy != found[0][0].policy), None)
    if other is not None:
        raise InputError(
            f"frames of mixed policies: {first[1].name} and {other[1].name} differ", hint="a folder for each policy"
        )
    return [path for _, path in sorted(found, key=lambda one: (one[0].session, one[0].counter))]


def open_frames(paths: Sequence[Path], key: Path) -> Material:
    """Frames of one policy, verified and opened with a sealed key by the host of this user's home.

    Raises InputError if a frame is there twice, and what ``inference.open_session`` and ``adc_firmware.read`` raise.
    """
    session = inference.open_session(key)
    frames = [read(path, session.grants) for path in paths]
    _check_different(frames, paths)
    opened = [session.open(frame) for frame in frames]
    return Material(
        policy=frames[0].header.policy,
        file=np.stack([frame.samples for frame in frames]),
        memory=np.stack([one.samples for one in opened]),
        plain=np.stack([one.permutation.undo(one.samples) for one in opened]),
        tables=np.stack([one.permutation.table for one in opened]),
        labels=np.full(len(opened), -1, np.int64),
    )


def _check_different(frames: Sequence[PrivateFrame], paths: Sequence[Path]) -> None:
    """Refuse copies: an order that two files share because they are one frame says nothing of the camera.

    Different frames of one number stay, since that is what an audit has to find.
    """
    first: dict[FrameId, int] = {}
    for number, frame in enumerate(frames):
        before = first.setdefault(frame.header.frame_id, number)
        if before != number and np.array_equal(frames[before].samples, frame.samples):
            raise InputError(
                f"{paths[before].name} and {paths[number].name} are the same frame",
                hint="take one of them out of the folder",
            )
