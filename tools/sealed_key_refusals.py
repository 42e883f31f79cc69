"""Sealed keys that must be refused, one failure each."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from keyvault import canonical, jws
from keyvault.claims import to_json
from keyvault.derivation import commitment
from keyvault.envelope import MAX_SEALED_BYTES
from keyvault.identity import ed25519_jwk
from sealed_key_bench import NOT_AFTER, NOT_BEFORE, NOW, Bench, secret, signing_key


@dataclass(frozen=True)
class Refusal:
    """One failure: the sealed key, who reads it when, and the error that must result."""

    name: str
    what: str
    error: str
    sealed: bytes
    opens: str = "sensor"
    now: int = NOW
    issuer: str = "issuer"

    def to_json(self) -> dict[str, Any]:
        """The members of the vector's file; ``issuer`` is the JWK to verify with."""
        return {
            "what": self.what,
            "error": self.error,
            "issuer": ed25519_jwk(signing_key(self.issuer).public_key()),
            "opens": self.opens,
            "now": self.now,
            "sealed": self.sealed.decode("utf-8"),
        }


def changed(text: bytes) -> bytes:
    """The text with another character in its middle."""
    middle = len(text) // 2
    return text[:middle] + (b"B" if text[middle : middle + 1] == b"A" else b"A") + text[middle + 1 :]


def damaged(bench: Bench, good: bytes) -> Iterator[Refusal]:
    """Sealed keys that were changed on their way."""
    header, payload, signature = good.split(b".")
    other = b".".join((header, payload, changed(signature)))
    yield Refusal("signature", "one character changed", "GrantSignatureError", other)
    other = b".".join((header, changed(payload), signature))
    yield Refusal("payload", "one character changed", "GrantSignatureError", other)
    yield Refusal("trailing-newline", "a line end after the signature", "GrantFormatError", good + b"\n")
    yield Refusal("trailing-bytes", "another part after the signature", "GrantFormatError", good + b".AAAA")
    yield Refusal("trailing-zero", "a zero byte after the signature", "GrantFormatError", good + b"\0")
    split = b".".join((header, payload[:100] + b"\n" + payload[100:], signature))
    yield Refusal("line-break", "a line break inside the payload", "GrantFormatError", split)
    standard = b".".join((header, payload, signature.replace(b"-", b"+").replace(b"_", b"/")))
    yield Refusal("other-alphabet", "base64 instead of base64url", "GrantFormatError", standard)
    long = b".".join((header, payload, canonical.b64url(bytes(65)).encode()))
    yield Refusal("long-signature", "a signature of 65 bytes", "GrantFormatError", long)
    big = b".".join((header, payload + b"A" * 4 * (MAX_SEALED_BYTES // 4), signature))
    yield Refusal("oversized-file", "more than 262,144 bytes", "GrantFormatError", big)
    yield Refusal("truncated", "the last 40 characters are missing", "GrantFormatError", good[:-40])
    yield Refusal("padded", "base64 padding", "GrantFormatError", good + b"==")
    last = bytes((signature[-1] + 1,))  # 86 characters hold 516 bits; the last four of them must be 0
    yield Refusal("trailing-bits", "non-zero trailing bits", "GrantFormatError", good[:-1] + last)
    for name, changes in {
        "algorithm-eddsa": {"alg": "EdDSA"},
        "algorithm-none": {"alg": "none"},
        "unknown-header": {"crit": ["exp"], "exp": 0},
        "version-2": {"v": 2},
        "version-true": {"v": True},
        "other-type": {"typ": "JWT"},
    }.items():
        fields = json.loads(canonical.unb64url(header.decode(), "header")) | changes
        signed = canonical.b64url(canonical.dumps(fields)).encode() + b"." + payload
        text = signed + b"." + canonical.b64url(bench.issuer.sign(signed)).encode()
        yield Refusal(name, f"header with {canonical.dumps(changes).decode()}", "GrantFormatError", text)


def foreign(bench: Bench, good: bytes) -> Iterator[Refusal]:
    """Sealed keys of others, for others or of another time."""
    stranger = jws.sign(canonical.unb64url(good.split(b".")[1].decode(), "payload"), signing_key("other issuer"))
    error = "UnknownIssuerError"
    yield Refusal("unknown-issuer", "signed by another vault", error, stranger)
    what = "signed again by another vault, which the reader trusts"
    yield Refusal("signed-again", what, error, stranger, issuer="other issuer")
    yield Refusal("other-device", "a device of another name", "WrongDeviceError", good, opens="other sensor")
    yield Refusal("enrolled-again", "a device of the same name", "WrongDeviceError", good, opens="same name")
    yield Refusal("other-host", "a host that is no recipient", "WrongHostError", good, opens="other host")
    alone = bench.range_for_hosts()
    yield Refusal("hosts-only", "a key for hosts alone, given to the sensor", "WrongDeviceError", alone)
    weak = "a host whose own RSA key has 2048 bits"
    yield Refusal("weak-reader", weak, "WeakKeyError", good, opens="weak")
    yield Refusal("expired", "one second late", "ExpiredGrantError", good, now=NOT_AFTER + 1)
    yield Refusal("not-yet-valid", "one second early", "NotYetValidError", good, opens="lab", now=NOT_BEFORE - 1)


def dishonest(bench: Bench) -> Iterator[Refusal]:
    """Sealed keys that the vault signed although they contradict themselves."""
    error = "GrantContentError"
    payload = bench.payload()
    parts = payload["recipients"]
    for name, what, recipients in (
        ("stripped-recipient", "the last host's part is missing", parts[:-1]),
        ("repeated-recipient", "the last host's part occurs twice", [*parts, parts[-1]]),
        ("swapped-recipients", "the hosts' parts are swapped", [parts[0], parts[2], parts[1]]),
        ("altered-kid", "a host's part names the other host", [*parts[:2], parts[2] | {"header": parts[1]["header"]}]),
        ("no-recipients", "no part at all", []),
    ):
        yield Refusal(name, what, error, bench.sign(payload | {"recipients": recipients}), opens="lab")
    extra = payload | {"unprotected": {"alg": "RSA1_5"}}
    yield Refusal("unprotected-header", "a shared unprotected header", error, bench.sign(extra))
    doubled = canonical.dumps(payload).replace(b'{"ciphertext"', b'{"ciphertext":"AAAA","ciphertext"', 1)
    yield Refusal("duplicate-member", "the ciphertext occurs twice", error, bench.sign(doubled))
    spaced = canonical.dumps(payload).replace(b":", b": ", 1)
    yield Refusal("white-space", "a space in the JSON", error, bench.sign(spaced))
    short = payload | {"tag": canonical.b64url(canonical.unb64url(payload["tag"], "tag")[:12])}
    yield Refusal("short-tag", "a tag of 12 bytes", error, bench.sign(short))
    inner: dict[str, dict[str, Any]] = {
        "compressed": {"zip": "DEF"},
        "other-encryption": {"enc": "A128GCM"},
        "inner-version-2": {"v": 2},
        "inner-type": {"typ": "JWT"},
    }
    for name, changes in inner.items():
        what = f"protected header with {canonical.dumps(changes).decode()}"
        yield Refusal(name, what, error, bench.with_protected(**changes))
    claims = to_json([bench.grant])
    policy = claims["policy"] | {"frame_keys": "fixed"}
    yield Refusal(
        "fixed-with-mask", "fixed keys and a mask", error, bench.with_protected(grant=claims | {"policy": policy})
    )
    yield Refusal(
        "unknown-claim", "a claim more than there are", error, bench.with_protected(grant=claims | {"right": "all"})
    )
    signer = canonical.b64url(signing_key("other sensor").public_key().public_bytes_raw())
    yield Refusal(
        "other-signer",
        "a signing key of another sensor",
        error,
        bench.with_protected(grant=claims | {"sensor_key": signer}),
    )
    late = bench.with_protected(grant=claims | {"not_after": NOT_AFTER + 1})
    yield Refusal("altered-claims", "claims changed after encryption", "UnsealError", late, opens="mobile")
    wrapped = bench.sign(bench.payload(kek=secret("other kek")))
    yield Refusal("other-kek", "wrapped under another device key", "UnsealError", wrapped)
    other = replace(bench.grant, commitment=commitment(secret("other epoch key")))
    committed = bench.sign(bench.payload(grant=other))
    yield Refusal("commitment", "a commitment to another key", "CommitmentError", committed, opens="mobile")
