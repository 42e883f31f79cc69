"""Sealed keys whose claims contradict the specification although everything else about them is right."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from keyvault import canonical
from keyvault.claims import MAX_EPOCHS, to_json
from keyvault.derivation import commitment
from keyvault.grant import MAX_HOSTS
from sealed_key_bench import NOT_AFTER, Bench, secret
from sealed_key_refusals import Refusal
from sealed_key_writer import Key, encrypt_claims

ERROR = "GrantContentError"


def claimed(bench: Bench) -> Iterator[Refusal]:
    """Claims out of their bounds, encrypted and signed as they are."""
    claims = to_json([bench.grant])
    recipients = claims["recipients"]
    policy = claims["policy"]
    for name, what, changes in (
        ("serial-zero", "serial 0", {"serial": 0}),
        ("serial-true", "a serial that is true", {"serial": True}),
        ("oversized-serial", "serial 2^53 - 1 written as text", {"serial": str(2**53 - 1)}),
        ("min-epoch-above", "min_epoch above the epoch", {"min_epoch": 4}),
        ("status-age-zero", "status_max_age 0", {"status_max_age": 0}),
        ("validity-reversed", "it ends before it begins", {"not_before": NOT_AFTER + 1}),
        ("validity-year-10000", "not_after in the year 10000", {"not_after": 253_402_300_800}),
        ("oversized-name", "a sensor's name of 65 letters", {"sensor": "c" * 65}),
        ("name-path", "a sensor's name that is a path", {"sensor": "../cam"}),
        ("no-epochs", "no epoch", {"epochs": []}),
        ("epoch-zero", "epoch 0", {"epochs": [claims["epochs"][0] | {"epoch": 0}]}),
        ("oversized-epoch", "epoch 2^32", {"epochs": [claims["epochs"][0] | {"epoch": 2**32}]}),
        ("short-commitment", "a commitment of 31 bytes", {"epochs": [{"commitment": "A" * 42, "epoch": 3}]}),
        ("claimed-nobody", "no recipient in the claims", {"recipients": []}),
        ("sensor-last", "the sensor is the last recipient", {"recipients": [*recipients[1:], recipients[0]]}),
        ("host-twice", "a host twice", {"recipients": [*recipients[:2], recipients[1]]}),
        ("host-same-name", "two hosts of one name", {"recipients": [*recipients[:2], recipients[2] | {"name": "lab"}]}),
        (
            "kind-unknown",
            "a recipient that is a dog",
            {"recipients": [recipients[0] | {"kind": "dog"}, *recipients[1:]]},
        ),
        ("policy-unknown", "an unknown protection", {"policy": policy | {"protection": "none"}}),
        ("policy-odd", "a mosaic of odd width", {"policy": policy | {"width": 1921}}),
        ("oversized-picture", "70,000 photosites a row", {"policy": policy | {"width": 70_000}}),
    ):
        yield Refusal(name, what, ERROR, bench.with_claims(**changes))
    other = bench.with_claims(issuer=claims["sensor_key"])
    yield Refusal("issuer-other", "signed by the trusted vault, claimed for another", "UnknownIssuerError", other)
    yield _too_many_hosts(bench)


def ranges(bench: Bench) -> Iterator[Refusal]:
    """Files of several epochs that do not follow one another, are too many, or are for a sensor."""
    for name, what, epochs in (
        ("epochs-unsorted", "epochs 4, 3, 5", (4, 3, 5)),
        ("epochs-twice", "epochs 3, 3, 4", (3, 3, 4)),
        ("epochs-gap", "epochs 3, 5", (3, 5)),
        ("epochs-too-many", f"{MAX_EPOCHS + 1} epochs", tuple(range(3, 4 + MAX_EPOCHS))),
    ):
        yield Refusal(name, what, ERROR, _range(bench, epochs), opens="lab")
    what = "two epochs in a file for the sensor"
    yield Refusal("range-for-sensor", what, ERROR, _range(bench, (3, 4), sensor=True))
    what = "the commitments of two epochs are swapped"
    yield Refusal("epochs-swapped", what, "CommitmentError", _range(bench, (3, 4), keys=(4, 3)), opens="lab")


def _range(bench: Bench, epochs: tuple[int, ...], *, sensor: bool = False, keys: tuple[int, ...] = ()) -> bytes:
    claims: dict[str, Any] = to_json([bench.grant])
    claims["epochs"] = [
        {"commitment": canonical.b64url(commitment(secret(f"epoch key {epoch}"))), "epoch": epoch} for epoch in epochs
    ]
    if not sensor:
        del claims["recipients"][0]
    plaintext = b"".join(secret(f"epoch key {epoch}") for epoch in keys or epochs)
    whom: list[Key] = [*([bench.device.kek] if sensor else []), *bench.publics]
    headers = [part["header"] for part in bench.payload()["recipients"]][-len(whom) :]
    return bench.sign(encrypt_claims(claims, plaintext, list(zip(headers, whom, strict=True))))


def _too_many_hosts(bench: Bench) -> Refusal:
    claims = to_json([bench.grant])
    kids = [canonical.b64url(secret(f"host {at}")) for at in range(MAX_HOSTS + 1)]
    claims["recipients"] = [{"kid": kid, "kind": "host", "name": f"host-{at}"} for at, kid in enumerate(kids)]
    parts: list[tuple[dict[str, str], Key]] = [({"alg": "RSA-OAEP-256", "kid": kid}, bench.publics[0]) for kid in kids]
    sealed = bench.sign(encrypt_claims(claims, bench.epoch_key, parts))
    return Refusal("hosts-too-many", f"{MAX_HOSTS + 1} hosts", ERROR, sealed, opens="lab")
