"""keyvault status: what publish signs and show prints."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from commands import ISSUE, done, refused, small_site

from keyvault import hosts, places
from keyvault.errors import RevokedError
from keyvault.status_list import read_status
from sensor_sim.keys import open_newest


@pytest.fixture
def site(tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return small_site(tmp_path, monkeypatch)


def revoke(kind: str) -> None:
    """Revoke everybody of a kind."""
    for name in ("cam",) if kind == "sensor" else ("lab", "mobile"):
        done("revoke", kind, name)


def test_a_list_is_published_into_the_home_and_shown(site: Path) -> None:
    output = done("status", "publish", "--valid-for", "2d")
    found = read_status(places.status_file(), hosts.load_issuer(places.issuer_file()))
    assert found.next_update - found.issued == 2 * 86_400
    assert f"number     {found.number}" in output
    assert str(places.status_file()) in output
    assert output.endswith(done("status", "show"))
    assert json.loads(done("status", "show", "--json")) == found.to_json()


def test_each_list_has_a_higher_number_and_names_who_was_revoked(site: Path) -> None:
    issuer = hosts.load_issuer(places.issuer_file())
    done("status", "publish", "-o", "a.jws")
    revoke("host")
    done("status", "publish", "-o", "b.jws")
    first, second = (read_status(site / name, issuer) for name in ("a.jws", "b.jws"))
    assert second.number > first.number
    assert (first.hosts, sorted(second.hosts.values())) == ({}, ["lab", "mobile"])
    shown = done("status", "show", "b.jws")
    assert "host lab (key " in shown
    assert second.issuer in shown


def test_a_revoked_sensor_does_not_open_its_key_once_the_list_is_there(site: Path) -> None:
    done(*ISSUE, "-o", "sealed.bin")
    open_newest("sealed.bin")
    revoke("sensor")
    open_newest("sealed.bin")
    done("status", "publish")
    with pytest.raises(RevokedError, match=r"sensor cam .* is revoked"):
        open_newest("sealed.bin")


def test_refusals(site: Path) -> None:
    assert "status.jws" in refused(3, "status", "show")
    Path("a.jws").write_text("no list")
    assert "not a status list" in refused(3, "status", "show", "a.jws")
    done("status", "publish", "-o", "a.jws")
    assert "--valid-for" in refused(2, "status", "publish", "--valid-for", "soon")
    data = Path("a.jws").read_bytes()
    Path("a.jws").write_bytes(data[:-10] + (b"B" if data[-10:-9] == b"A" else b"A") + data[-9:])
    assert "does not verify" in refused(6, "status", "show", "a.jws")
