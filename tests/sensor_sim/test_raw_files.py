"""Raw files: DN as they are, levels and white balance, and what is not a Bayer mosaic."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tifffile
from camera_kit import device, enrol, open_sealed, reveal, seal

from adc_firmware import SampleRangeError, write
from adc_firmware.packing import PACKINGS, pack
from keyvault.errors import PolicyError
from keyvault.policy import Cfa, Policy, Protection, Unit
from sensor_sim import Camera, DnScene, RawLayout, SceneError, load_scene, read_headerless, read_raw

DN = np.random.default_rng(0).integers(0, 4096, (32, 48), np.uint16)
BAYER = {"RGGB": (0, 1, 1, 2), "BGGR": (2, 1, 1, 0), "GRBG": (1, 0, 2, 1), "GBRG": (1, 2, 0, 1)}
XTRANS = (1, 1, 0, 1, 1, 2, 1, 1, 2, 1, 1, 0, 2, 0, 1, 0, 2, 1, 1, 1, 2, 1, 1, 0, 1, 1, 0, 1, 1, 2, 0, 2, 1, 2, 0, 1)
MATRIX = (32406, 10000, -15372, 10000, -4986, 10000, -9689, 10000, 18758, 10000, 415, 10000)
COLOURS = [(50721, "2i", 9, (*MATRIX, 557, 10000, -2040, 10000, 10570, 10000), True), (50778, "H", 1, 21, True)]
LEVELS = [(50714, "H", 1, 64, True), (50717, "H", 1, 4000, True)]
NIKON = RawLayout(768, 512, Cfa.RGGB, 600, 15_520)


def pattern(colours: tuple[int, ...], side: int = 2) -> list[tuple]:
    return [(33421, "H", 2, (side, side), True), (33422, "B", side * side, bytes(colours), True)]


def write_dng(
    path: Path, dn: np.ndarray, tags: list[tuple], photometric: int = 32803, bitspersample: int | None = None
) -> Path:
    """A DNG made by tifffile, uncompressed: 16 bits, or packed."""
    dng = [(50706, "B", 4, bytes((1, 4, 0, 0)), True), (50708, "s", 0, "test camera", True)]
    how = {"photometric": photometric, "bitspersample": bitspersample, "metadata": None}
    tifffile.imwrite(path, dn, extratags=[*dng, *tags, *COLOURS], **how)
    return path


@pytest.mark.parametrize("cfa", BAYER)
def test_a_dng_is_read_as_it_is(tmp_path: Path, cfa: str) -> None:
    neutral = [(50728, "2I", 3, (1, 2, 1, 1, 2, 3), True)]  # as-shot neutral: red 1/2, blue 2/3
    scene = read_raw(write_dng(tmp_path / "a.dng", DN, [*pattern(BAYER[cfa]), *LEVELS, *neutral]))
    assert np.array_equal(scene.dn, DN)
    assert (scene.cfa, scene.black_level, scene.white_level) == (Cfa(cfa), 64, 4000)
    assert scene.white_balance == (2048, 1024, 1536)


@pytest.mark.parametrize(("top", "left"), [(0, 0), (1, 1), (2, 4), (3, 2), (4, 1)])
def test_the_mosaic_is_that_of_the_visible_area(tmp_path: Path, top: int, left: int) -> None:
    """A DNG's CFA begins at its active area; what LibRaw shows may begin later still."""
    active = [(50829, "I", 4, (top, left, 32, 48), True)]
    scene = read_raw(write_dng(tmp_path / "a.dng", DN, [*pattern(BAYER["RGGB"]), *active]))
    height, width = scene.dn.shape
    places = [(y, x) for y in range(6) for x in range(6) if np.array_equal(scene.dn, DN[y : y + height, x : x + width])]
    assert len(places) == 1
    (y, x) = places[0]
    assert (y, x) >= (top, left)
    colours = "".join("RGGB"[2 * ((y - top + i) % 2) + (x - left + j) % 2] for i in (0, 1) for j in (0, 1))
    assert scene.cfa is Cfa(colours)


def test_without_white_balance_it_is_neutral_in_red_and_blue(tmp_path: Path) -> None:
    scene = read_raw(write_dng(tmp_path / "a.dng", DN, pattern(BAYER["RGGB"])))
    assert scene.white_balance[1] == 1024
    assert min(scene.white_balance) > 0


def black_levels(*levels: int) -> list[tuple]:
    return [
        (50713, "H", 2, (2, 2), True),
        (50714, "H", 4, levels, True),
        (50717, "H", 1, 4095, True),
        *pattern(BAYER["RGGB"]),
    ]


def test_nearly_equal_black_levels_become_their_mean(tmp_path: Path) -> None:
    scene = read_raw(write_dng(tmp_path / "a.dng", DN, black_levels(63, 64, 66, 65)))
    assert scene.black_level in (64, 65)
    assert np.array_equal(scene.dn, DN)


def test_unequal_black_levels_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SceneError, match="black levels"):
        read_raw(write_dng(tmp_path / "a.dng", DN, black_levels(64, 64, 64, 80)))


@pytest.mark.parametrize(
    ("reason", "dn", "tags", "photometric"),
    [
        ("several values", np.zeros((32, 48, 3), np.uint16), [], 34892),
        ("not a 2 x 2 Bayer mosaic", DN, pattern(XTRANS, 6), 32803),
        ("not Bayer's", DN, [*pattern((3, 5, 1, 4)), (50710, "B", 4, bytes((3, 5, 1, 4)), True)], 32803),
    ],
)
def test_what_is_not_a_bayer_mosaic_is_refused(
    tmp_path: Path, reason: str, dn: np.ndarray, tags: list[tuple], photometric: int
) -> None:
    with pytest.raises(SceneError, match=reason):
        read_raw(write_dng(tmp_path / "a.dng", dn, tags, photometric))


@pytest.mark.parametrize("content", [b"", b"not raw" * 100])
def test_what_is_not_raw_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.dng"
    path.write_bytes(content)
    with pytest.raises(SceneError, match="LibRaw cannot read"):
        read_raw(path)
    with pytest.raises(SceneError, match="cannot read scene"):
        read_raw(tmp_path / "missing.dng")


def test_a_headerless_file_is_little_endian(tmp_path: Path) -> None:
    path = tmp_path / "a.raw"
    path.write_bytes(DN.astype(">u2").tobytes())
    scene = read_headerless(path, RawLayout(48, 32, Cfa.GBRG, 64, 4000))
    assert np.array_equal(scene.dn, DN.byteswap())
    assert (scene.cfa, scene.black_level, scene.white_level) == (Cfa.GBRG, 64, 4000)


@pytest.mark.parametrize("size", [(48, 31), (48, 33), (24, 32), (47, 32)])
def test_a_headerless_file_of_another_length_is_refused(tmp_path: Path, size: tuple[int, int]) -> None:
    path = tmp_path / "a.raw"
    path.write_bytes(DN.tobytes())
    with pytest.raises(SceneError, match=r"3072 bytes"):
        read_headerless(path, RawLayout(*size, Cfa.RGGB, 64, 4000))


PACKED = [name for name, packing in PACKINGS.items() if packing.cfa in (None, Cfa.GBRG) and packing.bits >= 12]


@pytest.mark.parametrize("name", PACKED)
@pytest.mark.parametrize("padding", [None, 0, 5])
def test_a_packed_headerless_file_is_a_scene(tmp_path: Path, name: str, padding: int | None) -> None:
    path = tmp_path / "a.raw"
    line = PACKINGS[name].line_bytes(48)
    lines = (pack(DN[y : y + 1], name) for y in range(32))
    path.write_bytes(pack(DN, name) if padding is None else b"".join(part + bytes(padding) for part in lines))
    stride = None if padding is None else line + padding
    scene = read_headerless(path, RawLayout(48, 32, Cfa.GBRG, 64, 4000, name, stride, (2000, 1024, 1500)))
    assert np.array_equal(scene.dn, DN)
    assert (scene.cfa, scene.white_balance) == (Cfa.GBRG, (2000, 1024, 1500))


def test_layouts_that_cannot_be_are_refused(tmp_path: Path) -> None:
    plain = RawLayout(48, 32, Cfa.GBRG, 64, 4000)
    assert plain.packing_name == "SGBRG16"
    assert replace(plain, cfa=Cfa.NONE).packing_name == "Y16"
    for change, reason in (
        ({"packing": "SRGGB12P"}, "not for the mosaic GBRG"),
        ({"packing": "RAW12"}, "no packing 'RAW12'"),
        ({"width": 0}, "no photosites"),
        ({"stride": 0}, "no photosites"),
        ({"white_balance": (0, 1024, 1024)}, "three gains"),
        ({"white_balance": (1024, 1024)}, "three gains"),
    ):
        with pytest.raises(SceneError, match=reason):
            replace(plain, **change)
    path = tmp_path / "a.raw"
    path.write_bytes(pack(DN, "SGBRG12P"))
    for change, reason in (
        ({"packing": "SGBRG12P", "height": 31}, "2304 bytes are not 48x31 samples as SGBRG12P, which are 2232"),
        ({"packing": "SGBRG12P", "width": 47}, "a width of 47"),
        ({"packing": "SGBRG12P", "width": 47, "stride": 72}, "a width of 47"),
        ({"packing": "SGBRG12P", "stride": 70}, "have 72 bytes a line, more than 70"),
        ({}, "which are 3072"),
    ):
        with pytest.raises(SceneError, match=reason):
            read_headerless(path, replace(plain, **change))


@pytest.mark.parametrize("bits", [10, 12, 14])
def test_libraw_reads_the_packing_of_dng(tmp_path: Path, bits: int) -> None:
    """tifffile packs, LibRaw unpacks, and our packing of the same name has the same bytes."""
    dn = np.random.default_rng(bits).integers(0, 2**bits, (32, 48), np.uint16)
    levels = [(50714, "H", 1, 16, True), (50717, "H", 1, 2**bits - 1, True)]
    path = write_dng(tmp_path / "a.dng", dn, [*pattern(BAYER["RGGB"]), *levels], bitspersample=bits)
    assert np.array_equal(read_raw(path).dn, dn)
    with tifffile.TiffFile(path) as tiff:
        assert tiff.pages[0].bitspersample == bits
        offset, length = tiff.pages[0].dataoffsets[0], tiff.pages[0].databytecounts[0]
    assert path.read_bytes()[offset : offset + length] == pack(dn, f"DNG{bits}")


def test_private_frames_are_no_scenes(tmp_path: Path) -> None:
    policy = Policy(48, 32, Cfa.GBRG)
    key = seal(tmp_path / "key.bin", policy)
    with Camera(key, scene=DnScene(DN, 64, 4000), device=device()) as camera:
        frame = camera.capture()
    for name in ("a.dng", "a.tif", "a.png", "a.SGBRG16.raw"):
        write(frame, tmp_path / name)
        layout = RawLayout(48, 32, Cfa.GBRG, 64, 4000)
        with pytest.raises(SceneError, match="is a private frame"):
            read_headerless(tmp_path / name, layout) if name.endswith(".raw") else load_scene(tmp_path / name, policy)


@pytest.fixture(scope="module")
def blackmagic(privcam_data: Path) -> Path:
    return privcam_data / "raw" / "imageio_BMPCC4K_12bit.dng"


@pytest.fixture(scope="module")
def nikon(privcam_data: Path) -> Path:
    return privcam_data / "raw" / "mushfiqulalam_DSC_1339_768x512_rggb_u16le.raw"


def test_a_real_dng_goes_through_the_chip_unchanged(tmp_path: Path, blackmagic: Path) -> None:
    scene = read_raw(blackmagic)
    assert scene.dn.shape == (2176, 4128)
    assert (scene.cfa, scene.black_level, scene.white_level, scene.bits) == (Cfa.RGGB, 512, 65_535, 16)
    assert scene.white_balance == (round(1024 / 0.4533), 1024, round(1024 / 0.53))
    key = seal(tmp_path / "key.bin", Policy(4128, 2176, bits=16))
    with Camera(key, scene=scene, device=device()) as camera:
        frame = camera.capture()
    assert np.array_equal(reveal(frame, open_sealed(key)), scene.dn)
    assert frame.header.white_balance == scene.white_balance


@pytest.mark.parametrize("flag", ["--size 4128x2176 --cfa RGGB --bits 16"])
def test_a_real_dng_says_which_key_it_needs(tmp_path: Path, home: Path, blackmagic: Path, flag: str) -> None:
    enrol(home)
    for policy in (Policy(4096, 2160, bits=16), Policy(4128, 2176, Cfa.BGGR, bits=16), Policy(4128, 2176)):
        key = seal(tmp_path / "key.bin", policy)
        with pytest.raises(PolicyError) as refusal, Camera(key, scene=blackmagic):
            pass
        assert flag in refusal.value.hint


@pytest.mark.parametrize("unit", Unit)
@pytest.mark.parametrize("protection", Protection)
def test_a_real_headerless_crop_goes_through_unchanged(
    tmp_path: Path, nikon: Path, unit: Unit, protection: Protection
) -> None:
    policy = Policy(768, 512, bits=14, unit=unit, protection=protection)
    key = seal(tmp_path / "key.bin", policy)
    with Camera(key, scene=read_headerless(nikon, NIKON), device=device()) as camera:
        frame = camera.capture()
    assert np.array_equal(reveal(frame, open_sealed(key)), np.fromfile(nikon, "<u2").reshape(512, 768))
    assert (frame.header.black_level, frame.header.white_level) == (600, 15_520)


def test_dn_beyond_the_bit_depth_are_refused(tmp_path: Path, nikon: Path) -> None:
    low_white = RawLayout(768, 512, Cfa.RGGB, 600, 4_000)  # the file has DN up to 16383
    key = seal(tmp_path / "key.bin", Policy(768, 512, bits=12))
    with (
        Camera(key, scene=read_headerless(nikon, low_white), device=device()) as camera,
        pytest.raises(SampleRangeError),
    ):
        camera.capture()
    with pytest.raises(PolicyError, match="14 bits"):
        load_scene(read_headerless(nikon, NIKON), Policy(768, 512, bits=12))
