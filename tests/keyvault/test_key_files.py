"""Key files, scrypt and Argon2id as locks of a vault and of a host's private key."""

from __future__ import annotations

import base64
import os
import shutil
import stat
import subprocess
from pathlib import Path

import pytest
from commands import done, refused, run
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, PrivateFormat
from parties import TERMS, host_key, small_vault

from keyvault import errors, hosts, key_files, pkcs8, vault_key
from keyvault.key_files import FileKey
from keyvault.secret_files import write_secret
from keyvault.unlocking import NewSecret, Unlock
from keyvault.vault import Vault
from keyvault.vault_key import FromKeyFile, ScryptCosts, ScryptPassphrase

FILE = FileKey(bytes(range(32)))
KINDS = [None, b"words", ScryptPassphrase(b"words"), FILE]
WORDS = ["", "a passphrase (Argon2id)", "a passphrase (scrypt)", "a key file"]


@pytest.fixture(autouse=True)
def cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    """New passphrases cost little."""
    monkeypatch.setattr(vault_key.Argon2.__init__, "__defaults__", (1, 64, 1))
    monkeypatch.setattr(ScryptCosts.__init__, "__defaults__", (2, 8, 1))


def test_each_kind_opens_what_each_other_was_changed_to(home: Path) -> None:
    with small_vault(home) as vault:
        made = vault.issue("cam", TERMS)
        for secret, words in zip((*KINDS, *reversed(KINDS)), (*WORDS, *reversed(WORDS)), strict=True):
            vault.change_passphrase(secret)
            assert vault.lock.kind == words
            with Vault.open(home) as again:
                again.unlock(secret)
                assert again.issued("cam").data == made.data
                assert again.lock.is_same(vault.lock)
                for other in KINDS:
                    if other is not secret and not (isinstance(other, bytes) and isinstance(secret, bytes)):
                        with pytest.raises(errors.PassphraseError):
                            again.unlock(other)


def test_wrong_secrets_are_named_for_what_they_are(home: Path) -> None:
    with Vault.create(home, FILE) as vault:
        for wrong, says in (
            (FileKey(bytes(32)), "wrong key file"),
            (b"words", "protected by a key file"),
            (None, "protected by a key file"),
        ):
            with pytest.raises(errors.PassphraseError, match=says) as caught:
                vault.unlock(wrong)
            assert caught.value.hint
        vault.change_passphrase(ScryptPassphrase(b"words"))
        with pytest.raises(errors.PassphraseError, match="protected by a passphrase"):
            vault.unlock(FILE)
        with pytest.raises(errors.PassphraseError, match="wrong passphrase"):
            vault.unlock(b"other")


def test_derivations_are_those_of_their_standards() -> None:
    salt = bytes(range(16))
    assert ScryptCosts(salt, 16, 4, 2).derive(b"p") == Scrypt(salt, 32, 16, 4, 2).derive(b"p")
    assert FromKeyFile(salt).derive(bytes(32)) != FromKeyFile(salt).derive(bytes(31) + b"\1")
    assert FromKeyFile(salt).derive(bytes(32)) != FromKeyFile(bytes(16)).derive(bytes(32))


def test_a_new_lock_is_costly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    costs = ScryptCosts(bytes(16))
    assert 128 * costs.n * costs.r >= 2**27


@pytest.mark.parametrize(
    "costs", [{"n": 3}, {"n": 1}, {"n": 0}, {"n": 2**21}, {"r": 17}, {"r": 0}, {"p": 17}, {"salt": b""}, {"n": True}]
)
def test_absurd_costs_are_refused_before_they_cost_anything(costs: dict) -> None:
    with pytest.raises(errors.VaultDamagedError, match="out of bounds"):
        ScryptCosts(**({"salt": bytes(16)} | costs))


@pytest.mark.parametrize("column", ["n = 1073741824", "n = NULL", "n = 'x'", "salt = x'00'", "kdf = NULL"])
def test_costs_that_were_changed_in_the_file_are_refused(home: Path, column: str) -> None:
    with Vault.create(home, ScryptPassphrase(b"words")) as vault:
        vault._connection.execute(f"UPDATE vault SET {column}")  # noqa: S608
        with pytest.raises(errors.VaultDamagedError, match="out of bounds"):
            vault.unlock(b"words")


def test_a_key_file_is_made_private_and_read_again(tmp_path: Path) -> None:
    path = tmp_path / "new" / "key"
    old = os.umask(0)
    try:
        made = key_files.read_or_make(path)
    finally:
        os.umask(old)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert len(made.key) == 32
    assert key_files.read_or_make(path) == key_files.read(path) == made
    assert key_files.read_or_make(tmp_path / "other") != made
    assert made.line.decode() not in repr(made)


def test_a_key_file_of_openssl_is_read(tmp_path: Path) -> None:
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("openssl is not installed")
    line = subprocess.run([openssl, "rand", "-base64", "32"], capture_output=True, check=True).stdout
    write_secret(tmp_path / "key", line)
    assert key_files.read(tmp_path / "key").key == base64.b64decode(line)


RIGHT = FILE.line


@pytest.mark.parametrize(
    "content",
    [
        b"",
        RIGHT[:-1],
        RIGHT + b"A",
        RIGHT + b"\n\n",
        b" " + RIGHT,
        RIGHT[:-2] + b"9=",  # a bit in the tail that no byte has
        base64.b64encode(bytes(31)),
        base64.b64encode(bytes(33)),
        base64.urlsafe_b64encode(b"\xff" * 32),
        bytes(32),
        RIGHT * 3,
    ],
)
def test_other_files_are_no_key_files(tmp_path: Path, content: bytes) -> None:
    write_secret(tmp_path / "key", content)
    with pytest.raises(errors.InputError) as caught:
        key_files.read(tmp_path / "key")
    assert RIGHT.decode() not in str(caught.value)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o660])
def test_a_key_file_that_others_can_read_or_write_is_refused(tmp_path: Path, mode: int) -> None:
    write_secret(tmp_path / "key", RIGHT)
    (tmp_path / "key").chmod(mode)
    for read in (key_files.read, key_files.read_or_make):
        with pytest.raises(errors.ExposedFileError, match=f"mode {mode:04o}"):
            read(tmp_path / "key")


def test_the_commands(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("word").write_text("words\n")
    done("init", "--key-file", "first.key")
    assert stat.S_IMODE(Path("first.key").stat().st_mode) == 0o600
    assert "give --key-file FILE" in refused(10, "enroll", "sensor", "cam")
    assert "protected by a key file" in refused(10, "enroll", "sensor", "cam", "--passphrase-file", "word")
    assert "cannot read key file" in refused(3, "enroll", "sensor", "cam", "--key-file", "none.key")
    assert not Path("none.key").exists()
    done("enroll", "sensor", "cam", "--key-file", "first.key")
    said = done("passwd", "--key-file", "first.key", "--new-passphrase-file", "word", "--kdf", "scrypt")
    assert "a passphrase (scrypt)" in said
    assert "wrong" not in done("enroll", "sensor", "dog", "--passphrase-file", "word")
    assert "a passphrase (Argon2id)" in done("passwd", "--passphrase-file", "word", "--new-passphrase-file", "word")
    assert "a key file" in done("passwd", "--passphrase-file", "word", "--new-key-file", "second.key")
    assert "wrong key file" in refused(10, "enroll", "sensor", "fox", "--key-file", "first.key")
    Path("second.key").chmod(0o644)
    assert "open to other users" in refused(3, "enroll", "sensor", "fox", "--key-file", "second.key")


@pytest.mark.parametrize(
    "options",
    [
        ("--key-file", "k", "--passphrase-file", "word"),
        ("--key-file", "k", "--no-passphrase"),
        ("--key-file", "k", "--kdf", "scrypt"),
    ],
)
def test_contradictions_are_refused(home: Path, options: tuple[str, ...]) -> None:
    assert "key file" in refused(10, "init", *options)
    assert not home.exists()


def test_a_host_key_in_pem_moves_between_its_locks(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(hosts, "generate_host_key", lambda _bits: host_key("lab"))
    Path("word").write_text("words\n")
    done("host-key", "--key-file", "host.key", "-o", "host.pem")
    by_file, by_word = Unlock(key_file=Path("host.key")), Unlock("word")
    assert by_file.host_key(Path("host.pem")) is not None
    assert "wrong passphrase" in refused(10, "passwd", "--host-key", "host.pem", "--passphrase-file", "word",
                                         "--new-passphrase-file", "word")  # fmt: skip
    done("passwd", "--host-key", "host.pem", "--key-file", "host.key", "--new-passphrase-file", "word")
    assert by_word.host_key(Path("host.pem")).private_numbers() == host_key("lab").private_numbers()
    with pytest.raises(errors.PassphraseError, match="wrong"):
        by_file.host_key(Path("host.pem"))
    assert "nothing" in done("passwd", "--host-key", "host.pem", "--passphrase-file", "word", "--no-passphrase")
    assert not hosts.needs_passphrase(Path("host.pem"))
    assert stat.S_IMODE(Path("host.pem").stat().st_mode) == 0o600
    assert run("host-key", "--kdf", "scrypt").exit_code == 2


def forged(**costs: int) -> bytes:
    """An encrypted key whose file asks for other costs than it was made with."""
    with pytest.MonkeyPatch.context() as patch:
        real = pkcs8.Scrypt
        patch.setattr(pkcs8, "Scrypt", lambda salt, length, n, r, p: real(salt, length, 2, 8, 1))
        for name, value in costs.items():
            patch.setattr(pkcs8, f"_{name}", value)
        return hosts.private_pem(host_key("lab"), b"words")


@pytest.mark.parametrize("costs", [{"N": 2**30}, {"R": 2**10}, {"P": 2**20}, {"N": 2**62}])
def test_a_forged_pem_file_cannot_take_the_memory(tmp_path: Path, costs: dict[str, int]) -> None:
    write_secret(tmp_path / "host.pem", forged(**costs))
    with pytest.raises(errors.HostKeyError, match="absurd cost"):
        hosts.load_host_key(tmp_path / "host.pem", b"words")


@pytest.mark.parametrize("body", [b"", b"AAAA", b"MIAA", b"MAA=", b"MAIwAA==", b"!", b"MIQ/////"])
def test_pem_files_that_are_cut_short_are_refused(tmp_path: Path, body: bytes) -> None:
    pem = b"-----BEGIN ENCRYPTED PRIVATE KEY-----\n" + body + b"\n-----END ENCRYPTED PRIVATE KEY-----\n"
    write_secret(tmp_path / "host.pem", pem)
    with pytest.raises(errors.HostKeyError):
        hosts.load_host_key(tmp_path / "host.pem", b"words")


def test_a_key_that_others_encrypted_is_read(tmp_path: Path) -> None:
    pem = host_key("lab").private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"words"))
    write_secret(tmp_path / "host.pem", pem)
    assert hosts.load_host_key(tmp_path / "host.pem", b"words").key_size == 3072


def test_new_secrets_come_from_where_they_are_said_to(tmp_path: Path) -> None:
    (tmp_path / "word").write_text("words")
    scrypt = NewSecret(str(tmp_path / "word"), kdf="scrypt").secret("vault")
    assert isinstance(scrypt, ScryptPassphrase)
    assert scrypt == b"words"
    assert NewSecret(without=True).secret("vault") is None
