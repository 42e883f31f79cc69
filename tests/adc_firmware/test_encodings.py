"""Names of encodings: what they hold, and what a file's name asks for."""

from __future__ import annotations

from dataclasses import replace

import pytest

from adc_firmware import Encoding, encodings_for
from adc_firmware.packing import PACKINGS
from keyvault.errors import OutputError, PolicyError
from keyvault.policy import Cfa, Policy

CONTAINERS = (Encoding.DNG, Encoding.TIFF, Encoding.PNG, Encoding.NPY)


def test_encodings_are_the_containers_and_every_packing() -> None:
    assert tuple(Encoding)[:4] == CONTAINERS
    assert set(Encoding) == {*CONTAINERS, *PACKINGS}
    assert all(member.name == member.value for member in Encoding if member.packing)
    assert {member for member in Encoding if member.has_sidecar} == {Encoding.NPY, *PACKINGS}


@pytest.mark.parametrize(
    ("policy", "packings"),
    [
        (Policy(8, 6), "SRGGB12 SRGGB16 SRGGB12P BayerRG12 BayerRG12p DNG12"),
        (Policy(8, 6, Cfa.GBRG, bits=10), "SGBRG10 SGBRG16 SGBRG10P BayerGB10 BayerGB10p DNG10"),
        (Policy(6, 6, Cfa.BGGR, bits=10), "SBGGR10 SBGGR16 BayerBG10 BayerBG10p DNG10"),
        (Policy(8, 6, Cfa.GRBG, bits=8), "SGRBG8 SGRBG16 BayerGR8"),
        (Policy(8, 6, bits=16), "SRGGB16 BayerRG16"),
        (Policy(8, 6, bits=14), "SRGGB14 SRGGB14P SRGGB16 DNG14"),
        (Policy(8, 6, bits=13), "SRGGB16"),
        (Policy(7, 5, Cfa.NONE, bits=8), "GREY Y16 Mono8"),
        (Policy(7, 5, Cfa.NONE, bits=12), "Y12 Y16 Mono12 Mono12p DNG12"),
        (Policy(8, 5, Cfa.NONE, bits=14), "Y14 Y14P Y16 Mono14 DNG14"),
        (Policy(8, 5, Cfa.NONE, bits=16), "Y16 Mono16"),
        (Policy(8, 6, Cfa.NONE, 3), ""),
    ],
)
def test_what_holds_a_policy(policy: Policy, packings: str) -> None:
    assert set(encodings_for(policy)) == {*CONTAINERS, *packings.split()}
    for encoding in Encoding:
        if encoding.holds(policy):
            encoding.check_holds(policy)
        else:
            with pytest.raises(PolicyError, match=f"^{encoding} does not hold") as caught:
                encoding.check_holds(policy)
            assert set(caught.value.hint.removeprefix("these do: ").split(", ")) == set(encodings_for(policy))


def test_the_largest_frames_are_not_for_tiff_and_png() -> None:
    largest = Policy(49_981, 42_966, Cfa.NONE, bits=16)
    assert set(encodings_for(largest)) == {"npy", "Y16", "Mono16"}
    assert set(encodings_for(replace(largest, height=42_965))) == {"dng", "tiff", "npy", "Y16", "Mono16"}
    fits = (2**31 - 7) * 65_535 // 65_540 // (2 * 49_981 + 1)
    assert "png" in encodings_for(replace(largest, height=fits))
    assert "png" not in encodings_for(replace(largest, height=fits + 1))


@pytest.mark.parametrize(
    ("path", "encoding"),
    [
        ("frame.dng", "dng"),
        ("a.b/frame%05d.DNG", "dng"),
        ("f.tif", "tiff"),
        ("f.TIFF", "tiff"),
        ("f.png", "png"),
        ("f.1.npy", "npy"),
        ("f.SRGGB12P", "SRGGB12P"),
        ("f.SRGGB12P.raw", "SRGGB12P"),
        ("f%d.BayerRG12p.RAW", "BayerRG12p"),
        ("Y16.GREY", "GREY"),
    ],
)
def test_a_name_says_the_encoding(path: str, encoding: str) -> None:
    assert Encoding.of(path) is Encoding(encoding)
    assert Encoding.chosen(path, None) is Encoding(encoding)
    assert Encoding.chosen(path, encoding) is Encoding(encoding)


@pytest.mark.parametrize(
    "path", ["frame", "frame.raw", "f.jpg", "f.srggb12p", "f.SRGGB12p", "f.dng.raw", "SRGGB12P", ""]
)
def test_a_name_that_says_none_is_refused_unless_one_is_given(path: str) -> None:
    with pytest.raises(OutputError, match="does not say what to write") as caught:
        Encoding.of(path)
    assert "--encoding" in caught.value.hint
    assert Encoding.chosen(path, "Y16") is Encoding.Y16


def test_a_name_and_an_encoding_that_differ_are_refused() -> None:
    for path, encoding in (("f.dng", "SRGGB12P"), ("f.SRGGB12P.raw", "SRGGB10P"), ("f.png", "tiff"), ("f.npy", "dng")):
        with pytest.raises(OutputError, match=f"named as .*, not {encoding}"):
            Encoding.chosen(path, encoding)


def test_unknown_encodings_are_refused_with_the_nearest() -> None:
    with pytest.raises(OutputError, match="no encoding 'bayerrg12P'") as caught:
        Encoding.chosen("f.raw", "bayerrg12P")
    assert "BayerRG12p" in caught.value.hint
    with pytest.raises(OutputError, match="no encoding 'RAW12'"):
        Encoding.chosen("f.raw", "RAW12")
