"""We open what joserfc and node's jose write by the specification; they open our ranges and status lists."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from jose_writers import HERE, Order, compact, joserfc_seal, joserfc_sign, node, node_job, node_seal, node_sign
from joserfc import jwe, jws
from joserfc.jwk import OKPKey, RSAKey
from parties import DEVICE, ISSUER, NOW, VECTORS, host_key, issued

from keyvault import errors, status_list
from keyvault.claims import to_json
from keyvault.envelope import verify
from keyvault.hosts import public_pem
from keyvault.identity import thumbprint
from keyvault.status_list import StatusList

SEALERS = {"joserfc": joserfc_seal, "node": node_seal}
SIGNERS = {"joserfc": joserfc_sign, "node": node_sign}
STATUS = StatusList(
    thumbprint(ISSUER.public_key()),
    9,
    NOW,
    NOW + 60,
    hosts={thumbprint(host_key("lab").public_key()): "lab"},
    disabled=frozenset({"00000000000000ff", "aaaaaaaaaaaaaaaa"}),
    min_epochs={"cam": 4},
)
Sealer = Callable[[Order, Ed25519PrivateKey], bytes]
Signer = Callable[[str, Ed25519PrivateKey, str], bytes]


def for_all(**changes: Any) -> Order:
    """The order for a sealed key for the sensor and both hosts, with other claims if given."""
    grant, key = issued().grant, verify(issued().data, ISSUER.public_key()).open_as_sensor(DEVICE, NOW).epoch_key
    keys = [DEVICE.kek, *(host_key(host.name).public_key() for host in grant.hosts)]
    kids = [recipient.kid for recipient in grant.recipients]
    return Order(to_json([grant]) | changes, key, list(zip(kids, keys, strict=True)))


def for_hosts() -> Order:
    """The order for a sealed key of the range of the vectors, for both hosts."""
    expected = json.loads((VECTORS / "range.json").read_text())
    keys = [host_key(name).public_key() for name in ("lab", "mobile")]
    claims = expected["grant"] | {"issuer": thumbprint(ISSUER.public_key())}
    return Order(claims, bytes.fromhex("".join(expected["epoch_keys"])), [(thumbprint(key), key) for key in keys])


@pytest.mark.parametrize("seal", SEALERS.values(), ids=SEALERS)
def test_we_open_their_sealed_keys(seal: Sealer) -> None:
    order = for_all()
    sealed = verify(seal(order, ISSUER), ISSUER.public_key())
    assert to_json(sealed.grants) == order.claims
    assert sealed.open_as_sensor(DEVICE, NOW).epoch_key == order.epoch_keys
    for name in ("lab", "mobile"):
        assert sealed.open_as_host(host_key(name), NOW)[0].epoch_key == order.epoch_keys


@pytest.mark.parametrize("seal", SEALERS.values(), ids=SEALERS)
def test_we_open_their_ranges(seal: Sealer) -> None:
    order = for_hosts()
    sealed = verify(seal(order, ISSUER), ISSUER.public_key())
    assert [grant.epoch for grant in sealed.grants] == [3, 4, 5, 6, 7]
    for name in ("lab", "mobile"):
        assert b"".join(one.epoch_key for one in sealed.open_as_host(host_key(name), NOW)) == order.epoch_keys


@pytest.mark.parametrize("seal", SEALERS.values(), ids=SEALERS)
def test_we_refuse_what_they_write_against_the_specification(seal: Sealer) -> None:
    with pytest.raises(errors.GrantContentError):
        verify(seal(for_all(serial=0), ISSUER), ISSUER.public_key())
    with pytest.raises(errors.GrantContentError):
        verify(seal(for_all(recipients=for_all().claims["recipients"][:2]), ISSUER), ISSUER.public_key())
    other = verify(
        seal(for_all(epochs=[for_all().claims["epochs"][0] | {"commitment": "A" * 43}]), ISSUER), ISSUER.public_key()
    )
    with pytest.raises(errors.CommitmentError):
        other.open_as_sensor(DEVICE, NOW)


def test_joserfc_opens_our_range() -> None:
    expected = json.loads((VECTORS / "range.json").read_text())
    issuer = OKPKey.import_key((VECTORS / "issuer.pub").read_bytes())
    registry = jws.JWSRegistry(algorithms=["Ed25519"], strict_check_header=False)
    message = json.loads(
        jws.deserialize_compact((VECTORS / "range.bin").read_bytes(), issuer, registry=registry).payload
    )
    recipients = message.pop("recipients")
    own = jwe.JWERegistry(algorithms=["RSA-OAEP-256", "A256GCM"], strict_check_header=False)
    own.max_protected_header_length = 8192
    for part, name in zip(recipients, ("lab", "mobile"), strict=True):
        key = RSAKey.import_key((VECTORS / f"{name}.pem").read_bytes())
        opened = jwe.decrypt_json(message | part, key, registry=own)
        assert opened.plaintext is not None
        assert opened.plaintext.hex() == "".join(expected["epoch_keys"])


def test_node_opens_our_range() -> None:
    expected = json.loads((VECTORS / "range.json").read_text())
    files = [VECTORS / "range.bin", VECTORS / "issuer.pub", "-", VECTORS / "lab.pem", VECTORS / "mobile.pem"]
    done = subprocess.run([node(), HERE / "jose_check.mjs", *files], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    read = json.loads(done.stdout)
    assert read["keys"] == ["".join(expected["epoch_keys"])] * 2
    assert read["claims"] == expected["grant"]


@pytest.mark.parametrize("sign", SIGNERS.values(), ids=SIGNERS)
def test_we_read_their_status_lists(sign: Signer) -> None:
    text = sign(compact(STATUS.to_json()), ISSUER, "privcam-status+jws")
    assert text == status_list.sign(STATUS, ISSUER)  # Ed25519 signs the same bytes the same way
    assert status_list.verify(text, ISSUER.public_key()) == STATUS
    with pytest.raises(errors.StatusListError):
        status_list.verify(sign(compact(STATUS.to_json()), ISSUER, "JWT"), ISSUER.public_key())
    spaced = json.dumps(STATUS.to_json(), sort_keys=True)
    with pytest.raises(errors.StatusContentError):
        status_list.verify(sign(spaced, ISSUER, "privcam-status+jws"), ISSUER.public_key())


def test_joserfc_verifies_our_status_list() -> None:
    issuer = OKPKey.import_key(public_pem(ISSUER.public_key()))
    registry = jws.JWSRegistry(algorithms=["Ed25519"], strict_check_header=False)
    signed = jws.deserialize_compact(status_list.sign(STATUS, ISSUER), issuer, registry=registry)
    assert json.loads(signed.payload) == STATUS.to_json()
    assert signed.headers()["typ"] == "privcam-status+jws"


def test_node_verifies_our_status_list() -> None:
    job = {"verify": status_list.sign(STATUS, ISSUER).decode(), "spki": public_pem(ISSUER.public_key()).decode()}
    read = json.loads(node_job(job))
    assert json.loads(read["payload"]) == STATUS.to_json()
    assert read["header"] == {"alg": "Ed25519", "kid": STATUS.issuer, "typ": "privcam-status+jws", "v": 1}
