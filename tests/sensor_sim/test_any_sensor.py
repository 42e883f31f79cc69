"""Every size, depth, mosaic, scope, unit and protection: a frame verifies, and inverts to the plain DN."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pytest
from camera_kit import device, open_sealed, plain, random_light, reveal, seal
from hypothesis import example, given, settings
from hypothesis import strategies as st

import adc_firmware
from adc_firmware import encodings_for
from keyvault.policy import Cfa, FrameKeys, Policy, Protection, Unit
from sensor_sim import Camera, CameraSettings, DnScene, Shot

SIDES = st.one_of(st.sampled_from([1, 2, 3, 63, 64, 65, 127, 128, 257]), st.integers(1, 300))


@st.composite
def policies(draw: st.DrawFn) -> Policy:
    width, height = draw(SIDES), draw(SIDES)
    if draw(st.booleans()):
        width, height = width + width % 2, height + height % 2
    even = width % 2 == height % 2 == 0
    samples = draw(st.sampled_from([1, 1, 3]))
    cfa = draw(st.sampled_from(list(Cfa))) if even and samples == 1 else Cfa.NONE
    unit = draw(st.sampled_from(list(Unit))) if even else Unit.PHOTOSITE
    step = 2 if unit is Unit.QUAD else 1
    band = step * draw(st.integers(1, height // step))
    scope = draw(st.sampled_from(["row", "frame", f"band:{band}"]))
    protection = draw(st.sampled_from(list(Protection)))
    keys = draw(st.sampled_from(list(FrameKeys))) if protection is Protection.SHUFFLE else FrameKeys.PER_FRAME
    return Policy(width, height, cfa, samples, draw(st.integers(8, 16)), unit, scope, protection, keys)


def check(policy: Policy, number: int) -> None:
    """Stream light and then DN; keep one frame in one of the encodings that hold it."""
    exposure = CameraSettings(shutter_us=2_000, gain=1.5, noise=number % 2 == 0, seed=number)
    random = np.random.default_rng(number)
    light = random_light(policy.width, policy.height, number)
    shape = (policy.height, policy.width) if policy.samples_per_photosite == 1 else (policy.height, policy.width, 3)
    dn = DnScene(random.integers(0, 2**policy.bits, shape, np.uint16), 0, 2**policy.bits - 1)
    encodings = encodings_for(policy)
    with tempfile.TemporaryDirectory() as folder:
        key = seal(Path(folder) / "sealed.bin", policy)
        opened, file = open_sealed(key), Path(folder) / "frame"
        with Camera(key, device=device(), scene=[light, dn], settings=exposure) as camera:
            camera.start()
            first, second = camera.frames(2)
        adc_firmware.write(first, file, encodings[number % len(encodings)])
        assert np.array_equal(adc_firmware.read(file, {opened.grant.key_id: opened.grant}).samples, first.samples)
    assert np.array_equal(reveal(first, opened), plain(light, policy, exposure, Shot(number, 0)))
    assert np.array_equal(reveal(second, opened), dn.dn)
    assert first.header.policy == second.header.policy == policy


@given(policies(), st.integers(0, 2**32))
@settings(max_examples=60)
@example(Policy(1, 1, Cfa.NONE), 0)
@example(Policy(1, 300, Cfa.NONE, 3, scope="band:7"), 1)
@example(Policy(300, 1, Cfa.NONE, bits=16, scope="row"), 2)
@example(Policy(2, 300, Cfa.GBRG, unit=Unit.QUAD, scope="band:4"), 3)
def test_a_frame_inverts_to_what_a_plain_camera_would_put_out(policy: Policy, number: int) -> None:
    check(policy, number)


@pytest.mark.full
@pytest.mark.parametrize(
    "policy",
    [
        Policy(65_535, 3, Cfa.NONE),
        Policy(1, 65_535, Cfa.NONE, 3, bits=9),
        Policy(65_534, 64, Cfa.BGGR, unit=Unit.QUAD, scope="row"),
        Policy(8_192, 6_144, Cfa.RGGB, bits=14),
    ],
)
def test_huge_sensors_do_so_too(policy: Policy) -> None:
    check(policy, 4)


@pytest.mark.full
@given(policies(), st.integers(0, 2**32))
@settings(max_examples=1500)
def test_very_many_sensors_do_so_too(policy: Policy, number: int) -> None:
    check(policy, number)
