"""The keyvault command: the life of a key, revocation, backup and passphrase."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest
from commands import ISSUE, done, grant, refused, run, small_site
from parties import host_key

from keyvault import hosts, places
from keyvault.device import Device
from keyvault.envelope import SealedGrant, read_sealed


@pytest.fixture
def site(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder; epoch 1 of cam is sealed for lab and mobile."""
    small_site(tmp_path, monkeypatch)
    done(*ISSUE, "--host", "mobile")
    return tmp_path


def sealed(path: str) -> SealedGrant:
    return read_sealed(Path(path), hosts.load_issuer(places.issuer_file()))


def listed() -> dict:
    value: dict = json.loads(done("list", "--sensor", "cam", "--json"))
    return value


def test_stage_and_promote(site: Path) -> None:
    done("rotate", "--sensor", "cam", "--stage")
    assert grant("cam-epoch0002-hosts-serial0002.bin").for_sensor is None
    assert [epoch["state"] for epoch in listed()["epochs"]] == ["primary", "staged"]
    assert "epoch 1 (newest 2)" in done("list")
    done("promote", "--sensor", "cam")
    device = Device.load(places.device_file("cam"))
    assert sealed("cam-epoch0002.bin").open_as_sensor(device).grant.epoch == 2
    assert [epoch["state"] for epoch in listed()["epochs"]] == ["decrypt-only", "primary"]
    assert "rotate --stage" in refused(9, "promote", "--sensor", "cam")
    said = refused(9, "promote", "--sensor", "cam", "--epoch", "1", "-o", "other.bin")
    assert "epoch 1 of sensor cam is decrypt-only, and a staged one is expected" in said
    assert not Path("other.bin").exists()


def test_rewrap_warns_that_a_removed_host_keeps_the_key(site: Path) -> None:
    result = run("rewrap", "--sensor", "cam", "--remove-host", "mobile")
    assert result.exit_code == 0
    assert "host mobile keeps the key" in result.stderr
    assert "keyvault rotate" in result.stderr
    again = grant("cam-epoch0001-serial0002.bin")
    assert (again.commitment, [host.name for host in again.hosts]) == (grant("sealed.bin").commitment, ["lab"])
    assert run("rewrap", "--sensor", "cam", "--host", "lab").stderr == ""


def test_a_range_for_a_host(site: Path) -> None:
    for _ in range(3):
        done("rotate", "--sensor", "cam", "--host", "lab")
    assert "epochs     2 to 3" in done("grant", "--sensor", "cam", "--host", "mobile", "--epochs", "2-3")
    opened = sealed("cam-epoch0002-0003-hosts-serial0005.bin").open_as_host(host_key("mobile"))
    assert [one.grant.epoch for one in opened] == [2, 3]
    done("grant", "--sensor", "cam", "--host", "mobile", "--epochs", "4", "--valid-for", "1d", "-o", "four.bin")
    assert grant("four.bin").not_after - grant("four.bin").not_before == 86_400
    for text, words in (("7-3", "end before they begin"), ("x", "not a range"), ("0-2", "begin"), ("3-", "not a")):
        assert words in refused(3, "grant", "--sensor", "cam", "--host", "lab", "--epochs", text)
    assert "no epoch 5" in refused(9, "grant", "--sensor", "cam", "--host", "lab", "--epochs", "4-5")


def test_retire_disable_restore(site: Path) -> None:
    for _ in range(2):
        done("rotate", "--sensor", "cam")
    done("disable", "--sensor", "cam", "--epoch", "2")
    assert "is disabled" in refused(9, "export", "--sensor", "cam", "--epoch", "2")
    assert "is disabled" in refused(9, "grant", "--sensor", "cam", "--host", "lab", "--epochs", "1-3")
    assert "decrypt-only" in done("restore", "--sensor", "cam", "--epoch", "2")
    assert "disabled   1" in done("retire", "--sensor", "cam", "--min-epoch", "2")
    done("rewrap", "--sensor", "cam")
    assert grant("cam-epoch0003-serial0004.bin").min_epoch == 2
    assert "retired" in refused(9, "restore", "--sensor", "cam", "--epoch", "1")
    assert "rotate or issue first" in refused(9, "disable", "--sensor", "cam", "--epoch", "3")
    shown = done("list", "--sensor", "cam")
    assert "epochs below 2" in shown
    assert "for the sensor, lab, mobile" in shown


def test_destroy_waits_and_can_be_taken_back(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done("rotate", "--sensor", "cam")
    destroy = ("destroy", "--sensor", "cam", "--epoch", "1")
    assert "pending destruction at" in done(*destroy)
    assert "none is due" in done("destroy", "--due")
    done("restore", "--sensor", "cam", "--epoch", "1")
    done(*destroy, "--after", "1h")
    begin = listed()["epochs"][0]["destroy_at"]
    monkeypatch.setattr("time.time", lambda: begin + 1)
    assert "epoch 1 of sensor cam" in done("destroy", "--due")
    assert "its key is gone" in refused(9, "restore", "--sensor", "cam", "--epoch", "1")
    assert [file["serial"] for file in listed()["files"]] == [2]
    assert "is destroyed" in refused(9, "export", "--sensor", "cam", "--epoch", "1")
    assert "keyvault list --sensor cam" in refused(9, "export", "--sensor", "cam", "--serial", "1")
    assert "rotate or issue first" in refused(9, "destroy", "--sensor", "cam", "--epoch", "2")
    for wrong in ((), ("--sensor", "cam"), ("--due", "--epoch", "1"), ("--epoch", "1")):
        assert "--due" in refused(2, "destroy", *wrong)


def test_a_lost_host(site: Path) -> None:
    said = done("revoke", "host", "mobile")
    assert "rotate cam, whose keys it was given" in said
    assert done("list", "--host", "mobile") == "cam\n"
    result = run("rotate", "--sensor", "cam")
    assert "host mobile left out" in result.stderr
    assert [host.name for host in grant("cam-epoch0002.bin").hosts] == ["lab"]
    assert "revoked 20" in done("list")
    assert "was revoked" in refused(9, "revoke", "host", "mobile")
    again = refused(9, "enroll", "host", "mobile2", "--public", "mobile.pub")
    assert "as host mobile, which was revoked; make a new key" in again
    assert "was revoked" in refused(9, *ISSUE, "--host", "mobile", "-o", "other.bin")
    done("status", "publish")
    assert "host mobile" in done("status", "show")


def test_a_stolen_camera(site: Path) -> None:
    done("revoke", "sensor", "cam")
    assert "was revoked" in refused(9, "rotate", "--sensor", "cam")
    assert "no primary epoch (newest 1)" in done("list")
    done("grant", "--sensor", "cam", "--host", "lab", "--epochs", "1")


def test_status_age_and_export_by_serial(site: Path) -> None:
    done(*ISSUE, "--status-max-age", "7d", "-o", "second.bin")
    assert grant("second.bin").status_max_age == 7 * 86_400
    done("rewrap", "--sensor", "cam", "--host", "lab", "-o", "third.bin")
    done("export", "--sensor", "cam", "--serial", "2", "-o", "again.bin")
    assert Path("again.bin").read_bytes() == Path("second.bin").read_bytes()
    done("export", "--sensor", "cam", "-o", "newest.bin")
    assert Path("newest.bin").read_bytes() == Path("third.bin").read_bytes()
    assert "no file 9" in refused(9, "export", "--sensor", "cam", "--serial", "9")
    assert "not both" in refused(2, "export", "--sensor", "cam", "--serial", "2", "--epoch", "1")


def test_backup_and_recovery(site: Path, home: Path) -> None:
    for name in ("kept", "new"):
        Path(name).write_text(f"{name} word\n")
    assert "give --backup-passphrase-file FILE\n" in refused(10, "backup", "-o", "vault.backup")
    done("backup", "-o", "vault.backup", "--backup-passphrase-file", "kept")
    assert stat.S_IMODE(Path("vault.backup").stat().st_mode) == 0o600
    assert "--force" in refused(4, "backup", "-o", "vault.backup", "--backup-passphrase-file", "kept")
    recover = ("--home", "second", "recover", "vault.backup", "--backup-passphrase-file")
    assert "wrong passphrase" in refused(10, *recover, "new", "--passphrase-file", "new")
    again = ("recover", "vault.backup", "--backup-passphrase-file", "kept", "--no-passphrase")
    assert "there is a vault" in refused(9, *again)
    assert not Path("second").exists()
    done(*recover, "kept", "--passphrase-file", "new")
    done("--home", "second", "rotate", "--sensor", "cam", "--passphrase-file", "new")
    assert grant("cam-epoch1002.bin").serial == 1002
    done("--home", "second", "export", "--sensor", "cam", "--epoch", "1", "-o", "old.bin")
    assert Path("old.bin").read_bytes() == Path("sealed.bin").read_bytes()
    other = ("--home", "third", "recover", "lab.pub", "--backup-passphrase-file", "kept", "--no-passphrase")
    assert "not a backup" in refused(3, *other)


def test_passwd(site: Path) -> None:
    Path("word").write_text("word\n")
    assert "give --new-passphrase-file FILE, or --no-passphrase" in refused(10, "passwd")
    assert "a passphrase (Argon2id)" in done("passwd", "--new-passphrase-file", "word")
    assert "no terminal" in refused(10, "rotate", "--sensor", "cam")
    done("rotate", "--sensor", "cam", "--passphrase-file", "word")
    assert "nothing" in done("passwd", "--passphrase-file", "word", "--no-passphrase")
    done("rotate", "--sensor", "cam")
