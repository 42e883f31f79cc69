"""What a host remembers of the keys it has opened, and the status list that it honours."""

from __future__ import annotations

import itertools
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from host_factories import DAY, DEVICE, ISSUER, NOW, OTHER_ISSUER, capture, host_key, scene, sealed, write_home

import adc_firmware
from inference.cli import keyed_infer
from inference.session import Session, open_session
from keyvault.envelope import verify
from keyvault.errors import (
    DisabledKeyError,
    MarkError,
    OutputError,
    PrivcamError,
    RetiredEpochError,
    RevokedError,
    SerialRollbackError,
    StatusExpiredError,
    StatusMissingError,
    StatusRollbackError,
    UnknownIssuerError,
)
from keyvault.grant import Kind
from keyvault.identity import thumbprint
from keyvault.mark_files import load
from keyvault.marks import HostMark
from keyvault.status_list import StatusList, sign

FRESH = HostMark(thumbprint(ISSUER.public_key()), DEVICE.sensor)
LAB = thumbprint(host_key("lab").public_key())


def write(path: Path, *arguments: Any, **changes: Any) -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(sealed(*arguments, **changes))
    return path


def publish(path: Path, number: int = 1, issuer: Ed25519PrivateKey = ISSUER, **names: Any) -> Path:
    path.parent.mkdir(exist_ok=True)
    status = StatusList(thumbprint(issuer.public_key()), number, NOW, NOW + DAY, **names)
    path.write_bytes(sign(status, issuer))
    return path


def session_of(*paths: Path, **changes: Any) -> Session:
    return open_session(paths, host_key("lab"), ISSUER.public_key(), **{"now": NOW} | changes)


def epochs(session: Session) -> list[int]:
    return sorted(grant.epoch for grant in session.grants.values())


def test_a_host_remembers_what_it_has_opened_in_its_home(tmp_path: Path, home: Path) -> None:
    key = write(tmp_path / "a.bin", 3, 5, serial=9, min_epoch=2)
    session_of(key)
    assert load(home / "marks", FRESH) == HostMark(FRESH.issuer, FRESH.sensor, 2, {(3, 5, Kind.HOST): 9})
    assert (home / "marks").stat().st_mode & 0o777 == 0o700
    session_of(key, home=tmp_path / "other")
    assert load(tmp_path / "other" / "marks", FRESH) == load(home / "marks", FRESH)
    assert (home / "marks" / FRESH.file_name).stat().st_mode & 0o777 == 0o600


def test_old_epochs_open_in_any_order_until_they_are_retired(tmp_path: Path) -> None:
    keys = [write(tmp_path / f"{epoch}.bin", epoch) for epoch in (1, 2, 3)]
    for order in itertools.permutations(keys):
        for key in order:
            assert len(epochs(session_of(key))) == 1
    session_of(write(tmp_path / "4.bin", 4, min_epoch=3))
    for key in keys[:2]:
        with pytest.raises(RetiredEpochError, match="allows epochs from 3 on") as refusal:
            session_of(key)
        assert str(key) in str(refusal.value)
    assert epochs(session_of(keys[2])) == [3]


def test_a_folder_opens_whatever_the_order_of_its_files(tmp_path: Path) -> None:
    contents = [sealed(1, 4, serial=2), sealed(1, 4, serial=7), sealed(4, serial=6, min_epoch=3)]
    for number, order in enumerate(itertools.permutations(contents)):
        folder = tmp_path / f"keys{number}"
        folder.mkdir()
        for name, data in zip("abc", order, strict=True):
            (folder / f"{name}.bin").write_bytes(data)
        assert epochs(session_of(folder, home=tmp_path / f"home{number}")) == [3, 4]


def test_a_refused_epoch_is_explained_when_a_frame_needs_it(tmp_path: Path) -> None:
    old = write(tmp_path / "keys" / "old.bin", 1)
    write(tmp_path / "keys" / "new.bin", 2, min_epoch=2)
    session = session_of(tmp_path / "keys")
    with pytest.raises(RetiredEpochError, match=r"old\.bin"):
        session.open(capture(old.read_bytes(), scene()))
    named = session_of(write(tmp_path / "range.bin", 1, 2))  # one of whose epochs is retired
    assert epochs(named) == [2]
    with pytest.raises(RetiredEpochError, match=r"range\.bin"):
        named.open(capture(old.read_bytes(), scene()))


def test_an_older_file_of_the_same_epochs_is_refused(tmp_path: Path) -> None:
    old, new = write(tmp_path / "old.bin", 1, 3, serial=4), write(tmp_path / "new.bin", 1, 3, serial=5)
    session_of(old)
    session_of(new)
    with pytest.raises(SerialRollbackError, match=r"for epochs 1 to 3 .* has serial 4; a newer one, serial 5"):
        session_of(old)
    with pytest.raises(SerialRollbackError):
        session_of(old, new)
    assert epochs(session_of(write(tmp_path / "other.bin", 1, 2, serial=1))) == [1, 2]


@pytest.mark.parametrize(
    "changes",
    [
        {"issuer": OTHER_ISSUER},
        {"host": "mobile"},
        {"start": NOW + DAY},
        {"end": NOW - 1},
        {"status_max_age": 60},
    ],
)
def test_a_key_that_does_not_open_moves_no_mark(tmp_path: Path, home: Path, changes: dict[str, Any]) -> None:
    key = write(tmp_path / "a.bin")
    session_of(key)
    before = load(home / "marks", FRESH)
    later = write(tmp_path / "later.bin", 9, serial=99, min_epoch=9, **changes)
    with pytest.raises(PrivcamError):
        session_of(later)
    if changes != {"issuer": OTHER_ISSUER}:
        assert epochs(session_of(tmp_path)) == [1]
    verify(sealed(8, min_epoch=8), ISSUER.public_key()).open_as_host(host_key("lab"), NOW)  # without files
    assert load(home / "marks", FRESH) == before


def test_marks_that_cannot_be_used_stop_the_session(tmp_path: Path, home: Path) -> None:
    key = write(tmp_path / "a.bin")
    session_of(key)
    mark = home / "marks" / FRESH.file_name
    mark.write_bytes(b"{}")
    with pytest.raises(MarkError, match="is damaged"):
        session_of(key)
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(OutputError, match="cannot be kept") as refusal:
        session_of(key, home=tmp_path / "file")
    assert "PRIVCAM_HOME" in refusal.value.hint


PROGRAM = """
import sys
from inference.session import open_session
for path in sys.argv[1:]:
    open_session(path, now={now})
"""


def test_hosts_in_several_processes_share_the_mark(tmp_path: Path, home: Path) -> None:
    write_home(home)
    keys = [write(tmp_path / f"{epoch}.bin", epoch, serial=10 + epoch) for epoch in range(1, 9)]
    command = [sys.executable, "-c", PROGRAM.format(now=NOW)]
    runs = [subprocess.Popen([*command, *order]) for order in (keys, keys[::-1], keys[4:] + keys[:4])]
    assert [run.wait() for run in runs] == [0, 0, 0]
    expected = {(epoch, epoch, "sensor"): 10 + epoch for epoch in range(1, 9)}
    assert load(home / "marks", FRESH).serials == expected


def test_a_list_keeps_out_hosts_sensors_and_epochs(tmp_path: Path, home: Path) -> None:
    keys = [write(tmp_path / "keys" / f"{epoch}.bin", epoch) for epoch in (1, 2, 3)]
    ids = [verify(key.read_bytes(), ISSUER.public_key()).grant.key_id for key in keys]
    publish(home / "status.jws", 1, disabled=frozenset(ids[1:2]), min_epochs={DEVICE.sensor: 2})
    session = session_of(tmp_path / "keys")
    assert epochs(session) == [3]
    for key, error in ((keys[0], RetiredEpochError), (keys[1], DisabledKeyError)):
        with pytest.raises(error, match=str(key)):
            session.open(capture(key.read_bytes(), scene()))
        with pytest.raises(error, match=str(key)):
            session_of(key)
    revoked: list[dict[str, Any]] = [{"hosts": {LAB: "lab"}}, {"sensors": {DEVICE.kid: DEVICE.sensor}}]
    for number, names in enumerate(revoked, 2):
        publish(home / "status.jws", number, **names)
        with pytest.raises(RevokedError):
            session_of(keys[2])
    (home / "status.jws").unlink()
    with pytest.raises(StatusMissingError):
        session_of(keys[1])
    publish(home / "status.jws", 4)
    with pytest.raises(RetiredEpochError):  # which the mark remembers
        session_of(keys[0])
    assert epochs(session_of(keys[1])) == [2]  # the rest only a list can say
    publish(home / "status.jws", 2)
    with pytest.raises(StatusRollbackError):
        session_of(keys[1])


def test_a_list_that_is_named_must_be_of_the_same_vault(tmp_path: Path, home: Path) -> None:
    key = write(tmp_path / "a.bin")
    publish(home / "status.jws", issuer=OTHER_ISSUER)
    assert epochs(session_of(key)) == [1]
    with pytest.raises(UnknownIssuerError, match=r"status\.jws"):
        session_of(key, status=home / "status.jws")


def test_a_session_ends_when_its_list_is_too_old(tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key = write(tmp_path / "a.bin", status_max_age=600)
    with pytest.raises(StatusMissingError):
        session_of(key)
    publish(home / "status.jws")
    with pytest.raises(StatusExpiredError):
        session_of(key, now=NOW + 601)
    monkeypatch.setattr("time.time", lambda: NOW + 600)
    session = session_of(key, now=None)
    frame = capture(key.read_bytes(), scene())
    session.open(frame)
    monkeypatch.setattr("time.time", lambda: NOW + 601)
    with pytest.raises(StatusExpiredError, match="at most 600 s old"):
        session.open(frame)


def test_the_command_uses_the_marks_and_the_list_of_its_home(tmp_path: Path, home: Path) -> None:
    base = write_home(tmp_path / "base")
    long = {"start": 0, "end": 2**33}
    new, old = (write(tmp_path / f"{serial}.bin", serial=serial, **long) for serial in (2, 1))
    adc_firmware.write(capture(new.read_bytes(), scene()), tmp_path / "frame.dng")

    def reveal(key: Path, *arguments: object) -> tuple[int, str]:
        words = ["--home", base, "reveal", "--key", key, "-o", tmp_path / "a.png", *arguments, tmp_path / "frame.dng"]
        result = CliRunner().invoke(keyed_infer, list(map(str, words)), prog_name="keyed-infer")
        return result.exit_code, result.stderr

    assert reveal(new)[0] == 0
    assert load(base / "marks", FRESH).serials == {(1, 1, "sensor"): 2}
    assert not home.exists()
    code, text = reveal(old)
    assert (code, text.count("\n")) == (8, 1)
    assert "keyvault export --sensor front-door" in text
    status = tmp_path / "list.jws"
    issuer = thumbprint(ISSUER.public_key())
    status.write_bytes(sign(StatusList(issuer, 1, 0, 0, hosts={LAB: "lab"}), ISSUER))
    assert reveal(new, "--status", status)[0] == 7
    code, text = reveal(new)
    assert code == 8
    assert "status list 1 of vault" in text
    status.replace(base / "status.jws")
    assert reveal(new)[0] == 7
