"""Host keys: strong enough, private, and every wrong file is named for what it is."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from parties import ISSUER, VECTORS, host_key, stranger

from keyvault import hosts
from keyvault.errors import ExposedFileError, HostKeyError, InputError, OutputError, PassphraseError, WeakKeyError
from keyvault.secret_files import write_secret

PKCS8 = (Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


@pytest.mark.parametrize("passphrase", [None, b"correct horse", "Grüße".encode()])
def test_a_host_key_survives_its_file(tmp_path: Path, passphrase: bytes | None) -> None:
    path = tmp_path / "host.pem"
    old = os.umask(0)
    try:
        hosts.save_host_key(host_key("lab"), path, passphrase)
    finally:
        os.umask(old)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert hosts.needs_passphrase(path) is (passphrase is not None)
    assert hosts.load_host_key(path, passphrase).private_numbers() == host_key("lab").private_numbers()
    with pytest.raises(OutputError, match="exists"):
        hosts.save_host_key(host_key("mobile"), path, None)


def test_openssl_reads_an_encrypted_host_key(tmp_path: Path) -> None:
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("openssl is not installed")
    path = tmp_path / "host.pem"
    hosts.save_host_key(host_key("lab"), path, b"correct horse")
    command = [openssl, "pkey", "-in", path, "-passin", "pass:correct horse", "-pubout"]
    done = subprocess.run(command, capture_output=True, check=True)
    assert done.stdout == hosts.public_pem(host_key("lab").public_key())
    shown = subprocess.run([openssl, "asn1parse", "-in", path], capture_output=True, check=True).stdout
    assert b"scrypt" in shown
    assert b"aes-256-cbc" in shown


def test_passphrases_that_do_not_fit(tmp_path: Path) -> None:
    path, plain = tmp_path / "host.pem", tmp_path / "plain.pem"
    hosts.save_host_key(host_key("lab"), path, b"right")
    hosts.save_host_key(host_key("lab"), plain, None)
    with pytest.raises(PassphraseError, match="protected by a passphrase"):
        hosts.load_host_key(path)
    for wrong in (b"wrong", b"right\n", b"x" * 300):
        with pytest.raises(PassphraseError, match="wrong passphrase"):
            hosts.load_host_key(path, wrong)
    with pytest.raises(PassphraseError, match="has no passphrase"):
        hosts.load_host_key(plain, b"right")


def test_generated_keys_are_strong() -> None:
    assert stranger().key_size == 3072
    assert stranger().public_key().public_numbers().e == 65537
    for bits in (1024, 3071, 8193):
        with pytest.raises(WeakKeyError, match=f"{bits} bits; 3072 to 8192"):
            hosts.generate_host_key(bits)


def test_weak_keys_are_refused(tmp_path: Path) -> None:
    weak = rsa.generate_private_key(65537, 2048)
    write_secret(tmp_path / "weak.pem", weak.private_bytes(*PKCS8))
    (tmp_path / "weak.pub").write_bytes(hosts.public_pem(weak.public_key()))
    with pytest.raises(WeakKeyError, match="2048"):
        hosts.load_host_key(tmp_path / "weak.pem")
    with pytest.raises(WeakKeyError, match="2048"):
        hosts.load_host_public(tmp_path / "weak.pub")


def test_public_keys(tmp_path: Path) -> None:
    lab, issuer = tmp_path / "lab.pub", tmp_path / "issuer.pub"
    lab.write_bytes(hosts.public_pem(host_key("lab").public_key()))
    issuer.write_bytes(hosts.public_pem(ISSUER.public_key()))
    assert hosts.load_host_public(lab) == host_key("lab").public_key()
    assert hosts.load_issuer(issuer) == ISSUER.public_key()
    with pytest.raises(HostKeyError, match="not the RSA public key of a host"):
        hosts.load_host_public(issuer)
    with pytest.raises(HostKeyError, match="not the Ed25519 public key of an issuer"):
        hosts.load_issuer(lab)
    with pytest.raises(HostKeyError, match="holds a private key"):
        hosts.load_host_public(VECTORS / "lab.pem")
    with pytest.raises(InputError, match="cannot read public key"):
        hosts.load_issuer(tmp_path / "none.pub")


def test_other_files_are_refused(tmp_path: Path) -> None:
    public, ed25519, junk = tmp_path / "host.pub", tmp_path / "ed25519.pem", tmp_path / "junk.pem"
    write_secret(public, hosts.public_pem(host_key("lab").public_key()))
    write_secret(ed25519, Ed25519PrivateKey.generate().private_bytes(*PKCS8))
    write_secret(junk, b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n")
    with pytest.raises(HostKeyError, match="holds a public key"):
        hosts.load_host_key(public)
    with pytest.raises(HostKeyError, match="not an RSA key"):
        hosts.load_host_key(ed25519)
    with pytest.raises(HostKeyError, match="not a private key in PEM"):
        hosts.load_host_key(junk)
    junk.write_bytes(b"junk")
    for load in (hosts.load_host_public, hosts.load_issuer):
        with pytest.raises(HostKeyError, match="not a public key in PEM"):
            load(junk)
    junk.write_bytes(b"x" * (hosts.MAX_PEM + 1))
    with pytest.raises(InputError, match="too large"):
        hosts.load_host_key(junk)


def test_an_exposed_host_key_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "host.pem"
    hosts.save_host_key(host_key("lab"), path, None)
    path.chmod(0o644)
    with pytest.raises(ExposedFileError, match="mode 0644"):
        hosts.load_host_key(path)
