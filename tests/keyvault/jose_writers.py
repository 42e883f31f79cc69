"""Sealed keys and status lists as joserfc and node's jose write them, from the specification alone."""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from joserfc import jwe, jws
from joserfc.jwk import OctKey, OKPKey, RSAKey

from keyvault.hosts import public_pem

HERE = Path(__file__).resolve().parent
FOLDERS = (HERE, HERE.parent.parent)


@dataclass(frozen=True)
class Order:
    """What is to be sealed: claims, keys of the epochs, and for each recipient of the claims its kid and key."""

    claims: dict[str, Any]
    epoch_keys: bytes
    recipients: list[tuple[str, bytes | RSAPublicKey]]

    @property
    def protected(self) -> dict[str, Any]:
        """The protected header, its members sorted."""
        value = {"enc": "A256GCM", "grant": self.claims, "typ": "privcam-sealed-key+jwe", "v": 1}
        ordered: dict[str, Any] = json.loads(json.dumps(value, sort_keys=True))
        return ordered

    @property
    def headers(self) -> list[dict[str, str]]:
        """The header of each recipient."""
        return [
            {"alg": "A256KW" if isinstance(key, bytes) else "RSA-OAEP-256", "kid": kid} for kid, key in self.recipients
        ]


def compact(value: Any) -> str:
    """JSON with sorted members and without spaces."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


def joserfc_seal(order: Order, issuer: Ed25519PrivateKey) -> bytes:
    """A sealed key by joserfc."""
    registry = jwe.JWERegistry(algorithms=["A256KW", "RSA-OAEP-256", "A256GCM"], strict_check_header=False)
    registry.max_protected_header_length = 65_536
    token = jwe.GeneralJSONEncryption(order.protected, order.epoch_keys)
    for header, (_, key) in zip(order.headers, order.recipients, strict=True):
        own = OctKey.import_key(key) if isinstance(key, bytes) else RSAKey.import_key(public_pem(key))
        token.add_recipient(header, own)
    return joserfc_sign(compact(jwe.encrypt_json(token, None, registry=registry)), issuer, "privcam-sealed-key+jws")


def joserfc_sign(payload: str, issuer: Ed25519PrivateKey, typ: str) -> bytes:
    """A signed file by joserfc."""
    key = OKPKey.import_key(private_pem(issuer))
    registry = jws.JWSRegistry(algorithms=["Ed25519"], strict_check_header=False)
    header = {"alg": "Ed25519", "kid": key.thumbprint(), "typ": typ, "v": 1}
    return jws.serialize_compact(header, payload, key, registry=registry).encode()


def node_seal(order: Order, issuer: Ed25519PrivateKey) -> bytes:
    """A sealed key by node's jose."""
    recipients = [
        {"header": header} | ({"k": OctKey.import_key(key).as_dict()["k"]} if isinstance(key, bytes) else spki(key))
        for header, (_, key) in zip(order.headers, order.recipients, strict=True)
    ]
    job = {"protected": order.protected, "plaintext": order.epoch_keys.hex(), "recipients": recipients}
    return node_job(job | _signer(issuer, "privcam-sealed-key+jws"))


def node_sign(payload: str, issuer: Ed25519PrivateKey, typ: str) -> bytes:
    """A signed file by node's jose."""
    return node_job({"payload": payload} | _signer(issuer, typ))


def node_job(job: dict[str, Any]) -> bytes:
    """What jose_write.mjs prints; skips the test where node or jose is missing."""
    command = [node(), HERE / "jose_write.mjs"]
    done = subprocess.run(command, input=json.dumps(job).encode(), capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


def node() -> str:
    """The node program; skips the test where it or the package jose is missing."""
    program = shutil.which("node")
    if program is None:
        pytest.skip("node is not installed")
    if not any((folder / "node_modules" / "jose").is_dir() for folder in FOLDERS):
        pytest.skip("npm package jose is not installed (npm install --prefix tests/keyvault)")
    return program


def spki(key: RSAPublicKey) -> dict[str, str]:
    """A public key as jose_write.mjs takes it."""
    return {"spki": public_pem(key).decode()}


def private_pem(key: Ed25519PrivateKey) -> bytes:
    """The vault's signing key as other programs read it."""
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _signer(issuer: Ed25519PrivateKey, typ: str) -> dict[str, str]:
    pem = private_pem(issuer)
    return {"issuer": pem.decode(), "issuerKid": OKPKey.import_key(pem).thumbprint(), "typ": typ}
