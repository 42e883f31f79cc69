"""Opening sealed keys and frames as an authorised host, and every way to be refused."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from host_factories import DAY, ISSUER, NOW, OTHER_ISSUER, POLICY, capture, host_key, scene, sealed, write_home

from adc_firmware import ForeignFrameError, FrameError, FrameTamperedError, encodings_for, write
from inference.session import ShuffledFrame, open_session
from keyvault.errors import (
    ExpiredGrantError,
    GrantFormatError,
    GrantSignatureError,
    HostKeyError,
    InputError,
    NotYetValidError,
    PassphraseError,
    UnknownIssuerError,
    WrongHostError,
)
from keyvault.hosts import public_pem, save_host_key
from keyvault.permutation import Permutation
from keyvault.policy import Policy, Protection


@pytest.fixture
def key(tmp_path: Path) -> Path:
    path = tmp_path / "sealed.bin"
    path.write_bytes(sealed())
    return path


def session_of(*paths: Path | str, host: str = "lab", now: int | None = NOW):
    return open_session(paths, host_key(host), ISSUER.public_key(), now=now)


@pytest.mark.parametrize("protection", list(Protection))
def test_a_frame_opens_to_its_samples_in_shuffled_order(tmp_path: Path, protection: Protection) -> None:
    policy = Policy(16, 12, protection=protection)
    (tmp_path / "sealed.bin").write_bytes(sealed(policy=policy))
    values = scene(policy)
    frame = capture(sealed(policy=policy), values)
    shuffled = session_of(tmp_path / "sealed.bin").open(frame)
    assert np.array_equal(shuffled.permutation.undo(shuffled.samples), values)
    assert not np.array_equal(shuffled.samples, values)
    assert np.array_equal(frame.samples, shuffled.samples) == (protection is Protection.SHUFFLE)
    assert not shuffled.samples.flags.writeable


def test_a_frame_opens_from_its_file_as_from_memory(tmp_path: Path, key: Path) -> None:
    frame = capture(key.read_bytes(), scene())
    write(frame, tmp_path / "frame.dng")
    session = session_of(key)
    for path in (tmp_path / "frame.dng", str(tmp_path / "frame.dng")):
        assert np.array_equal(session.open(path).samples, session.open(frame).samples)


def test_a_frame_opens_from_a_file_of_any_encoding(tmp_path: Path, key: Path) -> None:
    frame = capture(key.read_bytes(), scene())
    session = session_of(key)
    for encoding in encodings_for(frame.header.policy):
        write(frame, tmp_path / "frame", encoding)
        assert np.array_equal(session.open(tmp_path / "frame").samples, session.open(frame).samples)


def test_a_frames_key_id_selects_its_epoch(tmp_path: Path) -> None:
    keys = {epoch: tmp_path / f"sealed-{epoch}.bin" for epoch in (1, 2)}
    for epoch, path in keys.items():
        path.write_bytes(sealed(epoch))
    for session in (session_of(tmp_path), session_of(*keys.values()), session_of(keys[1], tmp_path)):
        assert sorted(grant.epoch for grant in session.grants.values()) == [1, 2]
        for epoch, path in keys.items():
            opened = session.open(capture(path.read_bytes(), scene(seed=epoch)))
            assert opened.header.epoch == epoch
            assert np.array_equal(opened.permutation.undo(opened.samples), scene(seed=epoch))


def test_identity_and_issuer_are_found_in_the_home(home: Path, key: Path) -> None:
    write_home(home)
    session = open_session(key, now=NOW)
    assert [grant.sensor for grant in session.grants.values()] == ["front-door"]


def test_nothing_secret_is_shown(key: Path) -> None:
    session = session_of(key)
    frame = session.open(capture(key.read_bytes(), scene()))
    assert repr(session) == f"Session(keys={list(session.grants)})"
    assert repr(frame) == "ShuffledFrame('front-door', counter=0, shape=(12, 16))"
    assert str(frame) == repr(frame)


def test_grants_cannot_be_added_from_outside(key: Path) -> None:
    session = session_of(key)
    with pytest.raises(TypeError):
        session.grants["0" * 16] = next(iter(session.grants.values()))


def refusals() -> list[Any]:
    good = sealed()
    return [
        pytest.param(good, {"host": "mobile"}, WrongHostError, "sealed for sensor front-door and host lab", id="host"),
        pytest.param(good, {"now": NOW + 2 * DAY}, ExpiredGrantError, "expired at 2027-01-16", id="expired"),
        pytest.param(good, {"now": NOW - 2 * DAY}, NotYetValidError, "valid from 2027-01-14", id="early"),
        pytest.param(sealed(issuer=OTHER_ISSUER), {}, UnknownIssuerError, "not by the trusted vault", id="issuer"),
        pytest.param(good[:-8] + b"AAAAAAAA", {}, GrantSignatureError, "sealed.bin: ", id="signature"),
        pytest.param(good[:-40], {}, (GrantFormatError, GrantSignatureError), "sealed.bin: ", id="truncated"),
        pytest.param(b"", {}, GrantFormatError, "sealed.bin: ", id="empty"),
        pytest.param(b"\x89PNG", {}, GrantFormatError, "sealed.bin: ", id="picture"),
    ]


@pytest.mark.parametrize(("data", "changes", "error", "says"), refusals())
def test_a_named_key_that_cannot_be_opened_is_refused(
    tmp_path: Path, data: bytes, changes: dict[str, Any], error: type[Exception], says: str
) -> None:
    path = tmp_path / "sealed.bin"
    path.write_bytes(data)
    with pytest.raises(error, match=says) as refusal:
        session_of(path, **changes)
    assert str(path) in str(refusal.value)


def test_the_identity_is_refused(home: Path, key: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"host\.pem"):
        open_session(key, now=NOW)
    write_home(home, passphrase=b"correct horse")
    with pytest.raises(PassphraseError, match="protected by a passphrase"):
        open_session(key, now=NOW)
    with pytest.raises(PassphraseError, match="wrong passphrase"):
        open_session(key, passphrase=b"battery", now=NOW)
    assert open_session(key, passphrase=b"correct horse", now=NOW).grants
    (home / "issuer.pub").chmod(0o600)
    with pytest.raises(HostKeyError, match="holds a public key"):
        open_session(key, identity=home / "issuer.pub", now=NOW)
    (tmp_path / "lab.pub").write_bytes(public_pem(host_key("lab").public_key()))
    with pytest.raises(HostKeyError, match="issuer"):
        open_session(key, host_key("lab"), trust=tmp_path / "lab.pub", now=NOW)


def test_sources_without_any_key_are_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.bin").write_bytes(b"not a sealed key")
    with pytest.raises(InputError, match="no sealed key in"):
        session_of(tmp_path)
    with pytest.raises(InputError, match="no sealed key in no files"):
        session_of()
    with pytest.raises(InputError, match=r"missing\.bin"):
        session_of(tmp_path / "missing.bin")


def test_a_folder_holds_what_it_holds(tmp_path: Path) -> None:
    """Stray files and folders are left out; keys of no use now are refused when a frame needs them."""
    (tmp_path / "now.bin").write_bytes(sealed(2))
    (tmp_path / "old.bin").write_bytes(sealed(1, end=NOW + 5))
    (tmp_path / "theirs.bin").write_bytes(sealed(3, host="mobile"))
    (tmp_path / "stray.bin").write_bytes(b"hello")
    (tmp_path / "folder.bin").mkdir()
    session = session_of(tmp_path, now=NOW + 10)
    assert [grant.epoch for grant in session.grants.values()] == [2]
    with pytest.raises(ExpiredGrantError, match=r"old\.bin: epoch 1"):
        session.open(capture(sealed(1, end=NOW + 5), scene()))
    with pytest.raises(WrongHostError, match="host mobile"):
        session.open(capture(sealed(3, host="mobile"), scene()))
    write(capture(sealed(3, host="mobile"), scene()), tmp_path / "theirs.dng")
    with pytest.raises(WrongHostError, match="host mobile"):
        session.open(tmp_path / "theirs.dng")


def test_a_folder_of_which_nothing_opens_says_why(tmp_path: Path) -> None:
    (tmp_path / "theirs.bin").write_bytes(sealed(host="mobile"))
    with pytest.raises(WrongHostError, match="host mobile"):
        session_of(tmp_path)


def test_a_session_does_not_outlive_its_grant(key: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    frame = capture(key.read_bytes(), scene())
    monkeypatch.setattr(time, "time", lambda: float(NOW))
    session = session_of(key, now=None)
    assert session.open(frame).header == frame.header
    monkeypatch.setattr(time, "time", lambda: float(NOW + 2 * DAY))
    with pytest.raises(ExpiredGrantError):
        session.open(frame)
    monkeypatch.setattr(time, "time", lambda: float(NOW - 2 * DAY))
    with pytest.raises(NotYetValidError):
        session.open(frame)


def test_frames_that_are_not_ours_are_refused(tmp_path: Path, key: Path) -> None:
    session = session_of(key)
    frame = capture(sealed(7), scene())
    with pytest.raises(ForeignFrameError, match=frame.header.key_id):
        session.open(frame)
    write(frame, tmp_path / "foreign.dng")
    with pytest.raises(ForeignFrameError):
        session.open(tmp_path / "foreign.dng")
    (tmp_path / "empty.dng").touch()
    with pytest.raises(FrameError):
        session.open(tmp_path / "empty.dng")
    with pytest.raises(InputError, match=r"missing\.dng"):
        session.open(tmp_path / "missing.dng")


def test_a_changed_frame_is_refused(tmp_path: Path, key: Path) -> None:
    path = tmp_path / "frame.dng"
    write(capture(key.read_bytes(), scene()), path)
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(FrameTamperedError):
        session_of(key).open(path)


def test_a_frame_verified_under_another_grant_of_the_same_key_is_refused(key: Path) -> None:
    other = capture(sealed(policy=Policy(12, 16)), scene(Policy(12, 16)))
    assert other.header.key_id in session_of(key).grants
    with pytest.raises(ForeignFrameError, match="another grant"):
        session_of(key).open(other)


def test_a_shuffled_frame_has_the_form_its_header_says(key: Path) -> None:
    head = capture(key.read_bytes(), scene()).header
    good = scene()
    with pytest.raises(ValueError, match="do not fit"):
        ShuffledFrame(head, good[:, :-1], Permutation.identity((12, 16)))
    with pytest.raises(ValueError, match="do not fit"):
        ShuffledFrame(head, good.astype(np.int32), Permutation.identity((12, 16)))
    with pytest.raises(ValueError, match="does not fit"):
        ShuffledFrame(head, good, Permutation.identity((16, 12)))


def test_an_exposed_identity_is_refused(tmp_path: Path, key: Path) -> None:
    path = tmp_path / "host.pem"
    save_host_key(host_key("lab"), path, None)
    path.chmod(0o644)
    with pytest.raises(InputError, match="open to other users"):
        open_session(key, path, ISSUER.public_key(), now=NOW)


def test_the_policy_reaches_the_frame(key: Path) -> None:
    assert session_of(key).open(capture(key.read_bytes(), scene())).header.policy == POLICY
