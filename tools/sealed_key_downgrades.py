"""Sealed keys that ask for weaker algorithms or spell their content in another way, one each, to be refused."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Iterator
from typing import Any

from keyvault import canonical
from keyvault.claims import to_json
from keyvault.hosts import public_pem
from sealed_key_bench import Bench, host_key, secret
from sealed_key_refusals import Refusal
from sealed_key_writer import Key, encrypt_claims, wrap, wrap_pkcs1

FORMAT, CONTENT = "GrantFormatError", "GrantContentError"


def downgraded(bench: Bench, good: bytes) -> Iterator[Refusal]:
    """Weaker algorithms in each of the places where JOSE names one, and other spellings."""
    yield from _signatures(bench, good)
    yield from _recipients(bench)
    yield from _members(bench)
    yield from _spellings(bench)


def _signatures(bench: Bench, good: bytes) -> Iterator[Refusal]:
    header, payload, _ = good.split(b".")
    fields = json.loads(canonical.unb64url(header.decode(), "header"))

    def headed(changes: dict[str, Any]) -> bytes:
        return canonical.b64url(canonical.dumps(fields | changes)).encode() + b"." + payload

    yield Refusal("unsigned", "alg none and no signature", FORMAT, headed({"alg": "none"}) + b".")
    yield Refusal(
        "signature-removed", "the header is right, the signature empty", FORMAT, b".".join((header, payload, b""))
    )
    signed = headed({"alg": "HS256"})
    for name, key in (
        ("hs256-raw", bench.issuer.public_key().public_bytes_raw()),
        ("hs256-pem", public_pem(bench.issuer.public_key())),
    ):
        mac = canonical.b64url(hmac.digest(key, signed, hashlib.sha512)).encode()
        what = "alg HS256, a MAC of 64 bytes under the issuer's public key"
        yield Refusal(name, what, FORMAT, signed + b"." + mac)
    additions: dict[str, dict[str, Any]] = {
        "header-crit": {"crit": ["b64"], "b64": False},
        "header-jwk": {"jwk": {"crv": "Ed25519", "kty": "OKP", "x": "A" * 43}},
        "header-zip": {"zip": "DEF"},
    }
    for name, changes in additions.items():
        signed = headed(changes)
        text = signed + b"." + canonical.b64url(bench.issuer.sign(signed)).encode()
        yield Refusal(name, f"header with {canonical.dumps(changes).decode()}", FORMAT, text)
    again = headed({}).replace(
        header, canonical.b64url(canonical.dumps(fields).replace(b'{"alg"', b'{"alg":"none","alg"')).encode()
    )
    text = again + b"." + canonical.b64url(bench.issuer.sign(again)).encode()
    yield Refusal("header-duplicate", "alg occurs twice in the header", FORMAT, text)


def _recipients(bench: Bench) -> Iterator[Refusal]:
    """Parts that their host could open if it took the algorithm they name."""
    content_key = secret("content key")
    lab, weak = bench.publics[0], host_key("weak", 2048).public_key()
    for name, what, algorithm, wrapped in (
        ("rsa-oaep-sha1", "RSA-OAEP with SHA-1", "RSA-OAEP", wrap(content_key, lab, "sha1")),
        ("rsa1-5", "RSA1_5", "RSA1_5", wrap_pkcs1(content_key, lab)),
        ("rsa-oaep-512", "RSA-OAEP-512", "RSA-OAEP-512", wrap(content_key, lab, "sha512")),
        ("algorithm-swap", "a host's part says A256KW", "A256KW", wrap(content_key, lab)),
        ("direct", "a host's part says dir", "dir", wrap(content_key, lab)),
        ("rsa-2048", "a part as long as a modulus of 2048 bits", "RSA-OAEP-256", wrap(content_key, weak)),
        ("oversized-part", "a part of 1025 bytes", "RSA-OAEP-256", bytes(1025)),
    ):
        payload = bench.payload()
        payload["recipients"][1]["header"]["alg"] = algorithm
        payload["recipients"][1]["encrypted_key"] = canonical.b64url(wrapped)
        yield Refusal(name, what, CONTENT, bench.sign(payload), opens="lab")
    for name, what, extra in (
        ("part-password", "a part with p2c", {"p2c": 1}),
        ("part-ephemeral", "a part with epk", {"epk": {}}),
    ):
        payload = bench.payload()
        payload["recipients"][1]["header"] |= extra
        yield Refusal(name, what, CONTENT, bench.sign(payload), opens="lab")
    payload = bench.payload()
    kid = payload["recipients"][0]["header"]["kid"]
    payload["recipients"][0] = {
        "header": {"alg": "RSA-OAEP-256", "kid": kid},
        "encrypted_key": canonical.b64url(wrap(content_key, lab)),
    }
    yield Refusal("sensor-by-rsa", "the sensor's part says RSA-OAEP-256", CONTENT, bench.sign(payload))
    short = encrypt_claims(to_json([bench.grant]), bench.epoch_key, _parts(bench), content_bytes=16)
    short["recipients"][0]["encrypted_key"] = bench.payload()["recipients"][0]["encrypted_key"]
    yield Refusal("short-content-key", "a content key of 16 bytes", "UnsealError", bench.sign(short), opens="lab")
    other = bench.payload()
    other["recipients"][1]["encrypted_key"] = canonical.b64url(wrap_pkcs1(content_key, lab))
    yield Refusal("disguised-rsa1-5", "RSA1_5 that says RSA-OAEP-256", "UnsealError", bench.sign(other), opens="lab")


def _parts(bench: Bench) -> list[tuple[dict[str, str], Key]]:
    keys: list[Key] = [bench.device.kek, *bench.publics]
    return [(part["header"], key) for part, key in zip(bench.payload()["recipients"], keys, strict=True)]


def _members(bench: Bench) -> Iterator[Refusal]:
    """Members of the JWE of other sizes, and members that none may have."""
    payload = bench.payload()
    for name, what, changes in (
        ("long-iv", "a nonce of 16 bytes", {"iv": canonical.b64url(bytes(16))}),
        ("long-tag", "a tag of 17 bytes", {"tag": canonical.b64url(bytes(17))}),
        ("oversized-ciphertext", "a ciphertext of 64 bytes for one epoch", {"ciphertext": canonical.b64url(bytes(64))}),
        ("oversized-field", "a ciphertext of 8,224 bytes", {"ciphertext": canonical.b64url(bytes(8224))}),
        ("associated-data", "a member aad", {"aad": "AAAA"}),
        ("recipients-object", "recipients is an object", {"recipients": {}}),
        ("iv-number", "iv is a number", {"iv": 5}),
    ):
        yield Refusal(name, what, CONTENT, bench.sign(payload | changes))
    flat = {key: value for key, value in payload.items() if key != "recipients"} | payload["recipients"][0]
    yield Refusal("flattened", "the flattened serialization", CONTENT, bench.sign(flat))
    for name in ("iv", "tag"):
        octets = bytearray(canonical.unb64url(payload[name], name))
        octets[0] ^= 1
        changed = bench.sign(payload | {name: canonical.b64url(bytes(octets))})
        yield Refusal(f"altered-{name}", f"another {name}, signed", "UnsealError", changed)


def _spellings(bench: Bench) -> Iterator[Refusal]:
    """What means the same to a lax reader, signed."""
    payload = bench.payload()
    text = canonical.dumps(payload)
    iv, tag = payload["iv"], payload["tag"]
    for name, what, old, new in (
        ("inner-padded", "base64 padding in the tag", f'"{tag}"', f'"{tag}=="'),
        (
            "inner-trailing-bits",
            "non-zero trailing bits in the tag",
            f'"{tag}"',
            f'"{tag[:-1]}{chr(ord(tag[-1]) + 1)}"',
        ),
        ("inner-white-space", "a space in the nonce's base64", f'"{iv}"', f'"{iv[:8]} {iv[8:]}"'),
        ("inner-escape", "an escaped letter", '"alg"', '"\\u0061lg"'),
        ("inner-order", "members out of order", f'"iv":"{iv}",', ""),
        ("inner-trailing", "a line end after the JSON", '"}', '"}\n'),
    ):
        changed = new.join(text.decode().rsplit(old, 1))
        if name == "inner-order":
            changed = '{"iv":"' + iv + '",' + changed[1:]
        yield Refusal(name, what, CONTENT, bench.sign(changed.encode()))
    marked = b"\xef\xbb\xbf" + text
    yield Refusal("byte-order-mark", "a byte order mark before the JSON", CONTENT, bench.sign(marked))
    yield Refusal("utf-16", "the JSON in UTF-16", CONTENT, bench.sign(text.decode().encode("utf-16-le")))
    protected = canonical.unb64url(payload["protected"], "protected")
    for name, what, old, new in (
        ("protected-duplicate", "enc occurs twice in the protected header", '{"enc"', '{"enc":"dir","enc"'),
        ("claim-duplicate", "serial occurs twice in the claims", '"serial":7', '"serial":8,"serial":7'),
        ("claim-fraction", "a serial of 7.0", '"serial":7', '"serial":7.0'),
        ("claim-exponent", "a serial of 7e0", '"serial":7', '"serial":7e0'),
    ):
        changed = protected.decode().replace(old, new)
        respelt = payload | {"protected": canonical.b64url(changed.encode())}
        yield Refusal(name, what, CONTENT, bench.sign(respelt))
