"""Scenes as values, and the built-in chart."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from keyvault.errors import PolicyError
from keyvault.policy import Cfa, Policy
from sensor_sim import DnScene, LightScene, SceneError, draw_chart, load_scene
from sensor_sim.chart import GREY_STEPS


@pytest.mark.parametrize(
    "radiance",
    [
        np.zeros((4, 4), np.float32),
        np.zeros((4, 4, 4), np.float32),
        np.zeros((0, 4, 3), np.float32),
        np.zeros((4, 4, 3), np.uint8),
        np.full((4, 4, 3), -0.001),
        np.full((4, 4, 3), np.nan),
        np.full((4, 4, 3), np.inf),
    ],
)
def test_what_is_not_light_is_refused(radiance: np.ndarray) -> None:
    with pytest.raises(SceneError):
        LightScene(radiance)


def test_light_is_kept_as_it_is() -> None:
    radiance = np.random.default_rng(1).random((5, 7, 3), np.float32)
    assert LightScene(radiance).radiance is radiance
    assert LightScene(radiance.astype(np.float64)).radiance.dtype == np.float32


@pytest.mark.parametrize(
    ("dn", "levels"),
    [
        (np.zeros((4, 4), np.float32), (0, 255)),
        (np.zeros((4, 4, 2), np.uint16), (0, 255)),
        (np.zeros((4,), np.uint16), (0, 255)),
        (np.full((4, 4), -1), (0, 255)),
        (np.full((4, 4), 65_536), (0, 255)),
        (np.zeros((4, 4), np.uint16), (255, 255)),
        (np.zeros((4, 4), np.uint16), (-1, 255)),
        (np.zeros((4, 4), np.uint16), (0, 65_536)),
    ],
)
def test_what_is_not_dn_is_refused(dn: np.ndarray, levels: tuple[int, int]) -> None:
    with pytest.raises(SceneError):
        DnScene(dn, *levels)


def test_whole_numbers_of_any_type_become_dn() -> None:
    values = np.array([[0, 255], [7, 65_535]])
    scene = DnScene(values, 0, 65_535)
    assert scene.dn.dtype == np.uint16
    assert np.array_equal(scene.dn, values)


@pytest.mark.parametrize(("top", "white", "bits"), [(3, 100, 8), (255, 255, 8), (256, 255, 9), (7, 16_383, 14)])
def test_bits_are_what_dn_and_white_level_need(top: int, white: int, bits: int) -> None:
    assert DnScene(np.full((2, 2), top), 0, white).bits == bits


@pytest.mark.parametrize(
    ("scene", "policy", "flags"),
    [
        (LightScene(np.zeros((4, 6, 3))), Policy(4, 6), "--size 6x4"),
        (DnScene(np.zeros((4, 6), int), 0, 255), Policy(4, 6), "--size 6x4 --cfa RGGB --bits 12"),
        (DnScene(np.zeros((4, 6), int), 0, 255, cfa=Cfa.GBRG), Policy(6, 4), "--size 6x4 --cfa GBRG --bits 12"),
        (DnScene(np.zeros((4, 6), int), 0, 9999), Policy(6, 4), "--size 6x4 --cfa RGGB --bits 14"),
        (DnScene(np.zeros((4, 6, 3), int), 0, 255), Policy(6, 4), "--size 6x4 --cfa none --stacked --bits 12"),
        (DnScene(np.zeros((4, 6), int), 0, 255), Policy(6, 4, Cfa.NONE, 3), "--size 6x4 --cfa none --bits 12"),
    ],
)
def test_a_scene_that_does_not_fit_says_which_key_would(scene: LightScene, policy: Policy, flags: str) -> None:
    with pytest.raises(PolicyError) as refusal:
        load_scene(scene, policy)
    assert refusal.value.hint.endswith(f"issue a key with {flags}")


def test_scenes_that_fit_pass_through() -> None:
    for scene, policy in [
        (LightScene(np.zeros((4, 6, 3))), Policy(6, 4)),
        (DnScene(np.zeros((4, 6), int), 0, 4095, cfa=Cfa.RGGB), Policy(6, 4)),
        (DnScene(np.zeros((4, 6), int), 0, 4095), Policy(6, 4, Cfa.NONE)),
        (DnScene(np.zeros((5, 7, 3), int), 0, 4095), Policy(7, 5, Cfa.NONE, 3)),
    ]:
        assert load_scene(scene, policy) is scene


@pytest.mark.parametrize("size", [(1, 1), (2, 2), (7, 3), (64, 64), (5, 900), (65_535, 1), (384, 256)])
def test_the_chart_fits_every_sensor(size: tuple[int, int]) -> None:
    width, height = size
    chart = draw_chart(width, height).radiance
    assert chart.shape == (height, width, 3)
    assert chart.min() >= 0
    assert chart.max() <= 1
    assert np.array_equal(chart, draw_chart(width, height).radiance)


def test_the_chart_is_the_default_scene() -> None:
    policy = Policy(64, 48)
    chart = draw_chart(64, 48).radiance
    for source in (None, "chart"):
        scene = load_scene(source, policy)
        assert isinstance(scene, LightScene)
        assert np.array_equal(scene.radiance, chart)


def test_the_chart_shows_how_it_is_turned_and_has_even_grey_steps() -> None:
    chart = draw_chart(600, 400).radiance
    corners = chart[0, 0], chart[0, -1], chart[-1, 0], chart[-1, -1]
    assert [int(c.argmax()) for c in corners[:3]] == [0, 1, 2]
    assert corners[3].min() > 0.9
    grey = chart[40, 24:576]
    steps = grey[np.arange(GREY_STEPS) * 46 + 23]
    assert np.all(steps == steps[:, :1])
    assert steps[0, 0] == 0
    assert steps[-1, 0] == 1
    encoded = np.where(steps <= 0.0031308, 12.92 * steps, 1.055 * steps ** (1 / 2.4) - 0.055)[:, 0]
    assert np.allclose(np.diff(encoded), 1 / (GREY_STEPS - 1), atol=1e-4)


@pytest.mark.parametrize("name", ["a.raw", "a.RAW"])
def test_a_headerless_file_has_to_be_described(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(bytes(768 * 512 * 2))  # a length from which LibRaw guesses a camera
    with pytest.raises(SceneError, match="its own size") as refusal:
        load_scene(tmp_path / name, Policy(768, 512))
    assert "--raw-size" in refusal.value.hint
