"""Looking at frames without a key: every encoding, no claim to be verified, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from adc_firmware import Encoding, FrameHeader, PrivateFrame, UnverifiedFrame, encodings_for, inspect, write
from adc_firmware.errors import FrameError, FrameTamperedError
from adc_firmware.frame import sign
from keyvault.errors import InputError
from keyvault.policy import Cfa, Policy

POLICIES = [Policy(8, 6), Policy(4, 3, Cfa.NONE, 3, 8), Policy(8, 5, Cfa.NONE, 1, 16)]


def frame(policy: Policy) -> PrivateFrame:
    header = FrameHeader("cam", "0" * 16, 1, b"s" * 16, 7, policy, 4, 2**policy.bits - 1, 10, 1000, (1, 2, 3), 5)
    samples = np.random.default_rng(0).integers(0, 2**policy.bits, header.shape).astype(np.uint16)
    return sign(header, samples, Ed25519PrivateKey.from_private_bytes(b"k" * 32))


@pytest.mark.parametrize("policy", POLICIES, ids=["bayer", "stacked", "mono"])
def test_every_encoding_is_shown_as_it_is_stored(policy: Policy, tmp_path: Path) -> None:
    original = frame(policy)
    for encoding in encodings_for(policy):
        path = tmp_path / f"{encoding}.bin"
        write(original, path, encoding)
        found = inspect(path)
        assert type(found) is UnverifiedFrame
        assert (found.claims, found.encoding) == (original.header, encoding)
        assert np.array_equal(found.samples, original.samples)
        assert not found.samples.flags.writeable


def test_a_changed_sample_is_shown_since_nothing_is_verified(tmp_path: Path) -> None:
    path = tmp_path / "a.dng"
    write(frame(POLICIES[0]), path)
    data = bytearray(path.read_bytes())
    data[-2] ^= 1
    path.write_bytes(data)
    assert inspect(path).samples[-1, -1] == frame(POLICIES[0]).samples[-1, -1] ^ 1


def test_what_contradicts_its_header_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.dng"
    write(frame(POLICIES[0]), path)
    data = path.read_bytes()
    place = data.index(b"privcam private frame (")
    path.write_bytes(data[:place] + b"P" + data[place + 1 :])
    with pytest.raises(FrameTamperedError, match=r"a\.dng"):
        inspect(path)


@pytest.mark.parametrize("encoding", [Encoding.DNG, Encoding.TIFF, Encoding.PNG, Encoding.NPY, Encoding.SRGGB12P])
def test_cut_and_lengthened_files_are_refused(encoding: Encoding, tmp_path: Path) -> None:
    path = tmp_path / "frame"
    write(frame(POLICIES[0]), path, encoding)
    data = path.read_bytes()
    for other in (data[:-1], data + b"\0", data[:50]):
        path.write_bytes(other)
        with pytest.raises(InputError):
            inspect(path)


def test_a_header_does_not_decide_how_much_is_read(tmp_path: Path) -> None:
    """The file is as long as its header says before more than the header is read."""
    path = tmp_path / "a.dng"
    write(frame(Policy(65_534, 2)), path)
    path.write_bytes(path.read_bytes()[:4000])
    with pytest.raises(FrameError, match="truncated"):
        inspect(path)


def test_what_is_no_frame_is_said(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("hello")
    with pytest.raises(FrameError, match="not a private frame"):
        inspect(tmp_path / "a.txt")
    with pytest.raises(InputError, match="not a file"):
        inspect(tmp_path)
    with pytest.raises(InputError, match=r"nothing\.dng"):
        inspect(tmp_path / "nothing.dng")


def test_a_data_file_needs_its_sidecar(tmp_path: Path) -> None:
    write(frame(POLICIES[0]), tmp_path / "a.npy")
    (tmp_path / "a.npy.json").unlink()
    with pytest.raises(FrameError) as caught:
        inspect(tmp_path / "a.npy")
    assert "a.npy.json" in caught.value.hint
