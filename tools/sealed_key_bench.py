"""The parties of the sealed-key test vectors, and sealed keys that no vault would make."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key

from keyvault import canonical, jws
from keyvault.claims import to_json
from keyvault.derivation import commitment, derive_epoch_key
from keyvault.device import Device
from keyvault.grant import Grant, Kind, Recipient
from keyvault.hosts import MIN_RSA_BITS
from keyvault.identity import thumbprint
from keyvault.policy import Policy
from sealed_key_writer import Key, encrypt, encrypt_claims, seal

FOLDER = Path(__file__).resolve().parent.parent / "tests" / "vectors" / "sealed_key"
NOT_BEFORE, NOW, NOT_AFTER = 1_790_000_000, 1_800_000_000, 1_810_000_000
SENSOR, EPOCH = "cam-1", 3
HOSTS = ("lab", "mobile")


def secret(name: str) -> bytes:
    """32 bytes that everybody can compute."""
    return hashlib.sha256(f"privcam test vector: {name}".encode()).digest()


def signing_key(name: str) -> Ed25519PrivateKey:
    """A signing key that everybody can compute."""
    return Ed25519PrivateKey.from_private_bytes(secret(name))


def host_key(name: str, bits: int = MIN_RSA_BITS) -> RSAPrivateKey:
    """The host's key in the folder, made if it is not there."""
    path = FOLDER / f"{name}.pem"
    if not path.exists():
        path.write_bytes(
            generate_private_key(65_537, bits).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        )
    key = load_pem_private_key(path.read_bytes(), None)
    if not isinstance(key, RSAPrivateKey):
        raise SystemExit(f"{path} is not an RSA key")
    return key


def write_files(folder: Path, part: str, files: dict[str, str]) -> None:
    """Write texts by their paths below a folder, and remove the JSON files of ``part`` that are none of them."""
    for old in (folder / part).glob("*.json"):
        if str(old.relative_to(folder)) not in files:
            old.unlink()
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


@dataclass(frozen=True)
class Bench:
    """The parties of the vectors, and the good sealed key that failures are made from."""

    issuer: Ed25519PrivateKey
    device: Device
    hosts: tuple[RSAPrivateKey, ...]
    epoch_key: bytes
    grant: Grant

    @classmethod
    def build(cls) -> Bench:
        """The same parties at every run."""
        issuer = signing_key("issuer")
        device = Device(SENSOR, secret("kek"), signing_key("sensor"), issuer.public_key())
        hosts = tuple(host_key(name) for name in HOSTS)
        epoch_key = derive_epoch_key(secret("root"), SENSOR, EPOCH, secret("salt"))
        recipients = (
            Recipient(Kind.SENSOR, SENSOR, device.kid),
            *(Recipient(Kind.HOST, n, thumbprint(key.public_key())) for n, key in zip(HOSTS, hosts, strict=True)),
        )
        verifier = device.signer.public_key().public_bytes_raw()
        grant = Grant(
            sensor=SENSOR,
            epoch=EPOCH,
            policy=Policy(1920, 1080),
            not_before=NOT_BEFORE,
            not_after=NOT_AFTER,
            issuer=thumbprint(issuer.public_key()),
            sensor_key=verifier,
            recipients=recipients,
            commitment=commitment(epoch_key),
            serial=7,
            min_epoch=2,
        )
        return cls(issuer, device, hosts, epoch_key, grant)

    @property
    def publics(self) -> list[RSAPublicKey]:
        """The hosts' public keys."""
        return [key.public_key() for key in self.hosts]

    def seal(self) -> bytes:
        """The good sealed key."""
        return seal([self.grant], [self.epoch_key], self.device.kek, self.publics, self.issuer)

    def range_for_hosts(self, first: int = 3, last: int = 7, **changes: Any) -> bytes:
        """A sealed key of several epochs for the hosts alone, with other claims if given."""
        keys = [secret(f"epoch key {epoch}") for epoch in range(first, last + 1)]
        shared = replace(self.grant, recipients=self.grant.hosts, **changes)
        grants = [replace(shared, epoch=first + at, commitment=commitment(key)) for at, key in enumerate(keys)]
        return seal(grants, keys, None, self.publics, self.issuer)

    def payload(self, *, grant: Grant | None = None, kek: bytes | None = None) -> dict[str, Any]:
        """The encrypted part, for another grant or another device key if given."""
        return encrypt([grant or self.grant], [self.epoch_key], [kek or self.device.kek, *self.publics])

    def with_claims(self, **changes: Any) -> bytes:
        """A sealed key whose encryption is right for claims that nobody may make."""
        claims = to_json([self.grant]) | changes
        keys: list[Key] = [self.device.kek, *self.publics]
        parts = [(part["header"], key) for part, key in zip(self.payload()["recipients"], keys, strict=True)]
        return self.sign(encrypt_claims(claims, self.epoch_key, parts))

    def sign(self, payload: dict[str, Any] | bytes) -> bytes:
        """The vault's signature around whatever it is given."""
        return jws.sign(payload if isinstance(payload, bytes) else canonical.dumps(payload), self.issuer)

    def with_protected(self, **changes: Any) -> bytes:
        """A signed key whose protected header was changed after encryption."""
        payload = self.payload()
        protected = json.loads(canonical.unb64url(payload["protected"], "protected"))
        payload["protected"] = canonical.b64url(canonical.dumps(protected | changes))
        return self.sign(payload)
