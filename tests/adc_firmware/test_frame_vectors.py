"""Test vectors of docs/spec/private_frame.md, by adc_firmware and by a second implementation."""

from __future__ import annotations

import json
from itertools import product
from pathlib import Path
from typing import Any

import frame_reference as reference
import numpy as np
import pytest

import adc_firmware
from adc_firmware import decode, encode, frame_permutation, unmask
from keyvault import claims
from keyvault.grant import Grant, OpenGrant

FOLDER = Path(__file__).parents[1] / "vectors" / "private_frame"
VECTORS = {path.stem: json.loads(path.read_text()) for path in sorted(FOLDER.glob("*.json"))}
ACCEPTED = [name for name, vector in VECTORS.items() if vector["error"] is None]
REFUSED = [name for name in VECTORS if name not in ACCEPTED]


def grants_of(vector: dict[str, Any]) -> dict[str, Grant]:
    grants = [grant for value in vector["grants"] for grant in claims.from_json(value)]
    return {grant.key_id: grant for grant in grants}


def test_all_files_are_of_this_specification() -> None:
    assert {vector["specification"] for vector in VECTORS.values()} == {"privcam private frame v1"}
    assert len(ACCEPTED) >= 9
    assert len(REFUSED) >= 25
    assert {VECTORS[n]["error"] for n in REFUSED} == {"FrameError", "ForeignFrameError", "FrameTamperedError"}


def test_every_scope_has_frames_of_every_unit() -> None:
    policies = [VECTORS[name]["header"]["policy"] for name in ACCEPTED]
    found = {(policy["scope"].partition(":")[0], policy["unit"]) for policy in policies}
    assert found == set(product(("row", "band", "frame"), ("photosite", "quad")))


@pytest.mark.parametrize("name", ACCEPTED)
def test_second_implementation_makes_the_file(name: str) -> None:
    vector = VECTORS[name]
    assert reference.file_bytes(vector).hex() == vector["file"]
    assert reference.refusal(bytes.fromhex(vector["file"]), vector["grants"]) is None


@pytest.mark.parametrize("name", ACCEPTED)
def test_we_read_and_write_the_file(name: str) -> None:
    vector = VECTORS[name]
    file, grants = bytes.fromhex(vector["file"]), grants_of(vector)
    frame = decode(file, grants)
    assert json.loads(frame.header.to_bytes()) == vector["header"]
    assert frame.samples.reshape(-1).tolist() == vector["stored"]
    assert encode(frame) == file


@pytest.mark.parametrize("name", ACCEPTED)
def test_we_open_the_frame(name: str) -> None:
    vector = VECTORS[name]
    frame = decode(bytes.fromhex(vector["file"]), grants_of(vector))
    opened = OpenGrant(grants_of(vector)[frame.header.key_id], bytes.fromhex(vector["epoch_key"]))
    permutation = frame_permutation(opened, frame.header.frame_id)
    assert permutation.table.tolist() == vector["table"]
    secrets = opened.frame_secrets(frame.header.frame_id)
    plain = permutation.undo(unmask(frame.samples, permutation, secrets.mask_key, frame.header.policy))
    np.testing.assert_array_equal(plain.reshape(-1), reference.source_dn(vector))


@pytest.mark.parametrize("name", REFUSED)
def test_both_refuse(name: str) -> None:
    vector = VECTORS[name]
    file = bytes.fromhex(vector["file"])
    assert reference.refusal(file, vector["grants"]) == vector["error"]
    with pytest.raises(getattr(adc_firmware, vector["error"])) as caught:
        decode(file, grants_of(vector))
    assert type(caught.value).__name__ == vector["error"]


def test_volts_of_the_vectors_cover_clipping_and_halves() -> None:
    volts = [v for v in (VECTORS[n] for n in ACCEPTED) if isinstance(v["source"][0], str)]
    dn = [(reference.source_dn(v), 2 ** v["header"]["policy"]["bits"] - 1) for v in volts]
    assert any((values == 0).any() for values, _ in dn)
    assert any((values == top).any() for values, top in dn)
    exact = [v for v in volts if v["converter"]["gain"] == np.float64(1024).tobytes()[::-1].hex()]
    levels = [np.frombuffer(bytes.fromhex("".join(v["source"])), ">f4").astype(float) * 1024 for v in exact]
    assert any((level % 1 == 0.5).any() for level in levels)
