"""Frames characterised by the reference implementation of EMVA 1288, which knows nothing of the model.

It varies the exposure time under constant light, two bright and two dark frames at each, and takes
16 of each at half saturation for the patterns.  The light has the colour that saturates all
channels at once, and the sensor is warm, so that the dark current can be told in a second.

The standard takes the well for full where the variance is greatest.  That is where clipping begins
to eat it, three standard deviations of shot noise below: 3 % for 10,000 electrons.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from emva1288.process.data import Data1288
from emva1288.process.loader import LoadImageData
from emva1288.process.results import Results1288

from keyvault.policy import Cfa, Policy
from sensor_sim import CameraSettings, LightScene, PixelModel, SensorProfile, Shot, expose, load_profile, serial_number
from sensor_sim.colour import srgb_to_filters

SIDE = 256  # of a plane, photosites
BITS = 12
SATURATING = 1_000_000  # exposure time that fills the wells, us
STEPS = [*range(50_000, 900_000, 50_000), *range(900_000, 1_060_000, 20_000)]  # finer where the variance peaks
DARK_E_S = 20.0
COLOURS = ("red", "green", "blue")
PLANES = {"mono": (0, 0, 1), "red": (0, 0, 2), "green": (0, 1, 2), "blue": (1, 1, 2)}  # row, column, step
CASES = [("industrial-global", plane) for plane in PLANES] + [("phone-rolling", colour) for colour in COLOURS]


@dataclass(frozen=True)
class Bench:
    """A sensor in front of a lamp."""

    name: str
    mono: bool

    @property
    def profile(self) -> SensorProfile:
        return load_profile(self.name)

    @property
    def pixel(self) -> PixelModel:
        return self.profile.pixel

    @property
    def efficiency(self) -> tuple[float, ...]:
        pixel = self.pixel
        found = (pixel.qe_mono,) * 3 if self.mono else (pixel.qe_red, pixel.qe_green, pixel.qe_blue)
        return tuple(value for value in found if value is not None)

    @property
    def radiance(self) -> np.ndarray:
        """Light, as the filters see it, that fills every well at SATURATING."""
        share = self.pixel.full_well_e / self.pixel.nominal_photons * self.pixel.nominal_shutter_us / SATURATING
        return share / np.array(self.efficiency)

    @property
    def temperature(self) -> float:
        """At which the doubled dark current is DARK_E_S."""
        doublings = math.log2(DARK_E_S / self.pixel.dark_current_e_s)
        return self.pixel.dark_reference_c + self.pixel.dark_doubling_c * doublings

    def frame(self, shutter_us: int, number: int, *, bright: bool) -> np.ndarray:
        side = SIDE if self.mono else 2 * SIDE
        policy = Policy(side, side, Cfa.NONE if self.mono else Cfa.RGGB, bits=BITS)
        lamp = np.linalg.solve(srgb_to_filters(self.pixel.xyz_to_camera), self.radiance)
        assert lamp.min() > 0
        scene = LightScene(np.broadcast_to(lamp * bright, (side, side, 3)).astype(np.float32))
        settings = CameraSettings(shutter_us=shutter_us, temperature_c=self.temperature)
        serial = serial_number(self.name)
        source = expose(scene, policy, settings, self.pixel, Shot(2026, number, serial))
        return self.profile.converter(policy, serial).convert(source.rows(0, side))


@cache
def series(profile: str, mono: bool) -> list[tuple[int, bool, list[np.ndarray]]]:
    """Exposure times, whether there was light, and the frames."""
    bench, number, found = Bench(profile, mono), 0, []
    for shutter, count in [*((step, 2) for step in STEPS), (SATURATING // 2, 16)]:
        for bright in (False, True):
            frames = [bench.frame(shutter, number + i, bright=bright) for i in range(count)]
            number += count
            found.append((shutter, bright, frames))
    return found


def characterise(profile: str, plane: str, folder: Path) -> Results1288:
    """What the reference implementation says of one plane."""
    bench = Bench(profile, plane == "mono")
    row, column, step = PLANES[plane]
    channel = 0 if plane == "mono" else COLOURS.index(plane)
    per_us = bench.radiance[channel] * bench.pixel.nominal_photons / bench.pixel.nominal_shutter_us
    images: dict[str, Any] = {"temporal": {}, "spatial": {}}
    arrays = {}
    for shutter, bright, frames in series(profile, plane == "mono"):
        names = [f"{shutter}-{bright:d}-{len(frames)}-{i}" for i in range(len(frames))]
        for name, frame in zip(names, frames, strict=True):
            (folder / name).touch()  # it wants files that exist
            arrays[str(folder / name)] = frame[row::step, column::step]
        exposure = images["temporal" if len(frames) == 2 else "spatial"].setdefault(shutter * 1000.0, {})  # ns
        exposure[per_us * shutter * bright] = names
    loaded = LoadImageData(images, path=str(folder), fload=arrays.__getitem__)
    return Results1288(Data1288(loaded.data).data)


@pytest.mark.parametrize(("profile", "plane"), CASES)
def test_the_reference_implementation_finds_the_profile(
    profile: str, plane: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(np, "asfarray", lambda values: np.asarray(values, float), raising=False)  # gone with NumPy 2
    pixel = load_profile(profile).pixel
    found = characterise(profile, plane, tmp_path)
    dsnu = math.hypot(pixel.dsnu_pixel_e, pixel.dsnu_row_e, pixel.dsnu_column_e)
    assert pytest.approx(1 / pixel.electrons_per_dn(BITS), rel=0.02) == found.K
    assert pytest.approx(100 * getattr(pixel, f"qe_{plane}"), rel=0.02) == found.QE
    assert found.sigma_d == pytest.approx(pixel.read_noise_e, rel=0.02)
    assert found.u_I_mean == pytest.approx(DARK_E_S, rel=0.02)
    assert pytest.approx(dsnu, rel=0.02) == found.DSNU1288
    assert pytest.approx(pixel.dsnu_pixel_e, rel=0.02) == found.DSNU1288_pixel
    assert pytest.approx(100 * pixel.prnu, rel=0.02) == found.PRNU1288
    assert found.u_e_sat == pytest.approx(pixel.full_well_e, rel=0.05)
    sampling = 5 / math.sqrt(2 * SIDE)  # five standard errors: a plane has 256 rows and columns, no more
    assert pytest.approx(pixel.dsnu_row_e, rel=sampling) == found.DSNU1288_row
    assert pytest.approx(pixel.dsnu_column_e, rel=sampling) == found.DSNU1288_col
