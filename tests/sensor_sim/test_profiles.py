"""Sensor profiles: those that come along, one's own, and what is wrong with a broken one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from camera_kit import QUIET, enrol, open_sealed, random_light, reveal, seal
from click.testing import CliRunner, Result

from adc_firmware import ColumnConverter, SingleSlope
from keyvault.errors import PolicyError
from keyvault.policy import Cfa, Policy
from sensor_sim import (
    Camera,
    CameraSettings,
    LightScene,
    PixelModel,
    ProfileError,
    Readout,
    SensorProfile,
    SettingsError,
    Shot,
    Shutter,
    expose,
    list_profiles,
    load_profile,
    serial_number,
)
from sensor_sim.cli import sensor_sim
from sensor_sim.sensor_profile import _BUILT_IN

POLICY = Policy(32, 24)
IDEAL = (_BUILT_IN / "ideal.toml").read_text()
CONVERTER = """bow = 1.5
code_widths = [0.25, -0.25]
offset = 3
column_offset = 2.0
column_gain = 0.01
cds = false
clamp = true
"""
NAMES = ["ideal", "industrial-global", "phone-rolling"]


@pytest.fixture
def place(tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with a sealed key, its device at home, and no profiles of its own."""
    monkeypatch.chdir(tmp_path)
    enrol(home)
    seal(tmp_path / "sealed.bin", POLICY)
    return tmp_path


def run(*arguments: str) -> Result:
    return CliRunner().invoke(sensor_sim, arguments, prog_name="sensor-sim")


def test_the_default_is_the_ideal_sensor() -> None:
    ideal = load_profile("ideal")
    assert load_profile(None) == ideal
    assert ideal.pixel == PixelModel()
    assert ideal.readout == Readout()
    assert not ideal.pixel.patterned


def test_those_that_come_along_say_what_they_are_and_whence(home: Path) -> None:
    found = list_profiles()
    assert [profile.name for profile in found] == NAMES
    for profile in found:
        assert load_profile(profile.name) == profile
        assert "\n" not in profile.summary
        assert len(profile.source) > 100
    industrial, phone = (load_profile(name) for name in NAMES[1:])
    assert (industrial.readout.shutter, phone.readout.shutter) == (Shutter.GLOBAL, Shutter.ROLLING)
    assert phone.pixel.qe_mono is None
    for profile in (industrial, phone):  # a white scene about fills the wells at nominal exposure
        pixel = profile.pixel
        best = max(qe for qe in (pixel.qe_mono, pixel.qe_green) if qe)
        assert best * pixel.nominal_photons == pytest.approx(pixel.full_well_e, rel=0.01)


def test_ones_own_are_found_by_name_and_by_file(tmp_path: Path, home: Path) -> None:
    mine = IDEAL.replace("full_well_e = 10_000", "full_well_e = 12_345")
    folder = home / "profiles"
    folder.mkdir(parents=True)
    (folder / "mine.toml").write_text(mine)
    (folder / "ideal.toml").write_text(mine)  # a built-in name stays what it is
    (tmp_path / "other.toml").write_text(mine)
    for source in ("mine", str(tmp_path / "other.toml"), tmp_path / "other.toml"):
        profile = load_profile(source)
        assert profile.name == Path(source).stem
        assert profile.pixel == replace(PixelModel(), full_well_e=12_345)
    assert load_profile("ideal").pixel == PixelModel()
    assert [profile.name for profile in list_profiles()] == [*NAMES, "mine"]


def swap(old: str, new: str) -> Callable[[str], str]:
    return lambda text: text.replace(old, new)


def add_converter(line: str) -> Callable[[str], str]:
    """A converter's table whose key has this line."""
    key = line.partition(" ")[0]
    lines = [line, *(other for other in CONVERTER.splitlines() if other.partition(" ")[0] != key)]
    return lambda text: "\n".join([text, "[converter]", *lines, ""])


BROKEN = [
    ("not TOML", lambda _: "full_well = = 3", "is not TOML"),
    ("not text", lambda _: "\0\1\2", "is not TOML"),
    ("deep", lambda _: "a = " + "[" * 20_000, "is not TOML"),
    ("empty", lambda _: "", "lacks summary, source, pixel, readout"),
    ("no source", lambda text: text[text.index("[pixel]") :], "lacks summary, source"),
    ("empty summary", lambda text: 'summary = " "\n' + text.partition("\n")[2], "summary is not a text"),
    ("a number instead of text", lambda text: "summary = 3\n" + text.partition("\n")[2], "summary is not a text"),
    (
        "no table",
        swap("[readout]", "[other]"),
        "has an unknown key 'other'; allowed: summary, source, pixel, readout, converter",
    ),
    ("a number for a table", lambda text: "pixel = 3\n" + text.replace("[pixel]", "[readouts]"), "unknown key"),
    ("unknown key", swap("prnu =", "prun ="), r"[pixel] has an unknown key 'prun'; allowed: full_well_e,"),
    ("missing key", swap("prnu = 0\n", ""), "[pixel] lacks prnu"),
    ("percent for a fraction", swap("prnu = 0", "prnu = 0.5"), "[pixel] prnu 0.5 is not 0 to 0.1"),
    ("negative", swap("read_noise_e = 2.5", "read_noise_e = -1"), "[pixel] read_noise_e -1 is not 0 to"),
    ("text for a number", swap("full_well_e = 10_000", 'full_well_e = "big"'), "[pixel] full_well_e 'big' is not 1 to"),
    ("truth for a number", swap("blank_rows = 0", "blank_rows = true"), "[readout] blank_rows True is not a whole"),
    ("a part of a microsecond", swap("min_shutter_us = 1\n", "min_shutter_us = 1.5\n"), "min_shutter_us 1.5 is not"),
    ("infinite", swap("dark_doubling_c = 8", "dark_doubling_c = inf"), "dark_doubling_c inf is not 1 to 100"),
    ("not a number", swap("qe_red = 1.0", "qe_red = nan"), "qe_red nan is not 0.02 to 1"),
    ("more than all photons", swap("qe_mono = 1.0", "qe_mono = 60"), "qe_mono 60 is not 0.02 to 1"),
    ("one colour", swap("qe_red = 1.0\n", ""), "give all three or none"),
    ("blind", lambda text: "\n".join(x for x in text.split("\n") if "qe_" not in x), "no quantum efficiency"),
    ("another shutter", swap('"global"', '"leaf"'), "[readout] shutter 'leaf' is not global or rolling"),
    ("a list for a shutter", swap('"global"', '["global"]'), "[readout] shutter ['global'] is not"),
    (
        "no exposure time at all",
        swap("max_shutter_us = 4_294_967_295", "max_shutter_us = 0"),
        "max_shutter_us 0 is not",
    ),
    ("a number for the converter", lambda text: "converter = 3\n" + text, "[converter] is not a table"),
    ("a seed for the converter", add_converter("seed = 3"), "[converter] has an unknown key 'seed'; allowed: bow,"),
    ("half a converter", lambda text: text + "\n[converter]\nbow = 1.0\n", "[converter] lacks code_widths, offset,"),
    ("text for a bow", add_converter('bow = "big"'), "[converter] bow 'big' is not a number of DN"),
    ("an infinite bow", add_converter("bow = inf"), "[converter] bow inf is not"),
    ("a number for widths", add_converter("code_widths = 0.1"), "[converter] code_widths 0.1 is not a list"),
    ("three widths", add_converter("code_widths = [0.1, -0.1, 0]"), "[converter] code_widths has 3 widths"),
    ("widths in text", add_converter('code_widths = ["a", "b"]'), "[converter] code_widths has a width that"),
    ("widths with a sum", add_converter("code_widths = [0.1, 0.1]"), "[converter] code_widths has the sum 0.2"),
    ("a negative spread", add_converter("column_offset = -1"), "[converter] column_offset -1 is not"),
    ("percent for a gain", add_converter("column_gain = 5"), "[converter] column_gain 5 is not 0 to 0.1"),
    ("a number for a switch", add_converter("cds = 1"), "[converter] cds 1 is not true or false"),
    ("large", lambda text: text + "#" * 70_000, "more than 65536 bytes"),
]


@pytest.mark.parametrize(("change", "words"), [case[1:] for case in BROKEN], ids=[case[0] for case in BROKEN])
def test_a_broken_one_is_refused_by_file_and_key(
    place: Path, change: Callable[[str], str], words: str, capfd: pytest.CaptureFixture[str]
) -> None:
    text = change(IDEAL)
    assert text != IDEAL
    (place / "mine.toml").write_text(text)
    with pytest.raises(ProfileError) as refusal:
        load_profile("mine.toml")
    assert "mine.toml" in str(refusal.value)
    assert words in str(refusal.value)
    result = run("capture", "--key", "sealed.bin", "--profile", "mine.toml")
    assert (result.exit_code, result.stdout) == (3, "")
    assert len(result.stderr.splitlines()) == 1
    assert result.stderr.startswith("sensor-sim: ")
    assert not list(place.glob("*.dng"))


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["--profile", "nikon"], 3, "ideal, industrial-global, phone-rolling"),
        (["--profile", ""], 3, "ideal"),
        (["--profile", "none.toml"], 3, "none.toml"),
        (["--profile", "folder.toml"], 3, "folder.toml"),
        (["--profile", "phone-rolling", "--gain", "17"], 3, "gain 17 is not 1 to 16"),
        (["--profile", "phone-rolling", "--shutter", "3"], 3, "shutter 3 is not 22 to 2000000 us"),
        (["--profile", "phone-rolling", "--key", "mono.bin"], 5, "monochrome"),
        (["--temperature", "-300"], 3, "temperature"),
        (["--temperature", "nan"], 3, "temperature"),
        (["--profile", "mine.toml", "-o", "mine.toml"], 4, "inputs"),
    ],
)
def test_what_a_capture_refuses(place: Path, arguments: list[str], code: int, words: str) -> None:
    (place / "folder.toml").mkdir()
    (place / "mine.toml").write_text(IDEAL)
    seal(place / "mono.bin", Policy(32, 24, Cfa.NONE), epoch=2)
    keys = [] if "--key" in arguments else ["--key", "sealed.bin"]
    result = run("capture", *keys, *arguments)
    assert result.exit_code == code, result.output
    assert words in result.stderr
    assert (len(result.stderr.splitlines()), result.stdout) == (1, "")
    assert not list(place.glob("*.dng"))


def test_the_list_names_all_and_where_ones_own_belong(place: Path, home: Path) -> None:
    result = run("list-profiles")
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert [line.split()[0] for line in lines[:-1]] == NAMES
    assert str(home / "profiles") in lines[-1]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("noise", [True, False])
def test_a_camera_has_the_profile_and_the_pattern_of_its_sensor(place: Path, name: str, noise: bool) -> None:
    profile = load_profile(name)
    settings = CameraSettings(8_000, 2.0, noise=noise, seed=4, temperature_c=40.0)
    scene = random_light(32, 24)
    with Camera(place / "sealed.bin", scene=scene, settings=settings, profile=name) as camera:
        assert camera.profile == profile
        assert camera.serial == serial_number("cam")
        frame = camera.capture(number=3)
    source = expose(scene, POLICY, settings, profile.pixel, Shot(4, 3, serial_number("cam")))
    expected = profile.converter(POLICY, serial_number("cam")).convert(source.rows(0, 24))
    assert np.array_equal(reveal(frame, open_sealed(place / "sealed.bin")), expected)
    pixel = profile.pixel
    assert pixel.qe_red
    assert pixel.qe_green
    assert frame.header.white_balance[0] == round(1024 * pixel.qe_green / pixel.qe_red)


def test_a_profile_may_have_a_converter_with_errors(place: Path) -> None:
    (place / "mine.toml").write_text(add_converter("clamp = true")(IDEAL))
    profile = load_profile("mine.toml")
    assert profile.slope == SingleSlope(1.5, (0.25, -0.25), 3, 2.0, 0.01, cds=False)
    scene = LightScene(np.full((24, 32, 3), 0.5))
    with Camera(place / "sealed.bin", scene=scene, settings=QUIET, profile=profile) as camera:
        found = reveal(camera.capture(), open_sealed(place / "sealed.bin")).astype(int)
        serial = camera.serial
    assert np.ptp(found, axis=0).max() == 0  # a column's error is in all its rows
    levels = replace(profile.slope, seed=serial).converter(profile.pixel.converter(12), 32).levels
    assert found[0].std() > 5
    middle = 0.5 * 4031 * (replace(profile.slope, seed=serial).converter(profile.pixel.converter(12), 32).gains / 4031)
    assert np.corrcoef(found[0], middle + levels)[0, 1] > 0.99


def test_the_columns_errors_are_the_sensors() -> None:
    profile = SensorProfile(slope=SingleSlope(column_offset=2.0, column_gain=0.01, cds=False, seed=9))
    one, again, other = (profile.converter(POLICY, serial) for serial in (5, 5, 6))
    assert isinstance(one, ColumnConverter)
    assert isinstance(again, ColumnConverter)
    assert isinstance(other, ColumnConverter)
    assert np.array_equal(one.levels, again.levels)
    assert not (one.levels == other.levels).any()
    assert not (one.gains == other.gains).any()


def test_without_the_table_the_converter_is_the_ideal_one() -> None:
    for bits in (8, 12, 16):
        assert SensorProfile().converter(Policy(8, 8, bits=bits), 7) == PixelModel().converter(bits)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("bits", [8, 10, 12, 14, 16])
def test_those_that_come_along_suit_every_depth(name: str, bits: int) -> None:
    policy = Policy(32, 24, bits=bits)
    load_profile(name).converter(policy, 2**64 - 1).check_fits(policy)


def test_a_bow_that_is_too_great_for_the_depth_is_refused_on_opening(place: Path) -> None:
    (place / "bent.toml").write_text(add_converter("bow = 50.0")(IDEAL))
    seal(place / "coarse.bin", Policy(32, 24, bits=8))
    with Camera(place / "sealed.bin", profile="bent.toml") as camera:
        camera.capture()
    with pytest.raises(PolicyError, match=r"bow of 50\.0 DN"), Camera(place / "coarse.bin", profile="bent.toml"):
        pass


def test_the_command_line_takes_profile_and_temperature(place: Path) -> None:
    for arguments in (["--profile", "phone-rolling", "--temperature", "60"], ["--profile", "phone-rolling"]):
        assert run("capture", "--key", "sealed.bin", "--noise", "off", "-o", f"{len(arguments)}.dng", *arguments)
    frames = [Path(f"{count}.dng").read_bytes() for count in (2, 4)]
    assert frames[0] != frames[1]
    assert run("capture", "--key", "sealed.bin", "--profile", "phone-rolling", "--metadata", "m.json").exit_code == 0
    text = Path("m.json").read_text()
    for words in ('"SensorProfile": "phone-rolling"', '"Shutter": "rolling"', '"RowTime": 10.68'):
        assert words in text


def test_profiles_may_be_made_in_python(place: Path) -> None:
    profile = SensorProfile("mine", pixel=PixelModel(full_well_e=500.0), readout=Readout("rolling", row_time_us=2.0))
    with Camera(place / "sealed.bin", settings=QUIET, profile=profile) as camera:
        assert camera.profile is profile
        assert camera.profile.readout.shutter is Shutter.ROLLING


def test_rows_of_a_rolling_shutter_start_one_after_the_other() -> None:
    rolling = Readout(Shutter.ROLLING, row_time_us=12.5, blank_rows=10)
    assert rolling.row_starts_us(4).tolist() == [0, 12.5, 25, 37.5]
    assert Readout(row_time_us=12.5).row_starts_us(4).tolist() == [0, 0, 0, 0]
    assert rolling.frame_us(1_000, 100) == 12_625
    assert rolling.frame_us(1_000, 40_000) == 40_000


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"min_gain": 3.0, "max_gain": 2.0}, "min_gain 3 is above max_gain 2"),
        ({"min_shutter_us": 30, "max_shutter_us": 20}, "min_shutter_us 30 is above max_shutter_us 20"),
        ({"row_time_us": 0}, "row_time_us 0 is not"),
    ],
)
def test_limits_are_checked(values: dict, words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        Readout(**values)


def test_settings_are_held_against_the_limits_before_the_key_is_opened(tmp_path: Path) -> None:
    with (
        pytest.raises(SettingsError, match="gain"),
        Camera(tmp_path / "missing.bin", settings=CameraSettings(gain=20.0), profile="phone-rolling"),
    ):
        pass


def test_a_monochrome_key_needs_a_sensor_that_is_made_so(tmp_path: Path, home: Path) -> None:
    enrol(home)
    key = seal(tmp_path / "mono.bin", Policy(32, 24, Cfa.NONE))
    with pytest.raises(PolicyError, match="monochrome"), Camera(key, profile="phone-rolling"):
        pass
    with Camera(key, profile="industrial-global") as camera:
        assert camera.capture().header.white_balance == (1024, 1024, 1024)
