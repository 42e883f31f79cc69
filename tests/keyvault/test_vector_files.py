"""The test vectors of sealed keys and status lists are what their generators write, byte for byte."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from parties import VECTORS, host_key

import make_rollback_vectors
import make_sealed_key_vectors
import make_status_list_vectors
from keyvault import canonical, errors
from keyvault.claims import to_json
from keyvault.device import Device
from keyvault.envelope import read_sealed
from keyvault.errors import PrivcamError
from keyvault.hosts import load_issuer
from keyvault.status_list import verify

LISTS = sorted(make_status_list_vectors.FOLDER.glob("*.json"))
NOT_GENERATED = {"lab.pem", "mobile.pem", "weak.pem"}


@pytest.mark.parametrize(
    ("files", "folder"),
    [
        (lambda: make_sealed_key_vectors.files() | make_rollback_vectors.files(), VECTORS),
        (make_status_list_vectors.files, make_status_list_vectors.FOLDER),
    ],
    ids=["sealed keys", "status lists"],
)
def test_the_generators_write_what_is_there(files: Callable[[], dict[str, str]], folder: Path) -> None:
    there = {str(path.relative_to(folder)): path for path in folder.rglob("*") if path.is_file()}
    made = files()
    assert set(made) == set(there) - NOT_GENERATED
    for name, text in made.items():
        assert there[name].read_bytes() == text.encode(), name


def test_the_range_opens_for_its_hosts_alone() -> None:
    expected = json.loads((VECTORS / "range.json").read_text())
    sealed = read_sealed(VECTORS / "range.bin", load_issuer(VECTORS / "issuer.pub"))
    assert to_json(sealed.grants) == expected["grant"]
    for name in ("lab", "mobile"):
        opened = sealed.open_as_host(host_key(name), expected["now"])
        assert [one.epoch_key.hex() for one in opened] == expected["epoch_keys"]
    with pytest.raises(errors.WrongDeviceError, match="sealed for hosts lab, mobile"):
        sealed.open_as_sensor(Device.from_bytes((VECTORS / "device.json").read_bytes()), expected["now"])


@pytest.mark.parametrize("path", LISTS, ids=lambda path: path.stem)
def test_status_lists(path: Path) -> None:
    vector = json.loads(path.read_text())
    issuer = Ed25519PublicKey.from_public_bytes(canonical.unb64url(vector["issuer"]["x"], "x"))
    if vector["error"] is None:
        payload = canonical.unb64url(vector["status"].split(".")[1], "payload")
        assert verify(vector["status"].encode(), issuer).to_json() == json.loads(payload)
        return
    with pytest.raises(PrivcamError) as refusal:
        verify(vector["status"].encode(), issuer)
    assert type(refusal.value) is getattr(errors, vector["error"])
    assert str(refusal.value)
    assert refusal.value.hint


def test_there_are_status_lists_of_every_refusal() -> None:
    found = {json.loads(path.read_text())["error"] for path in LISTS}
    assert found == {None, "StatusListError", "UnknownIssuerError", "StatusSignatureError", "StatusContentError"}
