"""No output, error, log, argument or file of any command holds a secret that it has used."""

from __future__ import annotations

import ast
import logging
import os
import re
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner
from parties import host_key, stranger
from secret_needles import Needles, chain, looks, own_objects

import keyvault
from keyvault import cli, derivation, hosts, places, vault_key, withdrawal
from keyvault.issuing import EpochSeed
from keyvault.vault import Vault

WORD, OTHER, BACKUP = b"correct horse battery", b"staple of another kind", b"kept in a safe place"
TERMS = ("--host", "lab", "--size", "64x48")
ROOT = Path(keyvault.__file__).parent.parent
UNDER = ("--passphrase-file", "word")

# Every command, at least once, in an order in which each has something to do; what is refused is marked.
LINES: tuple[tuple[int, tuple[str, ...]], ...] = (
    (0, ("init", *UNDER)),
    (9, ("init", *UNDER)),
    (0, ("enroll", "sensor", "cam", *UNDER)),
    (0, ("enroll", "sensor", "dog", "fox", *UNDER)),
    (10, ("enroll", "sensor", "hen", "--passphrase-file", "other")),
    (0, ("enroll", "host", "lab", "--public", "lab.pub", *UNDER)),
    (0, ("enroll", "host", "pad", "--public", "pad.pub", *UNDER)),
    (3, ("enroll", "host", "bad", "--public", "lab.pem", *UNDER)),
    (0, ("host-key", "-o", "own.pem", "--passphrase-file", "other")),
    (0, ("issue", "--sensor", "cam", *TERMS, *UNDER)),
    (4, ("issue", "--sensor", "cam", *TERMS, *UNDER)),
    (10, ("issue", "--sensor", "cam", *TERMS, "--passphrase-file", "other")),
    (0, ("issue", "--all", *TERMS, "-o", "fleet", *UNDER)),
    (0, ("rotate", "--sensor", "cam", *UNDER)),
    (0, ("rotate", "--sensor", "cam", "--stage", *UNDER)),
    (9, ("rotate", "--sensor", "nobody", *UNDER)),
    (0, ("promote", "--sensor", "cam", *UNDER)),
    (0, ("rewrap", "--sensor", "cam", "--add-host", "pad", *UNDER)),
    (0, ("grant", "--sensor", "cam", "--host", "pad", "--epochs", "2-3", *UNDER)),
    (0, ("export", "--sensor", "cam", "-o", "again.bin")),
    (0, ("inspect", "sealed.bin")),
    (0, ("inspect", "sealed.bin", "--json")),
    (3, ("inspect", "lab.pem")),
    (0, ("list",)),
    (0, ("list", "--json")),
    (0, ("list", "--sensor", "cam", "--json")),
    (0, ("disable", "--sensor", "cam", "--epoch", "2", *UNDER)),
    (0, ("restore", "--sensor", "cam", "--epoch", "2", *UNDER)),
    (0, ("destroy", "--sensor", "cam", "--epoch", "1", *UNDER)),
    (0, ("destroy", "--due", *UNDER)),
    (0, ("retire", "--sensor", "cam", "--min-epoch", "3", *UNDER)),
    (0, ("revoke", "host", "pad", *UNDER)),
    (0, ("status", "publish", *UNDER)),
    (0, ("status", "show", "--json")),
    (0, ("audit", "verify")),
    (0, ("audit", "show")),
    (0, ("audit", "show", "--json")),
    (0, ("audit", "head")),
    (0, ("backup", "-o", "vault.backup", "--backup-passphrase-file", "kept", *UNDER)),
    (10, ("--home", "second", "recover", "vault.backup", "--backup-passphrase-file", "other", "--no-passphrase")),
    (0, ("--home", "second", "recover", "vault.backup", "--backup-passphrase-file", "kept", "--no-passphrase")),
    (0, ("passwd", "--new-passphrase-file", "other", *UNDER)),
    (None, ("doctor",)),
    (None, ("doctor", "--json")),
)
OWN_SECRETS = {".pem", ".json"}  # device files and host keys hold their own secrets, and no others


class Watched:
    """Runs commands and keeps all that comes out of them, and all that they have derived."""

    def __init__(self, needles: Needles) -> None:
        self.needles = needles
        self.seen: list[tuple[str, str]] = []
        self.classes: set[str] = set()
        self._looked_at: set[bytes] = set()

    def run(self, program: click.Command, code: int | None, argv: tuple[str, ...]) -> None:
        self._looked_at.clear()
        result = CliRunner().invoke(program, list(argv))
        line = " ".join(argv)
        assert code is None or result.exit_code == code, (line, result.output)
        self.seen += [(f"output of {line}", result.output), (f"errors of {line}", result.stderr)]
        for error in chain(result.exc_info[1] if result.exc_info else None):
            self.seen.append((f"exception of {line}", f"{error!r} {error} {error.args}"))
            self.seen.append((f"traceback of {line}", "".join(traceback.format_exception(error))))
        self.seen.append(("environment", "\0".join(f"{name}={value}" for name, value in os.environ.items())))
        self.seen.append(("arguments", "\0".join([line, *sys.argv, *sys.orig_argv])))

    def look_at_objects(self, purpose: bytes) -> None:
        """Keep how every object of ours that is alive shows itself, once a command for each purpose of a key."""
        if purpose in self._looked_at:
            return
        self._looked_at.add(purpose)
        for item in own_objects():
            if not isinstance(item, type):
                self.classes.add(type(item).__qualname__)
                self.seen.append((f"repr of {type(item).__qualname__}", repr(item)))

    def leaks(self) -> dict[str, set[str]]:
        """Where a secret was found, and which."""
        texts = {(where, text) for where, text in self.seen if text}
        return {where: names for where, text in texts if (names := self.needles.found_in(text.encode()))}


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> Watched:
    """All that is derived from a secret counts as one; what other processes are started with is seen too."""
    watch = Watched(Needles())
    real: Callable[..., bytes] = derivation._expand

    def expand(secret: bytes, *fields: bytes) -> bytes:
        made = real(secret, *fields)
        if fields[0] != b"commitment":
            watch.needles.add(f"{fields[0].decode()} key", made)
            watch.look_at_objects(fields[0])
        return made

    class Started(subprocess.Popen):
        def __init__(self, *args: Any, **extra: Any) -> None:
            watch.seen.append(("another process", repr((args, extra))))
            super().__init__(*args, **extra)

    caplog.set_level(logging.DEBUG)
    monkeypatch.setattr(derivation, "_expand", expand)
    monkeypatch.setattr(subprocess, "Popen", Started)
    monkeypatch.setattr(vault_key.Argon2.__init__, "__defaults__", (1, 64, 1))
    return watch


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with passphrases and the hosts' keys."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(hosts, "generate_host_key", lambda _bits: stranger())
    for name, word in (("word", WORD), ("other", OTHER), ("kept", BACKUP)):
        Path(name).write_bytes(word)
    for name, key in (("lab", host_key("lab")), ("pad", host_key("mobile"))):
        Path(f"{name}.pub").write_bytes(hosts.public_pem(key.public_key()))
    hosts.save_host_key(host_key("lab"), Path("lab.pem"), None)
    return tmp_path


def test_each_form_of_a_secret_is_found() -> None:
    needles = Needles()
    secret = bytes(range(100, 132))
    needles.add("it", secret)
    for before in range(4):
        for form in looks(bytes(before) + secret + b"after"):
            assert needles.found_in(b"x" + form + b"y") == {"it"} or form.isdigit()
        assert needles.found_in(repr(EpochSeed(1, secret)).encode()) == set()
        assert needles.found_in(repr((secret,)).encode()) == {"it"}
    assert needles.found_in(b"nothing of the kind" * 50) == set()


def test_every_command_has_a_line_here() -> None:
    told = {line[2:] if line[0] == "--home" else line for _, line in LINES}
    missing = [name for name in leaves(cli.keyvault) if not any(line[: len(name)] == name for line in told)]
    assert missing == []


def leaves(group: click.Group, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The words of every command that is no group."""
    context = click.Context(group)
    for name in group.list_commands(context):
        found = group.get_command(context, name)
        if isinstance(found, click.Group):
            yield from leaves(found, (*path, name))
        else:
            yield (*path, name)


def test_no_command_lets_a_secret_out(
    watched: Watched, place: Path, home: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for name, word in (("passphrase", WORD), ("new passphrase", OTHER), ("backup passphrase", BACKUP)):
        watched.needles.add(name, word)
    for name in ("lab", "mobile"):
        watched.needles.add_rsa(name, host_key(name))
    watched.needles.add_rsa("own", stranger())
    for code, argv in LINES:
        watched.run(cli.keyvault, code, argv)
        if argv[0] != "--home" and argv[0] != "doctor":
            watched.needles.add_vault(home, OTHER if argv[0] == "passwd" else WORD)
    watched.needles.add_vault(place / "second", None)
    watched.seen.append(("log", caplog.text))
    assert watched.leaks() == {}
    assert {"SensorKeys", "EpochSeed", "IssuerSecrets", "VaultKey", "Change", "Content"} <= watched.classes
    kinds = ("root secret", "issuer's seed", "salt of epoch 1 of sensor cam", "key of the vault", "d of lab")
    assert set(kinds) <= set(watched.needles.named.values())
    assert files_that_leak(place, watched.needles) == {}


def files_that_leak(place: Path, needles: Needles) -> dict[str, set[str]]:
    """Which files under a folder hold secrets, and which, but for those whose business they are."""
    leaks: dict[str, set[str]] = {}
    for path in (path for path in place.rglob("*") if path.is_file()):
        found = needles.found_in(path.read_bytes())
        if path.suffix in OWN_SECRETS:
            found = {name for name in found if not name.endswith(f"of {path.stem}")}
        if path.is_relative_to(place / "second"):
            found -= {"key of the vault"}  # it was to have no passphrase
        if path.name not in ("word", "other", "kept") and found:
            leaks[str(path.relative_to(place))] = found
    return leaks


def test_a_frame_lets_no_secret_out(watched: Watched, place: Path, home: Path) -> None:
    pytest.importorskip("torch")
    from inference.cli import keyed_infer  # noqa: PLC0415
    from sensor_sim.cli import sensor_sim  # noqa: PLC0415

    for argv in (
        ("init", "--no-passphrase"),
        ("enroll", "sensor", "cam"),
        ("enroll", "host", "lab", "--public", "lab.pub"),
        ("issue", "--sensor", "cam", *TERMS),
    ):
        watched.run(cli.keyvault, 0, argv)
    watched.run(sensor_sim, 0, ("capture", "--key", "sealed.bin", "--metadata", "frame.meta"))
    watched.run(sensor_sim, 0, ("show", "frame00000.dng", "--json"))
    watched.run(sensor_sim, 0, ("show", "frame00000.dng"))
    reveal = ("reveal", "--key", "sealed.bin", "--identity", "lab.pem", "-o", "plain.png", "frame00000.dng")
    watched.run(keyed_infer, 0, reveal)
    watched.needles.add_rsa("lab", host_key("lab"))
    watched.needles.add_vault(home, None)
    assert {"permutation key", "mask key", "epoch key"} <= set(watched.needles.named.values())
    assert {"Device", "OpenGrant", "SecureAdc"} <= watched.classes
    assert watched.leaks() == {}
    assert "d of lab" in watched.needles.found_in(Path("lab.pem").read_bytes())
    leaks = files_that_leak(place, watched.needles)
    assert leaks.pop("home/vault/vault.db") == {"key of the vault"}  # it was to have no passphrase
    assert leaks == {}


def test_what_is_destroyed_is_neither_in_the_vault_nor_in_its_log(watched: Watched, place: Path, home: Path) -> None:
    for argv in (
        ("init", "--no-passphrase"),
        ("enroll", "sensor", "cam"),
        ("enroll", "host", "lab", "--public", "lab.pub"),
        *[("issue", "--sensor", "cam", *TERMS, "-o", f"{number}.bin") for number in range(3)],
        ("grant", "--sensor", "cam", "--host", "lab", "--epochs", "1-2"),
    ):
        watched.run(cli.keyvault, 0, argv)
    watched.needles.add_vault(home, None)
    with Vault.open(home) as reader:
        before = erased_with_epoch_1(reader)
        assert all(part in vault_bytes(home) for part in before)
        with Vault.open(home) as vault:
            vault.unlock(None)
            with vault.change() as change:
                withdrawal.destroy(change, "cam", 1, -1)
            assert [epoch.number for epoch in vault.destroy_due()] == [1]
        kept = b"".join(data for (data,) in reader._connection.execute("SELECT sealed FROM files"))
        held = vault_bytes(home)
        assert [part for part in before if part in held and part not in kept] == []
        assert "salt of epoch 1 of sensor cam" not in watched.needles.found_in(held)
        assert len([part for part in before if part not in kept]) > 50


def erased_with_epoch_1(vault: Vault) -> list[bytes]:
    """The encrypted salt and terms of epoch 1, and every sealed key that holds its key, in parts of 32 bytes.

    Parts that lie across the border of two pages of the file are not among them.
    """
    rows = vault._connection.execute("SELECT record FROM epochs WHERE epoch = 1").fetchall()
    rows += vault._connection.execute("SELECT sealed FROM files WHERE first_epoch = 1").fetchall()
    parts = [data[at : at + 32] for (data,) in rows for at in range(0, len(data) - 31, 32)]
    held = vault_bytes(vault.path.parent.parent)
    return [part for part in parts if part in held]


def vault_bytes(home: Path) -> bytes:
    """The vault's file and its write-ahead log."""
    return b"".join(path.read_bytes() for path in sorted(places.vault_folder(home).iterdir()))


# Names of what nobody may learn by how long a comparison takes, and of what a forger would have to guess.
SECRET = re.compile(
    r"(?:.*_)?(?:key|keys|kek|salt|seed|secret|secrets|root|passphrase|password|check|commitment|mac|tag|lock)"
)
PUBLIC = {
    "sensor_key",  # the public half
    "commitment",  # compared in the clear where both sides are claims, by compare_digest where one is derived
}


def test_secrets_are_compared_in_constant_time() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for package in ("keyvault", "adc_firmware", "sensor_sim", "inference")
        for path in (ROOT / package).rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Compare) and compares_a_secret(node)
    ]
    assert found == []


def compares_a_secret(node: ast.Compare) -> bool:
    """Whether values with the name of a secret are compared, and not only with a constant."""
    sides = [node.left, *node.comparators]
    equal = any(isinstance(operator, ast.Eq | ast.NotEq) for operator in node.ops)
    if not equal or any(isinstance(side, ast.Constant) for side in sides):
        return False
    return any(SECRET.fullmatch(name) and name not in PUBLIC for name in map(name_of, sides))


def name_of(node: ast.expr) -> str:
    """What a variable, attribute or function whose result is compared is called."""
    if isinstance(node, ast.Call):
        return name_of(node.func)
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


@pytest.mark.parametrize(
    ("text", "found"),
    [("a.kek == b", True), ("x != derive_key(s)", True), ("key_id == other", False), ("salt == None", False)],
)
def test_such_a_comparison_is_found(text: str, found: bool) -> None:
    node = ast.parse(text, mode="eval").body
    assert isinstance(node, ast.Compare)
    assert compares_a_secret(node) is found
