"""The file as others see it: LibRaw and tifffile read the stored samples; plain DNG is not ours."""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import pytest
import rawpy
import tifffile
from chip_factories import by_key_id, frame_of, open_grant

from adc_firmware import FrameError, FrameTamperedError, decode, encode
from adc_firmware import frame as frame_module
from adc_firmware.tiff_file import MAX_BYTES
from keyvault.policy import Cfa, Policy, Protection

MOSAICS = [cfa for cfa in Cfa if cfa is not Cfa.NONE]
COLOURS = "RGBG"


@pytest.mark.parametrize("bits", [8, 12, 16])
@pytest.mark.parametrize("cfa", MOSAICS)
@pytest.mark.parametrize("size", [(22, 22), (64, 48), (350, 34)])
def test_libraw_reads_a_mosaic_exactly(cfa: Cfa, bits: int, size: tuple[int, int]) -> None:
    frame = frame_of(open_grant(Policy(*size, cfa, bits=bits)))
    with rawpy.imread(io.BytesIO(encode(frame))) as raw:
        np.testing.assert_array_equal(raw.raw_image, frame.samples)
        pattern = "".join(COLOURS[index] for index in raw.raw_pattern.reshape(-1))
        assert pattern == cfa
        assert raw.black_level_per_channel == [frame.header.black_level] * 4
        assert raw.white_level == frame.header.white_level
        assert raw.camera_whitebalance[:3] == [2.0, 1.0, 1.5]


@pytest.mark.parametrize("size", [(23, 22), (65, 37)])
def test_libraw_reads_monochrome_exactly(size: tuple[int, int]) -> None:
    frame = frame_of(open_grant(Policy(*size, Cfa.NONE, bits=14)))
    with rawpy.imread(io.BytesIO(encode(frame))) as raw:
        np.testing.assert_array_equal(raw.raw_image, frame.samples)
        assert raw.num_colors == 1


@pytest.mark.parametrize("size", [(23, 22), (65, 37)])
def test_libraw_reads_stacked_samples_exactly(size: tuple[int, int]) -> None:
    frame = frame_of(open_grant(Policy(*size, Cfa.NONE, 3, bits=14)))
    with rawpy.imread(io.BytesIO(encode(frame))) as raw:
        assert raw.raw_type == rawpy.RawType.Stack
        np.testing.assert_array_equal(raw.raw_image[..., :3], frame.samples)
        assert not raw.raw_image[..., 3].any()


@pytest.mark.parametrize(
    "policy",
    [Policy(2, 2), Policy(8, 6, Cfa.GRBG), Policy(7, 1, Cfa.NONE), Policy(3, 5, Cfa.NONE, 3)],
    ids=lambda policy: f"{policy.width}x{policy.height}x{policy.samples_per_photosite}",
)
def test_tifffile_reads_the_same(policy: Policy) -> None:
    frame = frame_of(open_grant(policy))
    with tifffile.TiffFile(io.BytesIO(encode(frame))) as tiff:
        assert len(tiff.pages) == 1
        page = tiff.pages[0]
        np.testing.assert_array_equal(page.asarray(squeeze=False).reshape(frame.samples.shape), frame.samples)
        tags = {tag.name: tag.value for tag in page.tags}
    assert tags["DNGVersion"] in (b"\1\4\0\0", (1, 4, 0, 0))
    assert tags["UniqueCameraModel"] == "privcam private frame (shuffled, masked)"
    assert tags["CameraSerialNumber"] == "front-door"
    assert tags["ExposureTime"] == (8000, 1000000)
    assert ("CFAPattern" in tags) == (policy.cfa is not Cfa.NONE)
    assert ("ColorMatrix1" in tags) == (policy.cfa is not Cfa.NONE or policy.samples_per_photosite == 3)
    assert bytes(tags["DNGPrivateData"]).startswith(b"privcam private frame v1\0")


def test_the_model_does_not_claim_a_mask_that_is_not_there() -> None:
    file = encode(frame_of(open_grant(Policy(8, 6, protection=Protection.SHUFFLE))))
    with tifffile.TiffFile(io.BytesIO(file)) as tiff:
        assert tiff.pages[0].tags["UniqueCameraModel"].value == "privcam private frame (shuffled)"


def test_a_plain_dng_is_not_ours() -> None:
    out = io.BytesIO()
    version = (50706, "B", 4, (1, 4, 0, 0), True)
    tifffile.imwrite(out, np.zeros((32, 32), np.uint16), photometric="cfa", extratags=[version])
    with pytest.raises(FrameError, match="not a private frame"):
        decode(out.getvalue(), {})


def test_a_frame_that_another_program_saved_anew_is_refused() -> None:
    opened = open_grant(Policy(32, 32))
    file = encode(frame_of(opened))
    with tifffile.TiffFile(io.BytesIO(file)) as tiff:
        private = bytes(tiff.pages[0].tags["DNGPrivateData"].value)
        samples = tiff.pages[0].asarray()
    out = io.BytesIO()
    tifffile.imwrite(out, samples, photometric="cfa", extratags=[(50740, "B", len(private), private, True)])
    with pytest.raises(FrameError, match="not a private frame"):
        decode(out.getvalue(), by_key_id(opened))


@pytest.mark.parametrize("tag", [256, 257, 258, 259, 262, 273, 277, 279, 33422, 50708, 50714, 50717, 50740])
def test_a_tag_that_disagrees_is_refused(tag: int) -> None:
    opened = open_grant(Policy(32, 32))
    file = bytearray(encode(frame_of(opened)))
    with tifffile.TiffFile(io.BytesIO(bytes(file))) as tiff:
        entry = tiff.pages[0].tags[tag]
        place = entry.valueoffset
    file[place] ^= 1
    with pytest.raises(FrameTamperedError if tag != 50740 else FrameError):
        decode(bytes(file), by_key_id(opened))


def test_a_frame_beyond_four_gibibytes_has_no_file() -> None:
    policy = Policy(49981, 42966, Cfa.NONE)
    header = replace(frame_of(open_grant(Policy(8, 6))).header, policy=policy)
    assert 2 * policy.photosites > MAX_BYTES - 2048
    huge = object.__new__(frame_module.PrivateFrame)
    for name, value in {"header": header, "signature": bytes(64), "samples": np.zeros(1, np.uint16)}.items():
        object.__setattr__(huge, name, value)
    with pytest.raises(FrameError, match="4 GiB"):
        encode(huge)
