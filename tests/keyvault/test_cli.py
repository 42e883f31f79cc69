"""The keyvault command: what it writes, what it says, and how it refuses."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result
from cryptography.hazmat.primitives.asymmetric import rsa
from parties import VECTORS, host_key

from keyvault import hosts, places
from keyvault.cli import keyvault
from keyvault.device import Device
from keyvault.envelope import read_sealed
from keyvault.grant import Grant
from keyvault.vault import Vault

ISSUE = ("issue", "--sensor", "cam", "--host", "lab", "--size", "64x48")


def run(*args: object, **extra: Any) -> Result:
    """Run one command; standard input is no terminal."""
    return CliRunner().invoke(keyvault, [str(arg) for arg in args], prog_name="keyvault", **extra)


def done(*args: object) -> str:
    """The output of a command that must succeed."""
    result = run(*args)
    assert result.exit_code == 0, result.output
    return result.stdout


def refused(code: int, *args: object) -> str:
    """The one line on stderr of a command that must be refused with this exit code."""
    result = run(*args)
    assert result.exit_code == code, result.output
    assert result.stdout == ""
    assert result.stderr.startswith("keyvault: ")
    assert result.stderr.count("\n") == 1
    return result.stderr


@pytest.fixture
def site(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder; the home's vault knows sensor cam and hosts lab and mobile."""
    monkeypatch.chdir(tmp_path)
    done("init", "--no-passphrase")
    done("enroll", "sensor", "cam")
    for name in ("lab", "mobile"):
        Path(f"{name}.pub").write_bytes(hosts.public_pem(host_key(name).public_key()))
        done("enroll", "host", name, "--public", f"{name}.pub")
    return tmp_path


def grant(path: str | Path) -> Grant:
    return read_sealed(Path(path), hosts.load_issuer(places.issuer_file())).grant


def test_the_whole_way(site: Path, home: Path) -> None:
    said = done(*ISSUE, "--host", "mobile", "--cfa", "GRBG", "--bits", "10", "--valid-for", "12h")
    issued = grant("sealed.bin")
    assert issued.key_id in said
    assert "lab" in said
    assert (issued.epoch, issued.policy.cfa, issued.policy.bits) == (1, "GRBG", 10)
    assert issued.not_after - issued.not_before == 12 * 3600
    before = Path("sealed.bin").read_bytes()
    done("rotate", "--sensor", "cam")
    second = grant("cam-epoch0002.bin")
    assert (second.epoch, second.policy, second.hosts) == (2, issued.policy, issued.hosts)
    assert second.not_after - second.not_before == 12 * 3600
    assert second.commitment != issued.commitment
    assert Path("sealed.bin").read_bytes() == before
    done("rotate", "--sensor", "cam", "--host", "mobile", "--valid-for", "1d", "-o", "third.bin")
    third = grant("third.bin")
    assert [host.name for host in third.hosts] == ["mobile"]
    assert (third.epoch, third.not_after - third.not_before) == (3, 86_400)
    sealed = read_sealed(Path("third.bin"), hosts.load_issuer(places.issuer_file()))
    device = Device.load(places.device_file("cam"))
    assert sealed.open_as_sensor(device).epoch_key == sealed.open_as_host(host_key("mobile")).epoch_key
    assert "epoch 3" in done("list")


def test_defaults_are_the_safe_ones(site: Path) -> None:
    result = run(*ISSUE)
    assert result.stderr == ""
    policy = grant("sealed.bin").policy
    assert policy.to_json() == {
        "width": 64,
        "height": 48,
        "cfa": "RGGB",
        "samples_per_photosite": 1,
        "bits": 12,
        "unit": "photosite",
        "scope": "frame",
        "protection": "shuffle+mask",
        "frame_keys": "per-frame",
    }
    assert policy.breakable == ""


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (("--frame-keys", "fixed", "--protection", "shuffle"), "a fixed frame key is breakable"),
        (("--protection", "shuffle"), "histogram"),
    ],
)
def test_breakable_policies_are_named_wherever_they_are_shown(site: Path, flags: tuple[str, ...], words: str) -> None:
    result = run(*ISSUE, *flags)
    assert result.exit_code == 0
    assert words in result.stderr
    assert words in done("inspect", "sealed.bin")
    assert words in json.loads(done("inspect", "sealed.bin", "--json"))["warning"]
    assert words in run("rotate", "--sensor", "cam").stderr


def test_inspect_needs_the_issuer_and_nothing_else(tmp_path: Path, home: Path) -> None:
    said = done("inspect", VECTORS / "sealed.bin", "--issuer", VECTORS / "issuer.pub")
    for words in ("cam-1", "1920x1080", "RGGB", "lab", "mobile", "2026-09-21", "whole frame"):
        assert words in said
    shown = json.loads(done("inspect", VECTORS / "sealed.bin", "--issuer", VECTORS / "issuer.pub", "--json"))
    expected = json.loads((VECTORS / "sealed.json").read_text())["grant"]
    assert shown.items() >= expected.items()
    assert shown["key_id"] == Grant.from_json(expected).key_id
    assert "issuer.pub" in refused(3, "inspect", VECTORS / "sealed.bin")
    changed = bytearray((VECTORS / "sealed.bin").read_bytes())
    changed[-40] ^= ord("A") ^ ord("B") if changed[-40] in b"AB" else changed[-40] ^ ord("A")
    (tmp_path / "x.bin").write_bytes(changed)
    assert "signature" in refused(6, "inspect", tmp_path / "x.bin", "--issuer", VECTORS / "issuer.pub")
    other = tmp_path / "other.pub"
    other.write_bytes(
        hosts.public_pem(Device.create("x", hosts.load_issuer(VECTORS / "issuer.pub")).signer.public_key())
    )
    assert "not by the trusted vault" in refused(6, "inspect", VECTORS / "sealed.bin", "--issuer", other)


@pytest.mark.parametrize(
    ("begin", "state"), [("2020-01-01", "expired"), ("2999-01-01T00:00:00+01:00", "not yet valid"), (None, "valid")]
)
def test_validity_can_lie_anywhere(site: Path, begin: str | None, state: str) -> None:
    done(*ISSUE, "--valid-for", "1h", *(("--not-before", begin) if begin else ()))
    assert json.loads(done("inspect", "sealed.bin", "--json"))["state"] == state
    assert state in done("inspect", "sealed.bin")
    if state == "expired":
        assert grant("sealed.bin").not_before == 1_577_836_800


@pytest.mark.parametrize(
    ("flags", "code", "words"),
    [
        (("--size", "63x48"), 5, "even size"),
        (("--size", "63x48", "--cfa", "none", "--unit", "quad"), 5, "quads need an even size"),
        (("--size", "70000x48"), 5, "outside"),
        (("--bits", "17"), 5, "17"),
        (("--scope", "band:0"), 5, "band:0"),
        (("--scope", "column"), 5, "column"),
        (("--stacked", "--cfa", "RGGB"), 5, "stacked"),
        (("--frame-keys", "fixed"), 5, "mask twice"),
        (("--host", "dog"), 9, "enrolled: lab, mobile"),
        (("--sensor", "dog"), 9, "enrolled: cam"),
        (("--host", "lab"), 3, "same name"),
        (("--passphrase-file", "lab.pub"), 10, "one line"),
        (("-o", "none/sealed.bin"), 4, "cannot write into none"),
        (("-o", "lab.pub"), 4, "exists"),
    ],
)
def test_refused_issues_write_nothing_and_cost_no_epoch(
    site: Path, flags: tuple[str, ...], code: int, words: str
) -> None:
    before = {path: path.read_bytes() for path in site.iterdir() if path.is_file()}
    assert words in refused(code, *ISSUE, *flags)
    assert {path: path.read_bytes() for path in site.iterdir() if path.is_file()} == before
    assert "no epoch yet" in done("list")


@pytest.mark.parametrize(
    "flags",
    [
        ("--size", "64"),
        ("--size", "64*48"),
        ("--valid-for", "0d"),
        ("--valid-for", "1y"),
        ("--not-before", "noon"),
        ("--cfa", "RGBG"),
        ("--unit", "pixel"),
    ],
)
def test_values_of_the_wrong_form_are_usage_errors(site: Path, flags: tuple[str, ...]) -> None:
    result = run(*ISSUE, *flags)
    assert result.exit_code == 2
    assert flags[1] in result.stderr
    assert not Path("sealed.bin").exists()


def test_stacked_sensors_have_no_mosaic(site: Path) -> None:
    done(*ISSUE, "--stacked", "--size", "33x17")
    assert (grant("sealed.bin").policy.cfa, grant("sealed.bin").policy.samples_per_photosite) == ("none", 3)


def test_an_output_is_replaced_only_by_force(site: Path) -> None:
    done(*ISSUE)
    before = Path("sealed.bin").read_bytes()
    assert "--force" in refused(4, *ISSUE)
    assert "--force" in refused(4, "rotate", "--sensor", "cam", "-o", "sealed.bin")
    assert Path("sealed.bin").read_bytes() == before
    assert "epoch 1" in done("list")
    done("rotate", "--sensor", "cam", "-o", "sealed.bin", "--force")
    assert grant("sealed.bin").epoch == 2


@pytest.mark.parametrize("broken", ["link", "fsync", "replace"])
def test_a_failed_write_keeps_the_old_file_and_the_new_epoch(
    site: Path, monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    done(*ISSUE)
    before = Path("sealed.bin").read_bytes()
    output = ("-o", "sealed.bin", "--force") if broken == "replace" else ("-o", "second.bin")
    with monkeypatch.context() as patch:
        patch.setattr(os, broken, fail)
        said = refused(4, "rotate", "--sensor", "cam", *output)
    assert "epoch 2 is kept in the vault" in said
    assert "keyvault export --sensor cam --epoch 2" in said
    assert Path("sealed.bin").read_bytes() == before
    assert sorted(path.name for path in site.iterdir()) == ["home", "lab.pub", "mobile.pub", "sealed.bin"]
    done("export", "--sensor", "cam", "-o", "again.bin")
    assert grant("again.bin").epoch == 2
    done("export", "--sensor", "cam", "--epoch", "1")
    assert Path("cam-epoch0001.bin").read_bytes() == before
    done("rotate", "--sensor", "cam")
    assert grant("cam-epoch0003.bin").epoch == 3


def fail(*_: object, **__: object) -> None:
    raise OSError(28, "No space left on device")


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
            commands += [((*path, name), inner) for name, inner in command.commands.items()]
    assert seen == 11


def test_the_program_itself(tmp_path: Path) -> None:
    environment = os.environ | {"PRIVCAM_HOME": str(tmp_path), "PYTHONPATH": str(Path(__file__).parents[2])}
    command = [sys.executable, "-c", "from keyvault.cli import main; main()", "list"]
    result = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert result.returncode == 9
    assert result.stderr.startswith("keyvault: there is no vault at")
