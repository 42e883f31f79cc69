"""Passphrases come from a file, standard input or the terminal, and from nowhere else."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest
from parties import host_key

from keyvault import hosts, passphrase
from keyvault.errors import InputError, PassphraseError
from keyvault.unlocking import Unlock


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A terminal on which these lines are typed."""
    lines: list[str] = []
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
    monkeypatch.setattr("getpass.getpass", lambda _prompt: lines.pop(0))
    return lines


@pytest.mark.parametrize(("content", "expected"), [(b"pass", b"pass"), (b"pass\n", b"pass"), (b" p w \r\n", b" p w ")])
def test_a_file_holds_one_line(tmp_path: Path, content: bytes, expected: bytes) -> None:
    path = tmp_path / "passphrase"
    path.write_bytes(content)
    assert passphrase.existing(str(path), "vault") == expected
    assert passphrase.new(str(path), False, "vault") == expected


@pytest.mark.parametrize("content", [b"", b"\n", b"two\nlines", b"x" * 1025, b"nul\0", b"one\n\n"])
def test_other_files_are_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "passphrase"
    path.write_bytes(content)
    with pytest.raises(PassphraseError, match="one line of 1 to 1024 bytes"):
        passphrase.existing(str(path), "vault")


def test_a_huge_or_missing_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "huge").write_bytes(b"x" * 5000)
    for name in ("huge", "missing"):
        with pytest.raises(InputError, match="passphrase file"):
            passphrase.existing(str(tmp_path / name), "vault")


def test_a_dash_reads_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"from a pipe\n")))
    assert passphrase.existing("-", "vault") == b"from a pipe"


def test_the_terminal_is_asked(typed: list[str]) -> None:
    typed += ["pass", "wörd", "wörd"]
    assert passphrase.existing(None, "vault") == b"pass"
    assert passphrase.new(None, False, "vault") == "wörd".encode()
    typed += ["one", "other"]
    with pytest.raises(PassphraseError, match="differ"):
        passphrase.new(None, False, "vault")
    typed += ["", ""]
    with pytest.raises(PassphraseError, match="one line"):
        passphrase.new(None, False, "vault")


def test_without_a_terminal_a_flag_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"never read\n")))
    with pytest.raises(PassphraseError, match="no terminal") as existing:
        passphrase.existing(None, "vault")
    assert "--passphrase-file" in existing.value.hint
    with pytest.raises(PassphraseError, match="no terminal") as new:
        passphrase.new(None, False, "vault")
    assert "--no-passphrase" in new.value.hint


def test_going_without_has_to_be_said_alone(tmp_path: Path) -> None:
    assert passphrase.new(None, True, "vault") is None
    with pytest.raises(PassphraseError, match="both"):
        passphrase.new(str(tmp_path / "file"), True, "vault")


def test_a_host_key_is_opened_with_or_without(tmp_path: Path, typed: list[str]) -> None:
    secret, plain, file = tmp_path / "secret.pem", tmp_path / "plain.pem", tmp_path / "passphrase"
    hosts.save_host_key(host_key("lab"), secret, b"word")
    hosts.save_host_key(host_key("lab"), plain, None)
    file.write_bytes(b"word\n")
    assert Unlock().host_key(plain).key_size == 3072
    assert Unlock(str(file)).host_key(secret).key_size == 3072
    typed.append("word")
    assert Unlock().host_key(secret).key_size == 3072
    with pytest.raises(PassphraseError, match="has no passphrase"):
        Unlock(str(file)).host_key(plain)
