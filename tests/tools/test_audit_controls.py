"""Every attack says nothing where it does not break its control, and where its own way to what moves is cut."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from test_audit_correlation import scenes as pictures
from test_audit_statistics import STACKED, scenes

from audit import pairs
from audit.attack import Evidence, control_policy
from audit.attacks import (
    chosen_plaintext,
    correlation,
    fixed_pattern,
    freshness,
    inversion,
    quad_jigsaw,
    reuse,
    single_frame,
    weak_seed,
    wrong_key,
)
from audit.finding import Finding, Stand, Verdict
from audit.material import Material, make_material
from audit.positions import Sensor
from audit.registry import all_attacks
from inference.session import ShuffledFrame
from keyvault.policy import Cfa, FrameKeys, Policy, Unit

FIXED = control_policy(STACKED)
QUADS = replace(STACKED, unit=Unit.QUAD)
Patch = pytest.MonkeyPatch
Cut = Callable[[Evidence, Patch], Evidence]


def noise(material: Material) -> Material:
    """The frames with samples drawn at random in place of theirs."""
    samples = np.random.default_rng(0).integers(0, 2**material.policy.bits, material.file.shape).astype(np.uint16)
    return replace(material, file=samples, memory=samples)


@cache
def evidence(policy: Policy, frames: int = 42) -> Evidence:
    """Smooth scenes of two classes, reddish ones and others, and their control."""
    labels = (np.arange(frames + 300) % 2).astype(np.int64)
    images = scenes(frames + 300) // 2
    images[..., 0] += (100 * labels)[:, None, None].astype(np.uint8)
    under, control = (make_material(images[:frames], one, labels[:frames]) for one in (policy, control_policy(policy)))
    return Evidence("small", under, control, images[frames:], labels[frames:])


def large(patch: Patch) -> Evidence:
    """Frames of 32 x 32, of which a stand-in for the network says how many samples are where they were."""
    policy = Policy(32, 32, Cfa.NONE, 3, bits=8)
    labels = np.arange(10) % 2
    images = np.random.default_rng(0).integers(0, 256, (10, 32, 32, 3), np.uint8)
    under = make_material(images, policy, labels)

    def said(network: object, settings: object, frames: list[ShuffledFrame]) -> torch.Tensor:
        pairs = zip(frames, under.plain, strict=True)
        same = [(one.permutation.undo(one.samples) == scene).mean() for one, scene in pairs]
        return torch.from_numpy(np.where(np.array(same) > 0.5, labels, 2))

    patch.setattr(wrong_key, "classes", said)
    return Evidence("small", under, under, images, labels)


def striped(patch: Patch) -> Evidence:
    """As many frames and scenes as an inversion wants, of which it makes the mean scene."""
    images = scenes(800)
    material = make_material(images[:300], STACKED)
    seen = gaussian_filter(np.random.default_rng(1).random((30, 16, 16, 3)).astype(np.float32), (0, 2, 2, 0))
    mean = np.broadcast_to(seen.mean(0), seen.shape)
    patch.setattr(inversion, "attacked", lambda *_: inversion.Inversion(mean, seen, mean, mean, mean, 0.0))
    patch.setattr(inversion, "controls", lambda _: learned(np.ones(30)))
    return Evidence("small", material, material, images[300:], np.full(500, -1, np.int64))


def learned(scores: NDArray[np.float64]) -> inversion.Controls:
    return inversion.Controls(scores, scores, np.zeros_like(scores))


def other_control(given: Evidence, patch: Patch) -> Evidence:
    return replace(given, control=noise(given.control))


def put(room: object, name: str, value: Any) -> Cut:
    """Exchange what an attack makes its control by."""

    def cut(given: Evidence, patch: Patch) -> Evidence:
        patch.setattr(room, name, value)
        return given

    return cut


def without_patterns(given: Evidence, patch: Patch) -> Evidence:
    """Dark frames of a fixed key without anything that they have in common."""
    averaged = fixed_pattern.averaged

    def made(policy: Policy, *rest: Any) -> fixed_pattern.Averaged:
        found = averaged(policy, *rest)
        if policy.frame_keys is not FrameKeys.FIXED:
            return found
        return replace(found, frames=np.random.default_rng(0).integers(0, 256, found.frames.shape).astype(np.uint16))

    patch.setattr(fixed_pattern, "averaged", made)
    return given


def with_fresh_numbers(room: object) -> Cut:
    """Frames with a number each in place of those that share one."""

    def cut(given: Evidence, patch: Patch) -> Evidence:
        def made(opened: object, plain: NDArray[np.uint16]) -> Material:
            frames = given.material.part(slice(len(plain)))
            return replace(frames, file=noise(frames).file)

        patch.setattr(room, "numbered_alike", made)
        return given

    return cut


def noise_scenes(count: int, shape: tuple[int, int]) -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (count, *shape, 3), np.uint8)


def unrelated(
    plain: NDArray[np.uint16], sensor: Sensor, rng: np.random.Generator
) -> tuple[NDArray[np.uint16], NDArray[np.int32]]:
    """Frames and tables that no small seed makes."""
    orders = np.stack([rng.permutation(plain.shape[1]) for _ in plain])
    return np.take_along_axis(plain, orders[..., None], axis=1), np.argsort(orders, axis=1).astype(np.int32)


@dataclass(frozen=True)
class Case:
    """An attack with all it needs to break its control, and how to take the control away.

    Attributes:
        attack: its name.
        given: the evidence, made small.
        cut: makes noise of the control.
        stand: of the attacker.
    """

    attack: str
    given: Callable[[Patch], Evidence]
    cut: Cut = other_control
    stand: Stand = Stand.FILE


def fixed(patch: Patch) -> Evidence:
    return evidence(FIXED)


def default(patch: Patch) -> Evidence:
    return evidence(STACKED)


def tinted(patch: Patch) -> Evidence:
    material = make_material(pictures(100), FIXED)
    return Evidence("small", material, material, pictures(1)[:0], np.zeros(0, np.int64))


CASES = [
    Case("chosen_plaintext", fixed, put(chosen_plaintext, "control_policy", lambda _: STACKED)),
    Case("correlation", tinted),
    Case("fixed_pattern", fixed, without_patterns),
    Case("freshness", default, with_fresh_numbers(freshness)),
    Case("histogram_classifier", fixed),
    Case("inversion", striped, put(inversion, "controls", lambda _: learned(np.zeros(30))), Stand.MEMORY),
    Case("known_plaintext", fixed),
    Case("noisy_plaintext", fixed),
    Case("quad_jigsaw", lambda _: evidence(QUADS), put(quad_jigsaw, "smooth_scenes", noise_scenes), stand=Stand.MEMORY),
    Case("reidentification", fixed),
    Case("reuse", default, with_fresh_numbers(reuse)),
    Case(
        "single_frame",
        lambda _: evidence(replace(STACKED, scope="row")),
        put(single_frame, "make_material", lambda *rest: noise(make_material(*rest))),
        Stand.MEMORY,
    ),
    Case("weak_seed", default, put(weak_seed, "weakly_shuffled", unrelated), Stand.MEMORY),
    Case("wrong_key", default, put(wrong_key, "first_half", wrong_key.as_it_is)),
    Case("wrong_key", large, put(wrong_key, "classes", lambda *rest: torch.full((len(rest[-1]),), 2)), Stand.MEMORY),
]


@pytest.fixture(autouse=True)
def small(monkeypatch: Patch) -> None:
    for room, name, value in (
        (chosen_plaintext, "READ", 20),
        (correlation, "LADDER", ()),
        (fixed_pattern, "FRAMES", 50),
        (quad_jigsaw, "FRAMES", 6),
        (single_frame, "BROKEN", 0.3),
        (weak_seed, "TRIED", 64),
        (wrong_key, "FRAMES", 10),
    ):
        monkeypatch.setattr(room, name, value)


def finding(name: str, given: Evidence, stand: Stand) -> Finding:
    return all_attacks()[name].run(given, stand, np.random.default_rng(0))


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.attack} {case.stand}")
def test_an_attack_says_something_only_if_its_control_breaks(case: Case, monkeypatch: Patch) -> None:
    given = case.given(monkeypatch)
    found = finding(case.attack, given, case.stand)
    assert found.control_broke
    assert found.verdict is not Verdict.INCONCLUSIVE
    found = finding(case.attack, case.cut(given, monkeypatch), case.stand)
    assert not found.control_broke
    assert found.verdict is Verdict.INCONCLUSIVE


def test_no_attack_on_frames_is_left_out() -> None:
    on_frames = {name for name, attack in all_attacks().items() if attack.stands != (Stand.ACTIVATIONS,)}
    assert {case.attack for case in CASES} == on_frames


def interleaved(sensor: Sensor) -> list[NDArray[np.int64]]:
    """As many parts as there are bands, and right where there is only one."""
    bands = sensor.bands()
    return [np.arange(len(bands))[first :: bands[-1] + 1] for first in range(bands[-1] + 1)]


def as_they_come(sensor: Sensor, frames: NDArray[np.uint16]) -> NDArray[np.uint16]:
    """Samples of no one quad in place of those of each; right where photosites move on their own."""
    return frames.reshape(len(frames), np.prod(sensor.grid), -1)


@pytest.mark.parametrize(
    ("moves", "part", "cut"),
    [
        ({"unit": Unit.QUAD}, "in_line", as_they_come),
        ({"scope": "row"}, "parts", interleaved),
        ({"scope": "band:4"}, "parts", interleaved),
        ({"unit": Unit.QUAD, "scope": "row"}, "in_line", as_they_come),
        ({"unit": Unit.QUAD, "scope": "band:4"}, "parts", interleaved),
    ],
    ids=lambda value: "-".join(map(str, value.values())) if isinstance(value, dict) else "",
)
@pytest.mark.parametrize("name", ["known_plaintext", "noisy_plaintext", "chosen_plaintext"])
def test_an_attack_that_loses_its_way_to_what_moves_says_nothing(
    name: str, moves: dict[str, Any], part: str, cut: Callable[..., object], monkeypatch: Patch
) -> None:
    monkeypatch.setattr(pairs, "GROUPS", 5)
    given = evidence(replace(FIXED, **moves))
    assert finding(name, given, Stand.FILE).verdict is Verdict.FAIL
    monkeypatch.setattr(Sensor, part, cut)
    assert finding(name, given, Stand.FILE).verdict is Verdict.INCONCLUSIVE
