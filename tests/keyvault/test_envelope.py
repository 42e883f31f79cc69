"""Sealed keys: they open for their recipients, and nothing else is accepted."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from parties import DEVICE, ISSUER, NOW, SALT, TERMS, VECTORS, host_key, issued, stranger

from keyvault import errors
from keyvault.canonical import b64url, dumps, unb64url
from keyvault.derivation import FrameId, commitment, derive_epoch_key
from keyvault.device import Device
from keyvault.envelope import MAX_SEALED_BYTES, SealedGrant, read_sealed, seal, verify
from keyvault.grant import MAX_HOSTS, Grant, Kind, Recipient
from keyvault.hosts import load_issuer
from keyvault.identity import thumbprint

ISSUED = issued()
SEALED = verify(ISSUED.data, ISSUER.public_key())
EPOCH_KEY = derive_epoch_key(b"r" * 32, "cam", 1, SALT)
REFUSED = sorted((VECTORS / "refused").glob("*.json"))
EXIT_CODES = {"GrantFormatError": 3, "WeakKeyError": 3, "WrongDeviceError": 7, "WrongHostError": 7} | dict.fromkeys(
    ("ExpiredGrantError", "NotYetValidError"), 8
)


def test_every_recipient_opens_the_same_key() -> None:
    assert SEALED.grant == ISSUED.grant
    opened = [
        SEALED.open_as_sensor(DEVICE, NOW),
        *SEALED.open_as_host(host_key("lab"), NOW),
        *SEALED.open_as_host(host_key("mobile"), NOW),
    ]
    assert {grant.epoch_key for grant in opened} == {EPOCH_KEY}
    assert {grant.grant for grant in opened} == {ISSUED.grant}
    frame = FrameId(bytes(16), 5)
    assert len({(keys.permutation_key, keys.mask_key) for keys in (o.frame_secrets(frame) for o in opened)}) == 1


def test_a_sealed_key_shows_no_secret() -> None:
    opened = SEALED.open_as_sensor(DEVICE, NOW)
    shown = ISSUED.data + repr((SEALED, DEVICE, opened, opened.frame_secrets(FrameId(bytes(16), 5)))).encode()
    payload = unb64url(ISSUED.data.split(b".")[1].decode(), "payload")
    for secret in (EPOCH_KEY, DEVICE.kek, DEVICE.signer.private_bytes_raw(), b"r" * 32):
        assert secret not in shown + payload
        assert secret.hex().encode() not in shown + payload
        assert repr(secret)[2:-1].encode() not in shown


def test_two_seals_of_one_grant_share_no_ciphertext() -> None:
    first, second = (json.loads(unb64url(issued().data.split(b".")[1].decode(), "payload")) for _ in range(2))
    for member in ("ciphertext", "iv", "tag"):
        assert first[member] != second[member]


@pytest.mark.parametrize("path", REFUSED, ids=lambda path: path.stem)
def test_refusals(path: Path) -> None:
    vector = json.loads(path.read_text())
    expected = getattr(errors, vector["error"])
    with pytest.raises(errors.PrivcamError) as caught:
        open_vector(vector)
    assert type(caught.value) is expected
    assert caught.value.exit_code == EXIT_CODES.get(vector["error"], 6)
    assert str(caught.value)
    assert caught.value.hint


def test_there_are_vectors_of_every_refusal() -> None:
    named = {json.loads(path.read_text())["error"] for path in REFUSED}
    assert named == {
        "CommitmentError",
        "ExpiredGrantError",
        "GrantContentError",
        "GrantFormatError",
        "GrantSignatureError",
        "NotYetValidError",
        "UnknownIssuerError",
        "UnsealError",
        "WeakKeyError",
        "WrongDeviceError",
        "WrongHostError",
    }


def test_the_same_reader_accepts_the_good_vector() -> None:
    good = json.loads((VECTORS / "sealed.json").read_text())
    issuer = json.loads((VECTORS / "device.json").read_text())["issuer"]
    text = (VECTORS / "sealed.bin").read_text()
    for opens in ("sensor", "lab", "mobile"):
        key = open_vector({"issuer": issuer, "sealed": text, "opens": opens, "now": good["now"]})
        assert key.hex() == good["epoch_key"]


def open_vector(vector: dict) -> bytes:
    """Read a vector as its members say."""
    issuer = Ed25519PublicKey.from_public_bytes(unb64url(vector["issuer"]["x"], "x"))
    sealed = verify(vector["sealed"].encode(), issuer)
    device = Device.from_bytes((VECTORS / "device.json").read_bytes())
    other = Ed25519PrivateKey.generate()
    match vector["opens"]:
        case "sensor":
            return sealed.open_as_sensor(device, vector["now"]).epoch_key
        case "other sensor":
            return sealed.open_as_sensor(replace(device, sensor="cam-2", signer=other), vector["now"]).epoch_key
        case "same name":
            return sealed.open_as_sensor(replace(device, signer=other), vector["now"]).epoch_key
        case "other host":
            return sealed.open_as_host(stranger(), vector["now"])[-1].epoch_key
        case name:
            return sealed.open_as_host(host_key(name), vector["now"])[-1].epoch_key


@pytest.mark.parametrize("data", [b"", b".", b"..", b"a.b.c", b"\xff\xfe..", b"{}", b"\0" * 100, b"." * 1000])
def test_what_is_not_a_sealed_key_is_called_so(data: bytes) -> None:
    with pytest.raises(errors.GrantFormatError, match="not a sealed key"):
        verify(data, ISSUER.public_key())


@pytest.mark.parametrize("changes", [{"v": "B" * 150_000}, {"kid": "\x1b[2J" + "A" * 39}, {"kid": "\u0661" * 43}])
def test_messages_repeat_nothing_of_a_stranger_but_key_ids(changes: dict) -> None:
    _, payload, signature = ISSUED.data.split(b".")
    header = {"alg": "Ed25519", "kid": "A" * 43, "typ": "privcam-sealed-key+jws", "v": 1} | changes
    data = b".".join((b64url(dumps(header)).encode(), payload, signature))
    with pytest.raises(errors.GrantFormatError) as caught:
        verify(data, ISSUER.public_key())
    assert len(str(caught.value)) < 200
    assert str(caught.value).isprintable()


def test_truncated_anywhere_is_refused() -> None:
    for length in range(0, len(ISSUED.data), 97):
        with pytest.raises((errors.GrantFormatError, errors.GrantSignatureError)):
            verify(ISSUED.data[:length], ISSUER.public_key())


def test_size_is_bounded(tmp_path: Path) -> None:
    data = b"A" * (MAX_SEALED_BYTES + 1)
    with pytest.raises(errors.GrantFormatError, match="too many"):
        verify(data, ISSUER.public_key())
    (tmp_path / "large.bin").write_bytes(data)
    with pytest.raises(errors.InputError, match="too large"):
        read_sealed(tmp_path / "large.bin", ISSUER.public_key())


def test_the_largest_grant_fits() -> None:
    key = rsa.RSAPublicNumbers(65537, (1 << 8191) + 1).public_key()
    keys = [rsa.RSAPublicNumbers(65537, (1 << 8191) + 2 * n + 1).public_key() for n in range(MAX_HOSTS)]
    recipients = tuple(Recipient(Kind.HOST, f"{n:064}", thumbprint(key)) for n, key in enumerate(keys))
    grant = replace(ISSUED.grant, recipients=(ISSUED.grant.recipients[0], *recipients))
    data = seal([grant], [EPOCH_KEY], DEVICE.kek, keys, ISSUER)
    assert key.key_size == 8192
    assert len(data) <= MAX_SEALED_BYTES
    assert verify(data, ISSUER.public_key()).open_as_sensor(DEVICE, NOW).epoch_key == EPOCH_KEY


def test_refusals_say_for_whom_it_is_sealed() -> None:
    with pytest.raises(errors.WrongHostError, match=r"sealed for sensor cam and hosts lab, mobile") as host:
        SEALED.open_as_host(stranger(), NOW)
    assert thumbprint(stranger().public_key()) in str(host.value)
    other = Device.create("cam2", ISSUER.public_key())
    with pytest.raises(errors.WrongDeviceError, match=r"device cam2 .* sealed for sensor cam and hosts lab, mobile"):
        SEALED.open_as_sensor(other, NOW)
    with pytest.raises(errors.WrongDeviceError, match="not the one enrolled as that sensor"):
        SEALED.open_as_sensor(replace(other, sensor="cam"), NOW)


def test_a_device_takes_grants_of_its_own_issuer_only() -> None:
    other = Ed25519PrivateKey.generate().public_key()
    with pytest.raises(errors.UnknownIssuerError, match=thumbprint(other)):
        SEALED.open_as_sensor(replace(DEVICE, issuer=other), NOW)


def test_a_device_with_another_kek_is_told_so() -> None:
    with pytest.raises(errors.UnsealError, match="key of sensor cam does not unseal epoch 1"):
        SEALED.open_as_sensor(replace(DEVICE, kek=bytes(32)), NOW)


def test_validity_is_checked_before_keys_are_touched() -> None:
    with pytest.raises(errors.ExpiredGrantError):
        SEALED.open_as_sensor(replace(DEVICE, kek=bytes(32)), NOW + 11)
    with pytest.raises(errors.NotYetValidError):
        SEALED.open_as_host(host_key("lab"), NOW - 11)


def test_the_clock_is_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.time", lambda: NOW + 11.5)
    with pytest.raises(errors.ExpiredGrantError):
        SEALED.open_as_sensor(DEVICE)
    monkeypatch.setattr("time.time", lambda: NOW + 10.9)
    assert SEALED.open_as_sensor(DEVICE).epoch_key == EPOCH_KEY


def test_weak_rsa_keys_are_refused_everywhere() -> None:
    weak = rsa.generate_private_key(65537, 2048)
    with pytest.raises(errors.WeakKeyError, match="2048 bits; 3072 to 8192"):
        SEALED.open_as_host(weak, NOW)
    grant = with_hosts(ISSUED.grant, Recipient(Kind.HOST, "weak", thumbprint(weak.public_key())))
    with pytest.raises(errors.WeakKeyError, match="2048"):
        seal([grant], [EPOCH_KEY], DEVICE.kek, [weak.public_key()], ISSUER)


def with_hosts(grant: Grant, *hosts: Recipient) -> Grant:
    return replace(grant, recipients=(grant.recipients[0], *hosts))


def test_keys_and_claims_must_belong_together() -> None:
    lab, mobile = (host_key(name).public_key() for name in TERMS.hosts)
    other = Ed25519PrivateKey.generate()
    for keys in ([mobile, lab], [lab], [lab, mobile, lab]):
        with pytest.raises(ValueError, match="recipients"):
            seal([ISSUED.grant], [EPOCH_KEY], DEVICE.kek, keys, ISSUER)
    with pytest.raises(ValueError, match="issuer"):
        seal([ISSUED.grant], [EPOCH_KEY], DEVICE.kek, [lab, mobile], other)
    with pytest.raises(ValueError, match="commits"):
        seal([replace(ISSUED.grant, commitment=commitment(bytes(32)))], [EPOCH_KEY], DEVICE.kek, [lab, mobile], ISSUER)


def test_reading_a_file_names_it(tmp_path: Path) -> None:
    path = tmp_path / "sealed.bin"
    path.write_bytes(ISSUED.data)
    assert isinstance(read_sealed(path, ISSUER.public_key()), SealedGrant)
    path.write_bytes(ISSUED.data[:-1])
    with pytest.raises(errors.GrantFormatError, match=r"sealed\.bin: not a sealed key"):
        read_sealed(path, ISSUER.public_key())
    with pytest.raises(errors.UnknownIssuerError, match=r"sealed\.bin: signed by vault"):
        read_sealed(VECTORS / "sealed.bin", ISSUER.public_key())
    assert read_sealed(VECTORS / "sealed.bin", load_issuer(VECTORS / "issuer.pub")).grant.sensor == "cam-1"
    with pytest.raises(errors.InputError, match="cannot read sealed key"):
        read_sealed(tmp_path / "none.bin", ISSUER.public_key())
    with pytest.raises(errors.InputError, match="cannot read sealed key"):
        read_sealed(tmp_path, ISSUER.public_key())
