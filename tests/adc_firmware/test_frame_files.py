"""Frames in files of every encoding: round trips, other readers, and that no change passes."""

from __future__ import annotations

import io
import os
from pathlib import Path

import cv2
import imagecodecs
import numpy as np
import pytest
import tifffile
from chip_factories import by_key_id, frame_of, open_grant
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from adc_firmware import Encoding, FrameError, FrameTamperedError, PrivateFrame, encodings_for, files, read, write
from adc_firmware.files import CONTAINERS
from adc_firmware.png import PNG
from adc_firmware.tiff import TIFF
from keyvault.errors import OutputError, PolicyError, PrivcamError
from keyvault.policy import Cfa, Policy, Protection

POLICIES = [
    Policy(8, 6),
    Policy(4, 2, Cfa.BGGR, bits=8, protection=Protection.SHUFFLE),
    Policy(12, 4, Cfa.GRBG, bits=10),
    Policy(16, 2, Cfa.GBRG, bits=14),
    Policy(6, 2, bits=16),
    Policy(7, 5, Cfa.NONE, bits=13),
    Policy(1, 9, Cfa.NONE, bits=10),
    Policy(9, 1, Cfa.NONE, bits=12),
    Policy(8, 3, Cfa.NONE, bits=14),
    Policy(5, 3, Cfa.NONE, 3),
]
EVERY = [(policy, encoding) for policy in POLICIES for encoding in encodings_for(policy)]
STACKED, MONO = Policy(37, 23, Cfa.NONE, 3, bits=16), Policy(250, 150, Cfa.NONE, bits=14)  # several blocks of DEFLATE
TINY = open_grant(Policy(2, 2))
TINY_GRANTS = by_key_id(TINY)
TINY_FRAME = frame_of(TINY)


def same(first: PrivateFrame, second: PrivateFrame) -> bool:
    return (
        (first.header, first.signature) == (second.header, second.signature)
        and first.samples.dtype == second.samples.dtype == np.uint16
        and np.array_equal(first.samples, second.samples)
    )


@pytest.mark.parametrize(("policy", "encoding"), EVERY, ids=lambda value: getattr(value, "name", f"{value}")[:60])
def test_every_encoding_gives_the_frame_back(policy: Policy, encoding: Encoding, tmp_path: Path) -> None:
    opened = open_grant(policy)
    frame = frame_of(opened)
    path = tmp_path / f"frame.{encoding}"
    write(frame, path, encoding)
    again = read(str(path), by_key_id(opened))
    assert same(frame, again)
    assert not again.samples.flags.writeable
    assert sorted(tmp_path.iterdir()) == sorted(files.paths_of(path, encoding))
    assert all(made.stat().st_mode & 0o777 == 0o644 for made in tmp_path.iterdir())
    path.rename(tmp_path / "other.name")  # content counts
    if encoding.has_sidecar:
        (tmp_path / f"{path.name}.json").rename(tmp_path / "other.name.json")
    assert same(frame, read(tmp_path / "other.name", by_key_id(opened)))


@st.composite
def policies(draw: st.DrawFn) -> Policy:
    cfa = draw(st.sampled_from(Cfa))
    samples = draw(st.sampled_from([1, 3])) if cfa is Cfa.NONE else 1
    step = 1 if cfa is Cfa.NONE else 2
    sides = st.integers(1, 40).map(lambda side: side * step)
    return Policy(draw(sides), draw(sides), cfa, samples, draw(st.integers(8, 16)))


@given(policies())
def test_every_policy_fits_its_encodings(policy: Policy) -> None:
    opened = open_grant(policy)
    frame = frame_of(opened)
    for encoding in encodings_for(policy):
        assert same(frame, again(frame, encoding, opened.grant))


def again(frame: PrivateFrame, encoding: Encoding, grant: object) -> PrivateFrame:
    from adc_firmware import data_file  # noqa: PLC0415
    from adc_firmware.record import Record  # noqa: PLC0415
    from adc_firmware.sidecar import Sidecar  # noqa: PLC0415

    grants = {frame.header.key_id: grant}
    if not encoding.has_sidecar:
        return CONTAINERS[encoding].decode(CONTAINERS[encoding].encode(frame), grants)
    beside = Sidecar(Record(frame.header, frame.signature), encoding).to_bytes()
    return data_file.decode(data_file.encode(frame, encoding), Sidecar.from_bytes(beside), grants)


@pytest.mark.parametrize("policy", [*POLICIES, STACKED, MONO], ids=str)
def test_others_read_the_tiff(policy: Policy) -> None:
    frame = frame_of(open_grant(policy))
    data = TIFF.encode(frame)
    with tifffile.TiffFile(io.BytesIO(data)) as tiff:
        assert len(tiff.pages) == 1
        page = tiff.pages[0]
        np.testing.assert_array_equal(page.asarray(squeeze=False).reshape(frame.samples.shape), frame.samples)
        assert page.photometric.name == ("RGB" if policy.samples_per_photosite == 3 else "MINISBLACK")
        assert page.description.startswith("privcam private frame (shuffled")
        assert bytes(page.tags[65000].value).startswith(b"privcam private frame v1\0")
    np.testing.assert_array_equal(imagecodecs.tiff_decode(data).reshape(frame.samples.shape), frame.samples)
    if policy.samples_per_photosite == 1:  # Pillow has no 16-bit RGB
        np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(data))), frame.samples)


@pytest.mark.parametrize("policy", [*POLICIES, STACKED, MONO], ids=str)
def test_others_read_the_png(policy: Policy) -> None:
    frame = frame_of(open_grant(policy))
    data = PNG.encode(frame)
    np.testing.assert_array_equal(imagecodecs.png_decode(data), frame.samples)
    decoded = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    np.testing.assert_array_equal(decoded[..., ::-1] if policy.samples_per_photosite == 3 else decoded, frame.samples)
    with Image.open(io.BytesIO(data)) as image:
        assert image.size == (policy.width, policy.height)
        image.load()
        if policy.samples_per_photosite == 1:
            np.testing.assert_array_equal(np.asarray(image), frame.samples)


@pytest.mark.parametrize("policy", [*POLICIES, STACKED], ids=str)
def test_numpy_loads_the_npy(policy: Policy, tmp_path: Path) -> None:
    frame = frame_of(open_grant(policy))
    write(frame, tmp_path / "frame.npy")
    loaded = np.load(tmp_path / "frame.npy", allow_pickle=False)
    assert loaded.dtype == np.uint16
    np.testing.assert_array_equal(loaded, frame.samples)


def test_what_opencv_or_tifffile_saved_anew_is_refused(tmp_path: Path) -> None:
    opened = open_grant(Policy(32, 32))
    frame = frame_of(opened)
    cv2.imwrite(str(tmp_path / "a.png"), frame.samples)
    tifffile.imwrite(tmp_path / "a.tif", frame.samples)
    np.save(tmp_path / "a.npy", frame.samples)
    for name in ("a.png", "a.tif", "a.npy"):
        with pytest.raises(FrameError, match="not a private frame") as caught:
            read(tmp_path / name, by_key_id(opened))
        assert f"{name}.json" in caught.value.hint


@pytest.mark.parametrize("encoding", [e for e in encodings_for(TINY.grant.policy) if e is not Encoding.DNG])
def test_every_flipped_bit_is_refused(encoding: Encoding, tmp_path: Path) -> None:
    """But for the one bit between SRGGB12 and SRGGB16 in a sidecar, which stand for the same bytes.

    The DNG has its own test; the sidecars of other packings differ in the name alone.
    """
    path = tmp_path / "frame"
    write(TINY_FRAME, path, encoding)
    passed = []
    other = {"SRGGB12": b'"SRGGB16"', "SRGGB16": b'"SRGGB12"'}.get(encoding)
    for file in sorted(tmp_path.iterdir()) if encoding is Encoding.NPY or other else [path]:
        whole = file.read_bytes()
        for position in range(8 * len(whole)):
            changed = bytearray(whole)
            changed[position // 8] ^= 1 << position % 8
            file.write_bytes(changed)
            try:
                found = read(path, TINY_GRANTS)
            except PrivcamError:
                continue
            assert same(found, TINY_FRAME)
            passed.append(bytes(changed))
        file.write_bytes(whole)
    assert same(read(path, TINY_GRANTS), TINY_FRAME)
    assert len(passed) == (other is not None)
    assert all(other in sidecar for sidecar in passed)


@pytest.mark.parametrize("encoding", ["tiff", "png", "npy", "SRGGB12P", "BayerRG12p"])
def test_every_truncation_and_every_addition_is_refused(encoding: str, tmp_path: Path) -> None:
    path = tmp_path / "frame"
    write(TINY_FRAME, path, encoding)
    for file in sorted(tmp_path.iterdir()):
        whole = file.read_bytes()
        for changed in [*(whole[:length] for length in range(len(whole))), whole + b"\0", b"\0" + whole, whole + whole]:
            file.write_bytes(changed)
            with pytest.raises(FrameError):
                read(path, TINY_GRANTS)
        file.write_bytes(whole)


@given(st.data())
def test_no_splice_raises_anything_else(data: st.DataObject) -> None:
    container = data.draw(st.sampled_from([TIFF, PNG]))
    whole = container.encode(TINY_FRAME)
    first = data.draw(st.integers(0, len(whole)))
    last = data.draw(st.integers(first, len(whole)))
    changed = whole[:first] + data.draw(st.binary(max_size=40)) + whole[last:]
    if changed != whole:
        with pytest.raises(PrivcamError):
            container.decode(changed, TINY_GRANTS)


@given(sidecar=st.binary(max_size=400), data=st.binary(max_size=60))
def test_noise_beside_noise_is_refused(sidecar: bytes, data: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("noise")
    (folder / "a").write_bytes(data)
    (folder / "a.json").write_bytes(sidecar)
    with pytest.raises(FrameError):
        read(folder / "a", TINY_GRANTS)


def test_names_that_stand_for_the_same_bytes_give_the_same_frame(tmp_path: Path) -> None:
    path, beside = tmp_path / "a", tmp_path / "a.json"
    write(TINY_FRAME, path, "SRGGB12")
    for name in ("SRGGB16", "BayerRG12"):
        beside.write_bytes(beside.read_bytes().replace(b'"SRGGB12"', f'"{name}"'.encode()))
        assert same(read(path, TINY_GRANTS), TINY_FRAME)
        write(TINY_FRAME, path, "SRGGB12")
    for name in ("SRGGB12P", "Y12", "DNG12", "SBGGR12", "npy"):
        beside.write_bytes(beside.read_bytes().replace(b'"SRGGB12"', f'"{name}"'.encode()))
        with pytest.raises((FrameError, FrameTamperedError)):
            read(path, TINY_GRANTS)
        write(TINY_FRAME, path, "SRGGB12")


def test_a_frame_moves_between_encodings(tmp_path: Path) -> None:
    frame = TINY_FRAME
    for encoding in encodings_for(TINY.grant.policy):
        write(frame, tmp_path / encoding, encoding)
        frame = read(tmp_path / encoding, TINY_GRANTS)
    write(frame, tmp_path / "last.dng")
    write(TINY_FRAME, tmp_path / "first.dng")
    assert (tmp_path / "last.dng").read_bytes() == (tmp_path / "first.dng").read_bytes()


def test_what_an_encoding_does_not_hold_is_not_written(tmp_path: Path) -> None:
    frame = frame_of(open_grant(Policy(6, 2, bits=10)))
    for name in ("SRGGB10P", "SRGGB12P", "SBGGR10", "BayerRG12p", "GREY"):
        with pytest.raises(PolicyError) as caught:
            write(frame, tmp_path / "frame", name)
        assert "BayerRG10p" in caught.value.hint
    with pytest.raises(OutputError):
        write(frame, tmp_path / "frame.raw")
    assert not list(tmp_path.iterdir())


def test_a_pair_that_cannot_be_finished_leaves_no_half(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "frame.npy"
    write(frame_of(TINY), path)

    def full(target: Path, data: bytes, *, mode: int) -> None:
        if target.suffix == ".json":
            raise OutputError("no space left")
        target.write_bytes(data)

    monkeypatch.setattr(files, "write_whole", full)
    with pytest.raises(OutputError, match="no space left"):
        write(TINY_FRAME, path)
    assert not list(tmp_path.iterdir())


def test_an_interrupted_pair_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a kill leaves: at no moment do a new data file and an old sidecar stand together."""
    path = tmp_path / "frame.npy"
    write(frame_of(TINY), path)
    seen = []

    def watched(target: Path, data: bytes, *, mode: int) -> None:
        seen.append(sorted(place.name for place in tmp_path.iterdir()))
        target.write_bytes(data)

    monkeypatch.setattr(files, "write_whole", watched)
    write(TINY_FRAME, path)
    assert seen == [["frame.npy"], ["frame.npy"]]
    assert same(read(path, TINY_GRANTS), TINY_FRAME)
    (tmp_path / "frame.npy.json").unlink()
    with pytest.raises(FrameError, match="not a private frame") as caught:
        read(path, TINY_GRANTS)
    assert "frame.npy.json" in caught.value.hint


def test_a_folder_that_is_not_there_costs_no_sidecar(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="no folder"):
        write(TINY_FRAME, tmp_path / "none" / "frame.npy")
    (tmp_path / "a.npy").mkdir()
    (tmp_path / "a.npy.json").write_text("kept")
    with pytest.raises(OutputError, match="is a folder"):
        write(TINY_FRAME, tmp_path / "a.npy")
    assert (tmp_path / "a.npy.json").read_text() == "kept"


def test_the_sidecar_itself_is_no_frame(tmp_path: Path) -> None:
    write(TINY_FRAME, tmp_path / "frame.npy")
    with pytest.raises(FrameError, match="sidecar") as caught:
        read(tmp_path / "frame.npy.json", TINY_GRANTS)
    assert "frame.npy" in caught.value.hint


def test_a_sidecar_is_not_read_beyond_its_size(tmp_path: Path) -> None:
    write(TINY_FRAME, tmp_path / "frame.npy")
    with (tmp_path / "frame.npy.json").open("ab") as sidecar:
        sidecar.write(b" " * 20_000)
    with pytest.raises(FrameError, match="longer than"):
        read(tmp_path / "frame.npy", TINY_GRANTS)


@pytest.mark.parametrize("encoding", ["dng", "tiff", "png", "npy", "SRGGB12P"])
def test_a_file_of_another_length_is_not_read(encoding: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(TINY_FRAME, tmp_path / "frame", encoding)
    os.truncate(tmp_path / "frame", 2**40)
    monkeypatch.setattr(files, "read_bounded", None)
    with pytest.raises(FrameError, match="too long"):
        read(tmp_path / "frame", TINY_GRANTS)


@pytest.mark.parametrize("encoding", ["dng", "tiff", "png", "npy", "Y12"])
def test_a_frame_of_another_grants_geometry_is_not_read(
    encoding: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(frame_of(open_grant(Policy(60, 30, Cfa.NONE))), tmp_path / "frame", encoding)
    monkeypatch.setattr(files, "read_bounded", None)
    with pytest.raises(FrameTamperedError, match="says policy"):
        read(tmp_path / "frame", TINY_GRANTS)


def test_private_files_are_known_as_such(tmp_path: Path) -> None:
    for encoding in encodings_for(TINY.grant.policy):
        write(TINY_FRAME, tmp_path / encoding, encoding)
        assert files.is_private(tmp_path / encoding)
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "plain.npy").write_bytes((tmp_path / "npy").read_bytes())
    (tmp_path / "plain.npy.json").write_text("{}")
    for name in ("plain.npy", "missing.png", ".", "pipe"):
        assert not files.is_private(tmp_path / name)
