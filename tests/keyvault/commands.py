"""Running the keyvault command in tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from parties import host_key

from keyvault import hosts, places
from keyvault.cli import keyvault
from keyvault.envelope import read_sealed
from keyvault.grant import Grant

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


def small_site(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make FOLDER the working folder, and a vault in the home that knows cam, lab and mobile."""
    monkeypatch.chdir(folder)
    done("init", "--no-passphrase")
    done("enroll", "sensor", "cam")
    for name in ("lab", "mobile"):
        Path(f"{name}.pub").write_bytes(hosts.public_pem(host_key(name).public_key()))
        done("enroll", "host", name, "--public", f"{name}.pub")
    return folder


def grant(path: str | Path) -> Grant:
    """The claims of a sealed key of the home's vault."""
    return read_sealed(Path(path), hosts.load_issuer(places.issuer_file())).grant
