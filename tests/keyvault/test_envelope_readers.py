"""Other implementations of JOSE open our sealed keys: joserfc, and node's jose where there is node."""

from __future__ import annotations

import json
import subprocess
from base64 import urlsafe_b64decode
from pathlib import Path

import pytest
from jose_writers import HERE, node
from joserfc import jwe, jws
from joserfc.jwk import OctKey, OKPKey, RSAKey
from parties import DEVICE, VECTORS, issued

from keyvault.device import Device
from keyvault.envelope import read_sealed
from keyvault.hosts import load_issuer, public_pem

HOSTS = ("lab", "mobile")


@pytest.fixture(params=["vector", "fresh"])
def sealed(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A folder with sealed.bin, issuer.pub and device.json."""
    if request.param == "vector":
        return VECTORS
    (tmp_path / "sealed.bin").write_bytes(issued().data)
    (tmp_path / "issuer.pub").write_bytes(public_pem(DEVICE.issuer))
    (tmp_path / "device.json").write_bytes(DEVICE.to_bytes())
    return tmp_path


def expected_key(folder: Path) -> str:
    """The epoch key as our own reader opens it for the sensor."""
    grant = read_sealed(folder / "sealed.bin", load_issuer(folder / "issuer.pub"))
    device = Device.from_bytes((folder / "device.json").read_bytes())
    return grant.open_as_sensor(device, now=grant.grant.not_before).epoch_key.hex()


def claims(folder: Path) -> dict:
    """The claims, decoded without our own reader."""
    payload = json.loads(urlsafe_b64decode((folder / "sealed.bin").read_bytes().split(b".")[1] + b"=="))
    grant: dict = json.loads(urlsafe_b64decode(payload["protected"] + "=="))["grant"]
    return grant


def test_joserfc_verifies_and_opens(sealed: Path) -> None:
    issuer = OKPKey.import_key((sealed / "issuer.pub").read_bytes())
    registry = jws.JWSRegistry(algorithms=["Ed25519"], strict_check_header=False)
    signed = jws.deserialize_compact((sealed / "sealed.bin").read_bytes(), issuer, registry=registry)
    assert signed.headers()["kid"] == issuer.thumbprint()
    message = json.loads(signed.payload)
    recipients = message.pop("recipients")
    kek = OctKey.import_key(json.loads((sealed / "device.json").read_bytes())["kek"])
    keys = [kek, *(RSAKey.import_key((VECTORS / f"{name}.pem").read_bytes()) for name in HOSTS)]
    for algorithm, part, key in zip(("A256KW", "RSA-OAEP-256", "RSA-OAEP-256"), recipients, keys, strict=True):
        registry = jwe.JWERegistry(algorithms=[algorithm, "A256GCM"], strict_check_header=False)
        registry.max_protected_header_length = 8192
        opened = jwe.decrypt_json(message | part, key, registry=registry)
        assert opened.plaintext is not None
        assert opened.plaintext.hex() == expected_key(sealed)
    for part, name in zip(recipients[1:], HOSTS, strict=True):
        assert part["header"]["kid"] == RSAKey.import_key((VECTORS / f"{name}.pem").read_bytes()).thumbprint()


def test_node_jose_verifies_and_opens(sealed: Path) -> None:
    files = [sealed / "sealed.bin", sealed / "issuer.pub", sealed / "device.json"]
    files += [VECTORS / f"{name}.pem" for name in HOSTS]
    done = subprocess.run([node(), HERE / "jose_check.mjs", *files], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    read = json.loads(done.stdout)
    assert read["keys"] == [expected_key(sealed)] * 3
    assert read["header"] == {
        "alg": "Ed25519",
        "kid": read["thumbprint"],
        "typ": "privcam-sealed-key+jws",
        "v": 1,
    }
    assert read["claims"] == claims(sealed)


def test_the_claims_of_the_vector_are_recorded() -> None:
    expected = json.loads((VECTORS / "sealed.json").read_text())
    assert expected["epoch_key"] == expected_key(VECTORS)
    assert claims(VECTORS) == expected["grant"]
