"""Test vectors of docs/spec/frame_files.md, by adc_firmware and by a second implementation."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import frame_files_reference as reference
import numpy as np
import pytest

import adc_firmware
from adc_firmware import Encoding, PrivateFrame, read, write
from adc_firmware.packing import PACKINGS
from keyvault import claims

FOLDER = Path(__file__).parents[1] / "vectors" / "frame_files"
VECTORS = {path.stem: json.loads(path.read_text()) for path in sorted(FOLDER.glob("*.json"))}
ACCEPTED = [name for name, vector in VECTORS.items() if vector["error"] is None]
REFUSED = [name for name in VECTORS if name not in ACCEPTED]


def read_vector(vector: dict[str, Any], folder: Path) -> PrivateFrame:
    path = folder / "frame"
    path.write_bytes(bytes.fromhex(vector["data"]))
    if vector["sidecar"] is not None:
        (folder / "frame.json").write_bytes(bytes.fromhex(vector["sidecar"]))
    grants = [grant for value in vector["grants"] for grant in claims.from_json(value)]
    return read(path, {grant.key_id: grant for grant in grants})


def octets(vector: dict[str, Any]) -> tuple[bytes, bytes | None]:
    return bytes.fromhex(vector["data"]), None if vector["sidecar"] is None else bytes.fromhex(vector["sidecar"])


def test_the_vectors_cover_what_there_is() -> None:
    assert {vector["specification"] for vector in VECTORS.values()} == {reference.SPECIFICATION}
    encodings = {VECTORS[name]["encoding"] for name in ACCEPTED}
    assert {"dng", "tiff", "png", "npy"} <= encodings
    assert {PACKINGS[name].order for name in encodings & set(PACKINGS)} == {p.order for p in PACKINGS.values()}
    assert {VECTORS[n]["error"] for n in REFUSED} == {"FrameError", "ForeignFrameError", "FrameTamperedError"}
    assert len(REFUSED) >= 45


@pytest.mark.parametrize("name", ACCEPTED)
def test_second_implementation_makes_the_files(name: str) -> None:
    vector = VECTORS[name]
    header, encoding, signature = vector["header"], vector["encoding"], bytes.fromhex(vector["signature"])
    stored = np.array(vector["stored"], np.uint16).reshape(reference.shape(header))
    assert reference.data_bytes(encoding, header, signature, stored).hex() == vector["data"]
    sidecar = reference.sidecar_bytes(encoding, header, signature)
    assert (None if sidecar is None else sidecar.hex()) == vector["sidecar"]
    assert reference.refusal(*octets(vector), vector["grants"]) is None


@pytest.mark.parametrize("name", ACCEPTED)
def test_we_read_and_write_the_files(name: str, tmp_path: Path) -> None:
    vector = VECTORS[name]
    frame = read_vector(vector, tmp_path)
    assert json.loads(frame.header.to_bytes()) == vector["header"]
    assert frame.signature.hex() == vector["signature"]
    assert frame.samples.reshape(-1).tolist() == vector["stored"]
    assert not frame.samples.flags.writeable
    write(frame, tmp_path / "again", vector["encoding"])
    data, sidecar = octets(vector)
    assert (tmp_path / "again").read_bytes() == data
    assert (tmp_path / "again.json").exists() == (sidecar is not None) == Encoding(vector["encoding"]).has_sidecar
    if sidecar is not None:
        assert (tmp_path / "again.json").read_bytes() == sidecar


@pytest.mark.parametrize("name", REFUSED)
def test_both_refuse(name: str, tmp_path: Path) -> None:
    vector = VECTORS[name]
    assert reference.refusal(*octets(vector), vector["grants"]) == vector["error"]
    with pytest.raises(getattr(adc_firmware, vector["error"])) as caught:
        read_vector(vector, tmp_path)
    assert type(caught.value).__name__ == vector["error"]
