"""The keyvault command: vault, enrolment and help."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import click
import pytest
from commands import ISSUE, done, refused, run, small_site
from cryptography.hazmat.primitives.asymmetric import rsa
from parties import VECTORS, host_key

from keyvault import hosts, places
from keyvault.cli import keyvault
from keyvault.vault import Vault


@pytest.fixture
def site(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder; the home's vault knows sensor cam and hosts lab and mobile."""
    return small_site(tmp_path, monkeypatch)


def test_rotating_before_issuing_is_refused(site: Path) -> None:
    assert "keyvault issue" in refused(9, "rotate", "--sensor", "cam")
    assert "enrolled: cam" in refused(9, "rotate", "--sensor", "dog")


def test_init_once(site: Path, home: Path) -> None:
    assert "already" in refused(9, "init", "--no-passphrase")
    issuer = places.issuer_file()
    before = issuer.read_bytes()
    issuer.unlink()
    done("init", "--no-passphrase")
    assert issuer.read_bytes() == before


def test_no_vault(home: Path) -> None:
    for command in (("list",), ("enroll", "sensor", "cam"), ("rotate", "--sensor", "cam"), ("export", "--sensor", "c")):
        assert "keyvault init" in refused(9, *command)


def test_going_without_a_passphrase_has_to_be_asked_for(home: Path) -> None:
    assert "--no-passphrase" in refused(10, "init")
    assert "--no-passphrase" in refused(10, "host-key")
    assert not home.exists()
    result = run("init", "--no-passphrase")
    assert "no passphrase" in result.stderr


def test_a_protected_vault(home: Path, tmp_path: Path) -> None:
    file, wrong = tmp_path / "passphrase", tmp_path / "wrong"
    file.write_text("correct horse\n")
    wrong.write_text("battery staple\n")
    assert run("init", "--passphrase-file", file).stderr == ""
    assert "no terminal" in refused(10, "enroll", "sensor", "cam")
    assert "wrong passphrase" in refused(10, "enroll", "sensor", "cam", "--passphrase-file", wrong)
    assert not places.device_file("cam").exists()
    result = run("enroll", "sensor", "cam", "--passphrase-file", "-", input="correct horse\n")
    assert result.exit_code == 0
    assert "correct" not in result.output
    assert "cam" in done("list")


def test_host_keys(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hosts, "generate_host_key", lambda _bits: host_key("lab"))
    file = tmp_path / "passphrase"
    file.write_text("correct horse")
    done("host-key", "--passphrase-file", file)
    assert hosts.load_host_key(home / "host.pem", b"correct horse").key_size == 3072
    assert hosts.load_host_public(home / "host.pub") == host_key("lab").public_key()
    assert "exists" in refused(4, "host-key", "--no-passphrase")
    assert "exists" in refused(4, "host-key", "--no-passphrase", "-o", home / "issuer.pub")
    assert "public key goes" in refused(4, "host-key", "--no-passphrase", "-o", tmp_path / "z.pub")
    assert not (tmp_path / "z.pub").exists()
    assert "2048 bits" in refused(3, "host-key", "--no-passphrase", "--bits", "2048", "-o", tmp_path / "x.pem")
    assert not (tmp_path / "x.pem").exists()
    assert "whoever reads it is this host" in run("host-key", "--no-passphrase", "-o", tmp_path / "y.pem").stderr
    assert (tmp_path / "y.pub").exists()


def test_enrolment_refusals(site: Path) -> None:
    assert "private key" in refused(3, "enroll", "host", "x", "--public", VECTORS / "lab.pem")
    assert "enrolled already" in refused(9, "enroll", "host", "x", "--public", "lab.pub")
    assert "enrolled already" in refused(9, "enroll", "sensor", "cam")
    assert "cannot be the name" in refused(3, "enroll", "sensor", "../cam")
    weak = rsa.generate_private_key(65537, 2048).public_key()
    Path("weak.pub").write_bytes(hosts.public_pem(weak))
    assert "2048 bits" in refused(3, "enroll", "host", "weak", "--public", "weak.pub")
    assert "No such file" in refused(3, "enroll", "host", "x", "--public", "none.pub")


def test_another_home(site: Path, tmp_path: Path) -> None:
    done("--home", tmp_path / "second", "init", "--no-passphrase")
    done("--home", tmp_path / "second", "enroll", "sensor", "cam9")
    assert (tmp_path / "second" / "devices" / "cam9.json").exists()
    assert "cam9" not in done("list")
    with Vault.open(tmp_path / "second") as vault:
        assert [entry.name for entry in vault.sensors()] == ["cam9"]


def test_no_output_holds_a_secret(site: Path) -> None:
    device = json.loads(places.device_file("cam").read_bytes())
    outputs = [done(*ISSUE), done("inspect", "sealed.bin"), done("inspect", "sealed.bin", "--json"), done("list")]
    for secret in (device["kek"]["k"], device["signer"]["d"]):
        assert not [text for text in outputs if secret in text]


def test_every_command_has_help() -> None:
    seen = 0
    commands: list[tuple[tuple[str, ...], click.Command]] = [((), keyvault)]
    while commands:
        path, command = commands.pop()
        assert command.help, path
        for option in command.params:
            assert not isinstance(option, click.Option) or option.help, (path, option.name)
        seen += 1
        if isinstance(command, click.Group):
            context = click.Context(command)
            inner = ((name, command.get_command(context, name)) for name in command.list_commands(context))
            commands += [((*path, name), found) for name, found in inner if found is not None]
    assert seen == 30


def test_the_program_itself(tmp_path: Path) -> None:
    environment = os.environ | {"PRIVCAM_HOME": str(tmp_path), "PYTHONPATH": str(Path(__file__).parents[2])}
    command = [sys.executable, "-c", "from keyvault.cli import main; main()", "list"]
    result = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert result.returncode == 9
    assert result.stderr.startswith("keyvault: there is no vault at")
