"""One file for several epochs: its hosts can compute these epochs' keys and no other."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from parties import DEVICE, ISSUER, NOW, TERMS, host_key, issued, stranger

from keyvault import claims, envelope
from keyvault.canonical import dumps, unb64url
from keyvault.derivation import derive_epoch_key
from keyvault.errors import GrantContentError, InputError, UnsealError, WrongDeviceError, WrongHostError
from keyvault.issuing import Delivery, EpochSeed, Issued
from keyvault.jws import sign

SALTS = {number: number.to_bytes(32, "big") for number in range(1, 300)}


def span(first: int, last: int, **changes: object) -> Issued:
    """Epochs first to last for the hosts of TERMS alone."""
    epochs = tuple(EpochSeed(number, SALTS[number]) for number in range(first, last + 1))
    return issued(TERMS, replace(Delivery(epochs, serial=9, min_epoch=2, for_sensor=False), **changes))


def payload(data: bytes) -> dict:
    value: dict = json.loads(unb64url(data.split(b".")[1].decode(), "payload"))
    return value


def claiming(value: dict, other: Issued) -> bytes:
    """A signed payload with the protected header of another file."""
    return sign(dumps(value | {"protected": payload(other.data)["protected"]}), ISSUER)


def test_hosts_open_every_epoch_of_the_range_and_each_equals_the_epochs_own_file() -> None:
    sealed = envelope.verify(span(3, 7).data, ISSUER.public_key())
    for name in TERMS.hosts:
        opened = sealed.open_as_host(host_key(name), NOW)
        assert [one.grant.epoch for one in opened] == [3, 4, 5, 6, 7]
        for one in opened:
            alone = issued(TERMS, Delivery((EpochSeed(one.grant.epoch, SALTS[one.grant.epoch]),), serial=1))
            (single,) = envelope.verify(alone.data, ISSUER.public_key()).open_as_host(host_key(name), NOW)
            assert one.epoch_key == single.epoch_key
            assert one.grant.key_id == single.grant.key_id
            assert one.grant.min_epoch == 2


def test_no_other_epoch_follows_from_a_range() -> None:
    sealed = envelope.verify(span(3, 5).data, ISSUER.public_key())
    keys = {one.epoch_key for one in sealed.open_as_host(host_key("lab"), NOW)}
    others = {derive_epoch_key(b"r" * 32, "cam", number, SALTS[number]) for number in (1, 2, 6, 7)}
    assert len(keys) == 3
    assert not keys & others


def test_a_range_is_not_for_the_sensor_nor_for_other_hosts() -> None:
    sealed = envelope.verify(span(3, 7).data, ISSUER.public_key())
    assert sealed.grant.for_sensor is None
    assert sealed.grant.sealed_for() == "hosts lab, mobile"
    with pytest.raises(WrongDeviceError, match="sealed for hosts lab, mobile"):
        sealed.open_as_sensor(DEVICE, NOW)
    with pytest.raises(WrongHostError, match="sealed for hosts lab, mobile"):
        sealed.open_as_host(stranger(), NOW)


def test_what_cannot_be_one_file_is_not_sealed() -> None:
    with pytest.raises(InputError, match="for one epoch"):
        span(3, 4, for_sensor=True)
    with pytest.raises(InputError, match="1 to 256 epochs, not 257"):
        span(2, 258)
    with pytest.raises(InputError, match="min_epoch 4"):
        span(3, 7, min_epoch=4)
    with pytest.raises(InputError, match="epoch 5 does not follow epoch 3"):
        issued(TERMS, Delivery((EpochSeed(3, SALTS[3]), EpochSeed(5, SALTS[5])), serial=1, for_sensor=False))
    with pytest.raises(InputError, match="not 0"):
        claims.check([])
    first, second = span(3, 4).grants
    with pytest.raises(InputError, match="differ in more than their keys"):
        claims.check([first, replace(second, serial=10)])


def test_the_longest_range_fits_a_file() -> None:
    data = span(2, 257).data
    assert len(data) < envelope.MAX_SEALED_BYTES
    assert len(envelope.verify(data, ISSUER.public_key()).grants) == 256


@pytest.mark.parametrize("epochs", [[], {}, None, [{"epoch": 3}], ["3"], [None]])
def test_epochs_of_a_wrong_form_are_refused(epochs: object) -> None:
    with pytest.raises(InputError):
        claims.from_json(claims.to_json(span(3, 4).grants) | {"epochs": epochs})


def test_claims_of_other_epochs_than_are_encrypted_are_refused() -> None:
    value = payload(span(3, 5).data)
    with pytest.raises(GrantContentError, match="ciphertext has 96 bytes"):
        envelope.verify(claiming(value, span(3, 4)), ISSUER.public_key())
    sealed = envelope.verify(claiming(value, span(4, 6)), ISSUER.public_key())
    with pytest.raises(UnsealError, match="epochs 4 to 6 of sensor cam"):
        sealed.open_as_host(host_key("lab"), NOW)
