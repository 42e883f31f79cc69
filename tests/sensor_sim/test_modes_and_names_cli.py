"""Modes, names of files and the metadata file, which the commands build on."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from adc_firmware import Encoding
from keyvault.errors import OutputError, PolicyError
from keyvault.policy import Cfa, Policy
from sensor_sim.metadata_file import MetadataFile
from sensor_sim.mode import Mode
from sensor_sim.outputs import FrameNames


@pytest.mark.parametrize(
    ("text", "mode"),
    [
        ("640:480", Mode(640, 480)),
        ("640:480:10", Mode(640, 480, 10)),
        ("640:480:12:P", Mode(640, 480, 12, packed=True)),
        ("4056:3040:8:U", Mode(4056, 3040, 8, packed=False)),
    ],
)
def test_modes_are_spelt_as_rpicam_does(text: str, mode: Mode) -> None:
    assert Mode.parse(text) == mode


@pytest.mark.parametrize("text", ["", "640", "640x480", "0:480", "640:480:12:X", "640:480:12:P:", "640:480:-1", " 1:1"])
def test_other_spellings_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=rf"^{re.escape(text)}$"):
        Mode.parse(text)


@pytest.mark.parametrize(
    ("mosaic", "bits", "packed", "unpacked"),
    [
        (Cfa.RGGB, 8, "SRGGB8", "SRGGB8"),
        (Cfa.BGGR, 9, None, "SBGGR16"),
        (Cfa.GRBG, 10, "SGRBG10P", "SGRBG10"),
        (Cfa.GBRG, 12, "SGBRG12P", "SGBRG12"),
        (Cfa.NONE, 14, "Y14P", "Y14"),
        (Cfa.NONE, 8, "GREY", "GREY"),
        (Cfa.RGGB, 16, "SRGGB16", "SRGGB16"),
    ],
)
def test_raw_files_get_v4l2_s_format(mosaic: Cfa, bits: int, packed: str | None, unpacked: str) -> None:
    policy = Policy(64, 48, mosaic, 1, bits)
    assert Mode(64, 48, packed=False).raw_encoding(policy) == unpacked
    assert Mode(64, 48).raw_encoding(policy) is None
    if packed is None:
        with pytest.raises(PolicyError, match="no packed raw format"):
            Mode(64, 48, packed=True).raw_encoding(policy)
    else:
        found = Mode(64, 48, packed=True).raw_encoding(policy)
        assert found == packed
        assert not Mode(64, 48, packed=True).contradicts(found)


def test_there_is_no_raw_format_for_stacked_sensors() -> None:
    with pytest.raises(PolicyError, match="36 bits a photosite"):
        Mode(64, 48, packed=True).raw_encoding(Policy(64, 48, Cfa.NONE, 3))


def test_packed_and_unpacked_contradict_each_other() -> None:
    packed, unpacked = Mode(4, 4, packed=True), Mode(4, 4, packed=False)
    assert packed.contradicts(Encoding.SRGGB12)
    assert unpacked.contradicts(Encoding.BayerRG12p)
    assert not packed.contradicts(Encoding.DNG12)
    assert not unpacked.contradicts(Encoding.SRGGB12)
    assert not packed.contradicts(Encoding.DNG)
    assert not Mode(4, 4).contradicts(Encoding.SRGGB12)


def test_a_pattern_knows_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names = FrameNames("out.d/f%05d.dng", None)
    assert names.matches(names.path(7))
    assert names.matches(tmp_path / "out.d" / "f123456.dng")
    assert not names.matches(Path("f00007.dng"))
    assert not names.matches(Path("out.d/f00007xdng"))
    assert not names.matches(Path("out.d/f.dng"))
    assert FrameNames("a.dng", 1).matches(Path("./a.dng"))
    assert [path.name for _, path in zip(range(2), names.paths(), strict=False)] == ["f00000.dng", "f00001.dng"]


def test_metadata_are_valid_json_after_every_record(tmp_path: Path) -> None:
    path = tmp_path / "m.json"
    path.write_text("old")
    with MetadataFile(path) as metadata:
        assert path.read_text() == "old"
        for count in range(1, 4):
            metadata.add({"n": count, "text": "]\n"})
            assert [record["n"] for record in json.loads(path.read_text())] == list(range(1, count + 1))
    with pytest.raises(OutputError, match="none"), MetadataFile(tmp_path / "none" / "m.json") as metadata:
        metadata.add({})
