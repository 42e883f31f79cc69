"""The audit log: every single mutation of it is found, and no secret gets into it."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import audit_reader
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from hypothesis import given
from hypothesis import strategies as st

import make_audit_vectors
from keyvault import audit, canonical, errors
from keyvault.audit import Head
from keyvault.errors import (
    AuditError,
    AuditHeadError,
    AuditHeadFormatError,
    AuditRecordError,
    AuditRollbackError,
    PrivcamError,
)
from keyvault.vault_store import new_database
from make_audit_vectors import CASES, ENTRIES, ISSUER, NOW, OTHER, make_log, rechain

LENGTH = len(ENTRIES)
PUBLIC = ISSUER.public_key()
ADDED = ("rotate", "sensor cam", {"epoch": 3}, NOW + 9)


@pytest.fixture
def log() -> Iterator[sqlite3.Connection]:
    database = make_log()
    yield database
    database.close()


def kept(entries: int = LENGTH) -> Head:
    return audit.head(make_log(entries), PUBLIC)


def test_a_whole_log_verifies_and_lists_what_was_recorded(log: sqlite3.Connection) -> None:
    assert audit.verify(log, PUBLIC) == kept()
    records = list(audit.listed(log))
    assert [(r.operation, r.subject, r.detail) for r in records] == list(ENTRIES)
    assert [(r.seq, r.time) for r in records] == [(number + 1, NOW + number) for number in range(LENGTH)]
    assert list(audit.listed(log, 2)) == records[-2:]


@pytest.mark.parametrize("seq", range(1, LENGTH + 1))
def test_a_removed_record_is_named(log: sqlite3.Connection, seq: int) -> None:
    log.execute("DELETE FROM audit WHERE seq = ?", (seq,))
    with pytest.raises(AuditRecordError, match=f"record {seq} is missing"):
        audit.verify(log, PUBLIC)


@pytest.mark.parametrize("seq", range(1, LENGTH + 1))
def test_every_changed_byte_of_a_record_is_found_there(log: sqlite3.Connection, seq: int) -> None:
    (text,) = log.execute("SELECT record FROM audit WHERE seq = ?", (seq,)).fetchone()
    data = text.encode("ascii")
    for place in range(len(data)):
        for flip in (1, 0x20, 0x80):
            changed = data[:place] + bytes([data[place] ^ flip]) + data[place + 1 :]
            log.execute("UPDATE audit SET record = CAST(? AS TEXT) WHERE seq = ?", (changed, seq))
            with pytest.raises(AuditRecordError, match=f"record {seq} is not what"):
                audit.verify(log, PUBLIC)


@pytest.mark.parametrize("seq", range(1, LENGTH + 1))
def test_every_changed_byte_of_a_hash_is_found(log: sqlite3.Connection, seq: int) -> None:
    (digest,) = log.execute("SELECT hash FROM audit WHERE seq = ?", (seq,)).fetchone()
    for place in range(len(digest)):
        changed = digest[:place] + bytes([digest[place] ^ 1]) + digest[place + 1 :]
        log.execute("UPDATE audit SET hash = ? WHERE seq = ?", (changed, seq))
        with pytest.raises(AuditRecordError, match=f"record {seq} is not what"):
            audit.verify(log, PUBLIC)


@pytest.mark.parametrize("column", ["hash", "signature"])
def test_every_changed_byte_of_the_head_is_found(log: sqlite3.Connection, column: str) -> None:
    (value,) = log.execute(f"SELECT {column} FROM audit_head").fetchone()  # noqa: S608
    for place in range(len(value)):
        changed = value[:place] + bytes([value[place] ^ 1]) + value[place + 1 :]
        log.execute(f"UPDATE audit_head SET {column} = ?", (changed,))  # noqa: S608
        with pytest.raises(AuditHeadError, match="not signed by the vault"):
            audit.verify(log, PUBLIC)


@pytest.mark.parametrize("value", [0, -1, 2, LENGTH + 1, 2**60, "six", 6.5])
def test_another_number_in_the_head_is_found(log: sqlite3.Connection, value: object) -> None:
    log.execute("UPDATE audit_head SET seq = ?", (value,))
    with pytest.raises(AuditHeadError):
        audit.verify(log, PUBLIC)


@given(st.permutations(range(1, LENGTH + 1)), st.booleans())
def test_any_other_order_is_found(order: list[int], made_to_fit: bool) -> None:
    log = make_log()
    signed = log.execute("SELECT seq, hash FROM audit_head").fetchone()
    rows = log.execute("SELECT record, hash FROM audit ORDER BY seq").fetchall()
    for seq, row in enumerate((rows[number - 1] for number in order), 1):
        log.execute("UPDATE audit SET record = ?, hash = ? WHERE seq = ?", (*row, seq))
    if made_to_fit:
        rechain(log)
        log.execute("UPDATE audit_head SET seq = ?, hash = ?", signed)
    if order == sorted(order):
        audit.verify(log, PUBLIC)
        return
    first = next(seq for seq, number in enumerate(order, 1) if seq != number)
    with pytest.raises(AuditRecordError, match=f"record {first} is not what"):
        audit.verify(log, PUBLIC)


@given(st.integers(1, LENGTH + 1), st.integers(1, LENGTH), st.booleans())
def test_an_inserted_record_is_found(place: int, source: int, made_to_fit: bool) -> None:
    log = make_log()
    signed = log.execute("SELECT seq, hash FROM audit_head").fetchone()
    rows = log.execute("SELECT record, hash FROM audit ORDER BY seq").fetchall()
    log.execute("DELETE FROM audit")
    for seq, (text, digest) in enumerate([*rows[: place - 1], rows[source - 1], *rows[place - 1 :]], 1):
        value = canonical.loads(text.encode("ascii"), "it") | {"seq": seq}
        record = canonical.dumps(value).decode("ascii")
        log.execute("INSERT INTO audit VALUES (?, ?, ?)", (seq, record, digest))
    if made_to_fit:
        rechain(log)
        log.execute("UPDATE audit_head SET seq = ?, hash = ?", signed)
    with pytest.raises(AuditRecordError):
        audit.verify(log, PUBLIC)


@pytest.mark.parametrize("seq", [0, -5])
def test_a_record_before_the_first_is_found(log: sqlite3.Connection, seq: int) -> None:
    log.execute("INSERT INTO audit SELECT ?, record, hash FROM audit WHERE seq = 1", (seq,))
    with pytest.raises(AuditRecordError, match=f"record {seq} was not made"):
        audit.verify(log, PUBLIC)


@pytest.mark.parametrize("length", range(1, LENGTH))
def test_a_log_that_was_set_back_is_found_with_a_kept_head_alone(length: int) -> None:
    earlier = make_log(length)
    assert audit.verify(earlier, PUBLIC).seq == length
    assert audit.verify(earlier, PUBLIC, kept(length)).seq == length
    with pytest.raises(AuditRollbackError, match=f"at record {LENGTH} .* does not hold it"):
        audit.verify(earlier, PUBLIC, kept())


@pytest.mark.parametrize("length", range(1, LENGTH + 1))
def test_a_log_goes_on_from_every_head_that_it_had(log: sqlite3.Connection, length: int) -> None:
    assert audit.verify(log, PUBLIC, kept(length)) == kept()


def test_a_log_that_went_another_way_since_it_was_set_back_is_found() -> None:
    other = make_log(4)
    for _ in range(LENGTH):
        audit.record(other, ISSUER, *ADDED)
    audit.verify(other, PUBLIC, kept(4))
    with pytest.raises(AuditRollbackError, match="another in its place"):
        audit.verify(other, PUBLIC, kept())


def test_an_emptied_log_is_found(log: sqlite3.Connection) -> None:
    log.execute("DELETE FROM audit")
    with pytest.raises(AuditRecordError, match="record 1 is missing"):
        audit.verify(log, PUBLIC)
    log.execute("DELETE FROM audit_head")
    with pytest.raises(AuditHeadError, match="no signed head"):
        audit.verify(log, PUBLIC)


def test_a_head_of_another_signer_is_refused_wherever_it_is(log: sqlite3.Connection) -> None:
    foreign = audit.head(make_log(signer=OTHER), OTHER.public_key())
    with pytest.raises(AuditHeadError, match="that of vault"):
        audit.verify(log, PUBLIC, foreign)
    log.execute("UPDATE audit_head SET signature = ?", (foreign.signature,))
    with pytest.raises(AuditHeadError, match="not signed by the vault"):
        audit.verify(log, PUBLIC)


def test_the_issuer_signs_nothing_that_builds_on_a_forged_head(log: sqlite3.Connection) -> None:
    log.execute("UPDATE audit SET record = replace(record, 'lab', 'lob')")
    rechain(log)
    with pytest.raises(AuditHeadError):
        audit.record(log, ISSUER, *ADDED)
    assert len(list(audit.listed(log))) == LENGTH


@pytest.mark.parametrize("name", ["key", "kek", "salt", "epoch_key", "root", "Passphrase", "private_key", "d"])
def test_no_secret_is_recorded_by_its_name(log: sqlite3.Connection, name: str) -> None:
    with pytest.raises(ValueError, match="secret"):
        audit.record(log, ISSUER, "issue", "sensor cam", {name: "x"}, NOW)
    assert audit.verify(log, PUBLIC) == kept()


@pytest.mark.parametrize("value", [b"key", bytearray(32), 1.5, {"a": 1}, [b"key"], [["x"]], (1,), Path()])
def test_no_secret_is_recorded_by_its_type(log: sqlite3.Connection, value: object) -> None:
    with pytest.raises(TypeError, match="plain values"):
        audit.record(log, ISSUER, "issue", "sensor cam", {"note": value}, NOW)
    assert audit.verify(log, PUBLIC) == kept()


def test_a_head_is_one_line_and_comes_back() -> None:
    line = kept().to_line()
    assert line.isascii()
    assert "\n" not in line
    assert Head.from_line(f"  {line}\n") == kept()


@given(st.integers(0, len(kept().to_line()) - 1), st.sampled_from("Aa0_- \n\x80"))
def test_a_changed_head_line_is_refused(place: int, char: str) -> None:
    line = kept().to_line()
    changed = line[:place] + char + line[place + 1 :]
    if changed.strip() == line:
        return
    with pytest.raises((AuditHeadFormatError, AuditHeadError)):
        audit.verify(make_log(), PUBLIC, Head.from_line(changed))


@pytest.mark.parametrize("name", CASES)
def test_vectors(name: str) -> None:
    path = make_audit_vectors.FOLDER / f"{name}.json"
    vector = json.loads(path.read_text())
    assert vector == make_audit_vectors.vector(*CASES[name])
    issuer = Ed25519PublicKey.from_public_bytes(canonical.unb64url(vector["issuer"]["x"], "x"))
    database = new_database()
    for row in vector["records"]:
        database.execute("INSERT INTO audit VALUES (?, ?, ?)", (row["seq"], row["record"], bytes.fromhex(row["hash"])))
    if vector["head"] is not None:
        end = vector["head"]
        values = (end["seq"], bytes.fromhex(end["hash"]), bytes.fromhex(end["signature"]))
        database.execute("INSERT INTO audit_head VALUES (1, ?, ?, ?)", values)
    found: PrivcamError | None = None
    try:
        audit.verify(database, issuer, Head.from_line(vector["kept"]))
    except AuditError as error:
        found = error
    expected = vector["error"]
    assert type(found) is (getattr(errors, expected) if expected else type(None))


@pytest.mark.parametrize("name", CASES)
def test_a_reader_that_knows_the_specification_alone_agrees(name: str) -> None:
    vector = json.loads((make_audit_vectors.FOLDER / f"{name}.json").read_text())
    assert audit_reader.verdict(vector) == vector["error"]


def test_there_are_no_other_vectors() -> None:
    assert {path.stem for path in make_audit_vectors.FOLDER.iterdir()} == set(CASES)
