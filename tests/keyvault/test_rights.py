"""What a host that was granted a range of epochs has, and what it cannot get from that."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from jwcrypto.jwe import JWE
from jwcrypto.jwk import JWK
from parties import NOW, TERMS, host_key, small_vault, stranger

from keyvault import canonical, envelope, epochs, sealing, vault_records
from keyvault.derivation import derive_epoch_key
from keyvault.errors import WrongHostError
from keyvault.vault import Vault

GRANTED = range(3, 8)
OTHERS = (1, 2, 8, 9)


@pytest.fixture
def vault(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Vault]:
    """An unlocked vault at NOW, with epochs 1 to 9 of cam and a host ``third`` that was given none."""
    monkeypatch.setattr("time.time", lambda: NOW)
    with small_vault(home) as made:
        made.enroll_host("third", stranger().public_key())
        made.issue("cam", TERMS)
        with made.change() as change:
            for _ in range(8):
                sealing.rotate(change, "cam", sealing.Rotation())
        yield made


def grant(vault: Vault, host: str, span: range) -> bytes:
    with vault.change() as change:
        return sealing.grant(change, "cam", (host,), span).data


def secrets_of(vault: Vault) -> tuple[bytes, dict[int, bytes]]:
    """The vault's root secret, and the salt of every epoch of cam."""
    with vault.change() as change:
        made = epochs.listed(change.database, "cam")
        seeds = [epochs.content(change.database, change.key, epoch).seed for epoch in made]
        root = vault_records.issuer_secrets(change.database, change.key).root
    return root, {seed.number: seed.salt for seed in seeds}


def all_that_is_encrypted(data: bytes) -> bytes:
    """The whole plaintext of a file for ``third``, by another library than the one that reads it."""
    key = stranger().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    token = JWE(algs=["RSA-OAEP-256", "A256GCM"])
    token.deserialize(canonical.unb64url(data.decode().split(".")[1], "payload").decode())
    token.decrypt(JWK.from_pem(key))
    plaintext: bytes = token.payload
    return plaintext


def test_a_range_holds_its_own_keys_and_not_a_byte_more(vault: Vault) -> None:
    data = grant(vault, "third", GRANTED)
    root, salts = secrets_of(vault)
    plaintext = all_that_is_encrypted(data)
    assert plaintext == b"".join(derive_epoch_key(root, "cam", number, salts[number]) for number in GRANTED)
    for secret in (root, *salts.values(), *(derive_epoch_key(root, "cam", n, salts[n]) for n in OTHERS)):
        assert secret not in plaintext
        assert canonical.b64url(secret).encode() not in canonical.unb64url(data.decode().split(".")[1], "payload")


def test_with_its_keys_and_even_the_salts_a_host_derives_neither_root_nor_other_epochs(vault: Vault) -> None:
    sealed = envelope.verify(grant(vault, "third", GRANTED), vault.issuer)
    root, salts = secrets_of(vault)
    known = {one.epoch_key for one in sealed.open_as_host(stranger(), NOW)} | set(salts.values())
    wanted = {root, *(derive_epoch_key(root, "cam", number, salts[number]) for number in OTHERS)}

    def derived(keys: set[bytes]) -> set[bytes]:
        return {derive_epoch_key(k, "cam", n, salt) for k in keys for n in salts for salt in salts.values()}

    assert not known & wanted
    assert not derived(known) & wanted
    assert derived({root}) & wanted == wanted - {root}  # whoever had the root could


def test_hosts_with_different_rights_open_their_own_files_only(vault: Vault) -> None:
    narrow = envelope.verify(grant(vault, "third", range(5, 6)), vault.issuer)
    wide = envelope.verify(grant(vault, "lab", GRANTED), vault.issuer)
    assert [one.grant.epoch for one in narrow.open_as_host(stranger(), NOW)] == [5]
    assert [one.grant.epoch for one in wide.open_as_host(host_key("lab"), NOW)] == list(GRANTED)
    with pytest.raises(WrongHostError, match="sealed for host lab"):
        wide.open_as_host(stranger(), NOW)
