"""Policies of our own camera, and folders of its frames, as things to audit."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cache, lru_cache, partial
from pathlib import Path

from audit.appearance import appearance
from audit.attack import Attack, DoesNotApplyError, Evidence, control_policy, refusals
from audit.finding import Finding, Stand
from audit.job import Job, Trial, generator_of
from audit.material import capture_again, make_material
from audit.scenes import Source
from audit.subjects import Subject, frame_paths, open_frames, scene_size
from keyvault.errors import InputError

MOST_PHOTOSITES = 128 * 128
LEAST_SIDE = 8  # of the scenes: structure is compared in windows of seven pixels


@dataclass(frozen=True)
class PolicyAudit:
    """One policy under audit, and how to get its evidence, which takes time.

    Attributes:
        subject: the policy.
        source: of scenes.
        seed: of the attacks.
        evidence: makes it, once.
        frames: digest of frames that exist already; empty if they are made.
    """

    subject: Subject
    source: Source
    seed: int
    evidence: Callable[[], Evidence]
    frames: str = ""

    def job(self, attacks: Iterable[Attack], stands: Sequence[Stand]) -> Job:
        """Every attack wherever it stands."""
        asked = [(attack, stand) for attack in attacks for stand in attack.stands if stand in stands]
        return Job(
            name=self.subject.name,
            about=self.subject.about,
            options={
                "policy": self.subject.policy.to_json(),
                "frames digest": self.frames,
                "seed": self.seed,
                **self.source.to_json(),
            },
            appearance=lambda: appearance(self.subject.name, self.evidence().material),
            trials=[Trial(attack.name, stand, partial(self.attack, attack, stand)) for attack, stand in asked],
        )

    def attack(self, attack: Attack, stand: Stand) -> Finding:
        """Run one attack; DoesNotApplyError if there are fewer frames than it needs, or it refuses them."""
        evidence = self.evidence()
        count = len(evidence.material)
        if count < attack.frames_needed:
            raise DoesNotApplyError(
                f"it needs {attack.frames_needed} frames, there are {count}", hint="give more frames"
            )
        with refusals():
            return attack.run(evidence, stand, generator_of(self.seed, attack.name, stand, self.subject.name))


def policy_audit(named: Subject, source: Source, seed: int) -> PolicyAudit:
    """Audit of a policy by frames that are made for it; InputError if its sensor is too large or too small."""
    _check_size(named)
    return PolicyAudit(named, source, seed, partial(_evidence, named, source))


@lru_cache(maxsize=1)
def _evidence(named: Subject, source: Source) -> Evidence:
    scenes = source.open(scene_size(named.policy))
    return Evidence(
        name=named.name,
        material=make_material(scenes.frames, named.policy, scenes.frame_labels),
        control=make_material(scenes.frames, control_policy(named.policy), scenes.frame_labels),
        scenes=scenes.known,
        labels=scenes.known_labels,
    )


def frames_audit(folder: Path, key: Path, source: Source, seed: int) -> PolicyAudit:
    """Audit of frames that exist, with the sealed key that opens them; the control shows the same scenes.

    Raises InputError as :func:`policy_audit` does, PolicyError if the sensor has no colours, and what ``frame_paths``
    and ``open_frames`` raise.
    """
    paths = frame_paths(folder)
    material = open_frames(paths, key)
    named, source = Subject(folder.resolve().name, material.policy), replace(source, frames=0)
    _check_size(named)

    @cache
    def evidence() -> Evidence:
        scenes = source.open(scene_size(named.policy))
        control = capture_again(material, control_policy(named.policy))
        return Evidence(named.name, material, control, scenes.known, scenes.known_labels)

    return PolicyAudit(named, source, seed, evidence, _digest(paths))


def _digest(paths: Iterable[Path]) -> str:
    found = hashlib.sha256()
    for path in paths:
        found.update(hashlib.sha256(path.read_bytes()).digest())
    return found.hexdigest()


def _check_size(named: Subject) -> None:
    """Attacks compare every position with every other."""
    policy = named.policy
    if policy.photosites > MOST_PHOTOSITES:
        raise InputError(
            f"{named.name} has {policy.width}x{policy.height} photosites; the audit takes {MOST_PHOTOSITES} at most",
            hint="audit the same settings at a smaller size, in words, such as 64x64,RGGB,row",
        )
    side = min(scene_size(policy))
    if side < LEAST_SIDE:
        raise InputError(
            f"{named.name} shows scenes of {side} pixels a side; the audit takes {LEAST_SIDE} and more",
            hint="audit the same settings at a larger size, in words, such as 32x32,stacked,row",
        )
