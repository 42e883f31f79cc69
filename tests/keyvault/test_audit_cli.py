"""keyvault audit: every operation leaves a record, and the commands show, keep and verify them."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
from commands import ISSUE, done, refused, run, small_site
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from parties import stranger

from keyvault import hosts, places
from keyvault.cli import keyvault
from keyvault.vault import Vault


@pytest.fixture
def site(tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return small_site(tmp_path, monkeypatch)


def shown(*args: object) -> list[dict[str, Any]]:
    records: list[dict[str, Any]] = json.loads(done("audit", "show", "--json", *args))
    return records


def tamper(statement: str) -> None:
    with sqlite3.connect(places.vault_file()) as database:
        database.execute(statement)
    database.close()


CHANGES: dict[tuple[str, ...], tuple[str, tuple[object, ...]]] = {
    ("enroll", "sensor"): ("enroll", ("dog",)),
    ("enroll", "host"): ("enroll", ("third", "--public", "third.pub")),
    ("issue",): ("issue", ISSUE[1:]),
    ("rotate",): ("rotate", ("--sensor", "cam", "--stage")),
    ("promote",): ("promote", ("--sensor", "cam")),
    ("rewrap",): ("rewrap", ("--sensor", "cam", "--add-host", "mobile")),
    ("grant",): ("grant", ("--sensor", "cam", "--host", "lab", "--epochs", "1-2")),
    ("disable",): ("disable", ("--sensor", "cam", "--epoch", "1")),
    ("restore",): ("restore", ("--sensor", "cam", "--epoch", "1")),
    ("retire",): ("retire", ("--sensor", "cam", "--min-epoch", "2")),
    ("destroy",): ("destroy", ("--sensor", "cam", "--epoch", "1", "--after", "7d")),
    ("status", "publish"): ("status", ()),
    ("backup",): ("backup", ("-o", "vault.backup", "--backup-passphrase-file", "pass")),
    ("revoke",): ("revoke", ("host", "mobile")),
    ("passwd",): ("passwd", ("--new-passphrase-file", "pass")),
}
"""The commands that change a vault: what each records, and arguments for it, in an order that works."""

CHANGES_NOTHING = {
    *(("audit", name) for name in ("head", "show", "verify")),
    *((name,) for name in ("doctor", "export", "host-key", "inspect", "list")),
    ("status", "show"),
}


def every_command() -> Iterator[tuple[str, ...]]:
    """The words of every command."""
    groups: list[tuple[tuple[str, ...], click.Command]] = [((), keyvault)]
    while groups:
        path, command = groups.pop()
        if not isinstance(command, click.Group):
            yield path
            continue
        context = click.Context(command)
        for name in command.list_commands(context):
            found = command.get_command(context, name)
            assert found is not None
            groups.append(((*path, name), found))


def test_every_operation_leaves_its_record(site: Path) -> None:
    Path("pass").write_text("a passphrase of many words")
    Path("third.pub").write_bytes(hosts.public_pem(stranger().public_key()))
    assert [record["operation"] for record in shown()] == ["init", "enroll", "enroll", "enroll"]
    before = 4
    for words, (operation, arguments) in CHANGES.items():
        done(*words, *arguments)
        records = shown()
        assert len(records) == before + 1, words
        before = len(records)
        assert records[-1]["operation"] == operation
    done("audit", "verify")


def test_a_recovery_leaves_its_record(site: Path) -> None:
    Path("pass").write_text("a passphrase of many words")
    done("backup", "-o", "vault.backup", "--backup-passphrase-file", "pass")
    again = ("--home", "second")
    done(*again, "recover", "vault.backup", "--backup-passphrase-file", "pass", "--no-passphrase")
    records = json.loads(done(*again, "audit", "show", "--json"))
    assert [record["operation"] for record in records[-2:]] == ["backup", "recover"]
    done(*again, "audit", "verify")


def test_a_destruction_on_its_date_leaves_its_record(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done(*ISSUE, "-o", "a.bin")
    done("rotate", "--sensor", "cam", "-o", "b.bin")
    done("destroy", "--sensor", "cam", "--epoch", "1", "--after", "7d")
    later = time.time() + 8 * 86_400
    monkeypatch.setattr(time, "time", lambda: later)
    done("list")
    assert shown()[-1]["operation"] == "destroy"
    done("status", "publish")
    last, newest = shown("--last", 2)
    assert (last["operation"], last["subject"], last["detail"]["epoch"]) == ("destroyed", "sensor cam", 1)
    assert newest["operation"] == "status"


def test_no_command_is_left_out() -> None:
    recorded = {*CHANGES, ("init",), ("recover",)}
    assert recorded | CHANGES_NOTHING == set(every_command())
    assert not recorded & CHANGES_NOTHING


def test_what_changes_nothing_leaves_no_record(site: Path) -> None:
    done(*ISSUE)
    done("status", "publish")
    before = shown()
    arguments = {"export": ("--sensor", "cam", "-o", "again.bin"), "inspect": ("sealed.bin",)}
    for words in CHANGES_NOTHING - {("host-key",)}:  # which needs no vault, and takes long
        done(*words, *arguments.get(words[0], ()))
    assert shown() == before


def test_what_is_refused_leaves_no_record(site: Path) -> None:
    before = shown()
    for command in (("rotate", "--sensor", "cam"), ("revoke", "host", "nobody"), (*ISSUE, "--host", "nobody")):
        assert run(*command).exit_code != 0
    assert shown() == before


def test_records_are_shown_in_words_and_as_json(site: Path) -> None:
    records = shown()
    assert [record["seq"] for record in records] == [1, 2, 3, 4]
    assert [record["operation"] for record in records] == ["init", "enroll", "enroll", "enroll"]
    assert shown("--last", 2) == records[2:]
    lines = done("audit", "show", "--last", 1).splitlines()
    assert len(lines) == 1
    assert "enroll     host mobile" in lines[0]
    tamper("UPDATE audit SET record = replace(record, 'host mobile', '\\u001b[2Jx') WHERE seq = 4")
    assert "\x1b" not in done("audit", "show")


def test_verify_finds_what_was_tampered_with(site: Path) -> None:
    Path("head").write_text(done("audit", "head"))
    done(*ISSUE, "-o", "a.bin")
    assert "goes on from record 4" in done("audit", "verify", "--head", "head")
    Path("head").write_text(done("audit", "head"))
    tamper("UPDATE audit SET record = replace(record, 'mobile', 'mobil3') WHERE seq = 4")
    assert "audit record 4 " in refused(6, "audit", "verify")
    tamper("UPDATE audit SET record = replace(record, 'mobil3', 'mobile') WHERE seq = 4")
    done("audit", "verify", "--head", "head")
    tamper("DELETE FROM audit WHERE seq = 5")
    assert "audit record 5 is missing" in refused(6, "audit", "verify")


def test_verify_holds_the_issuer_against_its_public_key(site: Path) -> None:
    assert "the key in issuer.pub" in done("audit", "verify")
    path = places.issuer_file()
    path.write_bytes(hosts.public_pem(Ed25519PrivateKey.from_private_bytes(bytes(32)).public_key()))
    for command in ("verify", "head"):
        assert "the vault's file names the issuer key" in refused(9, "audit", command)
    path.unlink()
    assert "there is no issuer.pub" in done("audit", "verify")


def test_a_vault_that_was_set_back_is_found_with_the_kept_head(site: Path) -> None:
    with Vault.open(places.home()) as vault:
        earlier, _ = _copy(vault)
    done(*ISSUE, "-o", "a.bin")
    Path("head").write_text(done("audit", "head"))
    places.vault_file().write_bytes(earlier)
    done("audit", "verify")
    assert "record 5" in refused(6, "audit", "verify", "--head", "head")


def test_a_head_that_is_none_is_refused(site: Path) -> None:
    Path("head").write_text("privcam-audit-head 1")
    assert "not the head of an audit log" in refused(3, "audit", "verify", "--head", "head")
    assert "cannot read" in refused(3, "audit", "verify", "--head", "none")


def test_a_forged_head_stops_every_change(site: Path) -> None:
    tamper("UPDATE audit_head SET seq = 3")
    assert "not signed by the vault" in refused(6, *ISSUE, "-o", "a.bin")
    assert not Path("a.bin").exists()


def _copy(vault: Vault) -> tuple[bytes, int]:
    with vault.reading() as database:
        data = database.serialize()
    return data, len(data)
