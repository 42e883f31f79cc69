"""``sensor-sim cost``: the table, the JSON, and what it refuses."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from camera_kit import ISSUER, seal
from click.testing import CliRunner, Result

from adc_firmware.cost import Timing, cost, frame_energy_uj, pace
from keyvault.hosts import public_pem
from keyvault.policy import Cfa, Policy, Unit
from sensor_sim.cli import sensor_sim
from sensor_sim.cli_cost import _si
from sensor_sim.sensor_profile import load_profile

HD = ("--size", "1920x1080")


def run(*arguments: str) -> Result:
    return CliRunner().invoke(sensor_sim, ["cost", *arguments], prog_name="sensor-sim")


def records(*arguments: str) -> list[dict[str, object]]:
    result = run(*arguments, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def rows(*arguments: str) -> list[list[str]]:
    """The cells of the table; they are two or more spaces apart."""
    result = run(*arguments)
    assert result.exit_code == 0, result.output
    return [re.split(r" {2,}", line.strip()) for line in result.stdout.splitlines()]


def test_scopes_and_units_are_compared_when_left_open() -> None:
    header, *lines = rows(*HD)
    assert header == ["unit", "scope", "buffer", "table", "cycles/sample", "lines"]
    assert [line[:2] for line in lines] == [
        [unit, scope] for unit in ("photosite", "quad") for scope in ("row", "band:16", "band:64", "frame")
    ]
    assert lines[0][2:] == ["46.1 kbit", "42.2 kbit", "6.00", "1"]
    assert lines[1][2:] == ["737 kbit", "922 kbit", "6.00", "16"]
    assert lines[3][2:] == ["49.8 Mbit", "87.1 Mbit", "7.00", "1080"]


def test_times_and_energy_have_columns_when_asked_for() -> None:
    options = ("--scope", "row", "--unit", "photosite", "--row-time-us", "15", "--clock-mhz", "200")
    header, line = rows(*HD, *options, "--pj-per-bit", "2")
    assert header[6:] == ["latency", "frames/s", "clock needed", "energy/frame"]
    assert line[6:] == ["15.0 us", "16.08", "768 MHz", "373 uJ"]
    assert not any("energy" in cell for cell in rows(*HD, *options)[0])


def test_json_has_the_figures_of_the_model() -> None:
    (record,) = records(
        *("--size", "64x48", "--bits", "10", "--cfa", "GRBG", "--scope", "band:4", "--unit", "quad"),
        *("--row-time-us", "12.5", "--pj-per-bit", "0.3"),
    )
    policy = Policy(64, 48, Cfa.GRBG, 1, 10, Unit.QUAD, "band:4")
    expected, in_time = cost(policy), pace(policy, Timing(12.5))
    assert (record["unit"], record["scope"], record["cfa"], record["bits"]) == ("quad", "band:4", "GRBG", 10)
    for figures in (expected, in_time):
        for name in type(figures).__slots__:
            assert record[name] == getattr(figures, name)
    assert record["frame_energy_uj"] == frame_energy_uj(policy, 0.3)
    assert record["clock_mhz"] is None


def test_a_profile_gives_row_time_and_blank_rows() -> None:
    readout = load_profile("industrial-global").readout
    record, *_ = records(*HD, "--profile", "industrial-global", "--clock-mhz", "500")
    expected = pace(Policy(1920, 1080, scope="row"), Timing(readout.row_time_us, readout.blank_rows, 500.0))
    assert (record["row_time_us"], record["blank_rows"]) == (readout.row_time_us, readout.blank_rows)
    assert record["frames_per_second"] == expected.frames_per_second


def test_a_policy_is_spelt_in_words_and_the_options_say_the_rest() -> None:
    (record,) = records("--policy", "64x48,10,GRBG,quad,band:4", "--row-time-us", "12.5")
    assert (
        record
        == records(
            *("--size", "64x48", "--bits", "10", "--cfa", "GRBG", "--scope", "band:4", "--unit", "quad"),
            *("--row-time-us", "12.5"),
        ).pop()
    )
    assert records("--policy", "row,quad", "--policy", "band:8", *HD, "--bits", "8") == [
        *records(*HD, "--bits", "8", "--scope", "row", "--unit", "quad"),
        *records(*HD, "--bits", "8", "--scope", "band:8"),
    ]
    assert records("--policy", "8x6,stacked") == records("--size", "8x6", "--stacked")


def test_a_sealed_key_has_a_policy(tmp_path: Path, home: Path) -> None:
    home.mkdir()
    (home / "issuer.pub").write_bytes(public_pem(ISSUER.public_key()))
    policy = Policy(30, 20, Cfa.NONE, 3, 9, Unit.QUAD, "band:4")
    key = seal(tmp_path / "sealed.bin", policy)
    (record,) = records("--policy", str(key))
    assert record["buffer_bits"] == cost(policy).buffer_bits
    assert (record["unit"], record["scope"], record["samples_per_photosite"]) == ("quad", "band:4", 3)
    assert records("--policy", str(key), "--trust", str(home / "issuer.pub")) == [record]
    key.write_bytes(key.read_bytes()[:-8] + b"AAAAAAAA")
    assert run("--policy", str(key)).exit_code == 6


def test_frames_that_differ_have_a_column() -> None:
    header, first, second = rows("--policy", "1920x1080,row,quad", "--policy", "64x48,stacked,8,frame,quad")
    assert header[:3] == ["frame", "unit", "scope"]
    assert first[:3] == ["1920x1080 RGGB 12 bit", "quad", "row"]
    assert second[:3] == ["64x48 stacked 8 bit", "quad", "frame"]


def test_figures_that_were_not_asked_for_are_not_in_the_json() -> None:
    assert not {"latency_us", "frames_per_second", "frame_energy_uj"} & set(records(*HD)[0])


def test_odd_and_small_sizes_are_compared_as_far_as_they_go() -> None:
    found = records("--size", "7x5", "--cfa", "none")
    assert [(record["unit"], record["scope"]) for record in found] == [("photosite", "row"), ("photosite", "frame")]
    assert {record["samples_per_photosite"] for record in records("--size", "7x5", "--stacked")} == {3}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--size", "7x5"), "RGGB mosaic needs an even size"),
        ((*HD, "--scope", "band:2000"), "band of 2000 rows does not fit"),
        ((*HD, "--scope", "column"), "not row, band:N or frame"),
        ((*HD, "--scope", "band:3", "--unit", "quad"), "does not fit"),
        ((*HD, "--bits", "7"), "outside 8 to 16"),
        ((*HD, "--row-time-us", "0"), "not a positive number of microseconds"),
        ((*HD, "--pj-per-bit", "-1"), "not a positive number of picojoules"),
        ((*HD, "--clock-mhz", "100"), "needs --row-time-us"),
        ((*HD, "--row-time-us", "9", "--profile", "ideal"), "both state a row time"),
        ((*HD, "--profile", "nothing"), "no sensor profile 'nothing'"),
        ((), "--size"),
        (("--policy", "row"), "without a size"),
        (("--policy", "1920x1080,column"), "'column' is neither"),
        (("--policy", "1920x1080,"), "'' is neither"),
        (("--policy", "1920x1080,row,frame"), "two things of the scope"),
        (("--policy", "missing.bin"), "missing.bin"),
        (("--policy", "7x5"), "RGGB mosaic needs an even size"),
        (("--policy", "0x5"), "outside 1x1"),
    ],
)
def test_refusals_are_one_line(arguments: tuple[str, ...], words: str) -> None:
    result = run(*arguments)
    assert result.exit_code > 0
    assert result.stdout == ""
    assert words in result.stderr
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (0, "bit", "0 bit"),
        (16, "bit", "16 bit"),
        (999.9e3, "bit", "1.00 Mbit"),
        (1.5e-5, "s", "15.0 us"),
        (0.0162, "s", "16.2 ms"),
        (7.677e8, "Hz", "768 MHz"),
        (3e-17, "J", "0.00 pJ"),
        (4.2e16, "Hz", "42000 THz"),
    ],
)
def test_prefixes(value: float, unit: str, text: str) -> None:
    assert _si(value, unit) == text
