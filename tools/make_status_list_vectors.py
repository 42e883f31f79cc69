"""Write the vectors of docs/spec/status_list.md to tests/vectors/status_list/; the same files at every run."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from keyvault import canonical, jws
from keyvault.identity import ed25519_jwk, thumbprint
from keyvault.status_list import StatusList
from sealed_key_bench import FOLDER as SEALED_KEY_FOLDER
from sealed_key_bench import NOW, SENSOR, signing_key, write_files

FOLDER = SEALED_KEY_FOLDER.parent / "status_list"
ISSUER = signing_key("issuer")
HOST, GONE = "A" * 43, "B" * 43
FORMAT, CONTENT = "StatusListError", "StatusContentError"


@dataclass(frozen=True)
class Case:
    """A text, who is trusted, and what results: an error, or the list when ``error`` is null."""

    name: str
    what: str
    error: str | None
    status: bytes
    issuer: str = "issuer"

    def to_json(self) -> dict[str, Any]:
        """The members of the vector's file."""
        return {
            "what": self.what,
            "error": self.error,
            "issuer": ed25519_jwk(signing_key(self.issuer).public_key()),
            "status": self.status.decode("utf-8"),
        }


def empty() -> dict[str, Any]:
    """The members of a list that names nobody."""
    return StatusList(thumbprint(ISSUER.public_key()), 5, NOW, NOW + 86_400).to_json()


def full() -> dict[str, Any]:
    """The members of a list with two of everything."""
    return empty() | {
        "disabled": ["00000000000000ff", "aaaaaaaaaaaaaaaa"],
        "hosts": {HOST: "lab", GONE: "mobile"},
        "min_epochs": {SENSOR: 4, "cam-9": 2},
        "number": 9,
        "sensors": {HOST: "cam-8", GONE: "cam-9"},
    }


def signed(payload: dict[str, Any] | bytes, name: str = "issuer", document: jws.Document = jws.STATUS_LIST) -> bytes:
    """Any payload, signed as a list."""
    data = payload if isinstance(payload, bytes) else canonical.dumps(payload)
    return jws.sign(data, signing_key(name), document)


def headed(**changes: Any) -> bytes:
    """A list under another header, well signed."""
    header = {"alg": "Ed25519", "kid": thumbprint(ISSUER.public_key()), "typ": "privcam-status+jws", "v": 1}
    text = f"{canonical.b64url(canonical.dumps(header | changes))}.{canonical.b64url(canonical.dumps(full()))}".encode()
    return text + b"." + canonical.b64url(ISSUER.sign(text)).encode()


def cases() -> Iterator[Case]:
    """Every vector."""
    yield Case("accept-empty", "nobody is named", None, signed(empty()))
    yield Case("accept-full", "two of everything", None, signed(full()))
    largest = empty() | {"number": 2**53 - 1, "issued": 0, "min_epochs": {"c" * 64: 2**32 - 1}}
    yield Case("accept-bounds", "numbers and names as large as they may be", None, signed(largest))
    yield from forms(signed(full()))
    yield from foreign()
    yield from contents()


def forms(good: bytes) -> Iterator[Case]:
    """What is not a list, or was changed."""
    header, payload, signature = good.split(b".")
    for name, what, status in (
        ("trailing-newline", "a line end after the signature", good + b"\n"),
        ("trailing-bytes", "another part after the signature", good + b".AAAA"),
        ("truncated", "the last 40 characters are missing", good[:-40]),
        ("padded", "base64 padding", good + b"=="),
        ("trailing-bits", "non-zero trailing bits", good[:-1] + bytes((signature[-1] + 1,))),
        (
            "line-break",
            "a line break inside the payload",
            b".".join((header, payload[:9] + b"\n" + payload[9:], signature)),
        ),
        ("unsigned", "an empty signature", b".".join((header, payload, b""))),
        ("sealed-key", "the same members, signed as a sealed key", signed(full(), document=jws.SEALED_KEY)),
        ("algorithm-none", "alg none", headed(alg="none")),
        ("algorithm-hs256", "alg HS256", headed(alg="HS256")),
        ("algorithm-eddsa", "alg EdDSA", headed(alg="EdDSA")),
        ("header-crit", "a header with crit", headed(crit=["b64"], b64=False)),
        ("header-zip", "a header with zip", headed(zip="DEF")),
        ("version-2", "version 2", headed(v=2)),
        ("other-type", "typ JWT", headed(typ="JWT")),
    ):
        yield Case(name, what, FORMAT, status)
    other = b"B" if payload[100:101] == b"A" else b"A"
    changed = b".".join((header, payload[:100] + other + payload[101:], signature))
    yield Case("payload", "one character changed", "StatusSignatureError", changed)
    swapped = b".".join((header, payload, signed(empty()).rpartition(b".")[2]))
    yield Case("signature", "the signature of another list", "StatusSignatureError", swapped)


def foreign() -> Iterator[Case]:
    """Lists of other vaults."""
    error = "UnknownIssuerError"
    yield Case("unknown-issuer", "signed by another vault", error, signed(full(), "other issuer"))
    what = "signed again by another vault, which the reader trusts"
    yield Case("signed-again", what, error, signed(full(), "other issuer"), "other issuer")


def contents() -> Iterator[Case]:
    """Lists that the vault signed although they contradict the specification."""
    for name, what, changes in (
        ("unknown-member", "a member more than there are", {"note": ""}),
        ("number-zero", "number 0", {"number": 0}),
        ("number-true", "a number that is true", {"number": True}),
        ("oversized-number", "number 2^53 - 1 written as text", {"number": str(2**53 - 1)}),
        ("issued-negative", "issued before 1970", {"issued": -1}),
        ("update-before-issue", "the next one is due before this one", {"next_update": NOW - 1}),
        ("disabled-unsorted", "disabled key ids out of order", {"disabled": ["a" * 16, "0" * 16]}),
        ("disabled-twice", "a disabled key id twice", {"disabled": ["a" * 16, "a" * 16]}),
        ("disabled-upper-case", "a key id in upper case", {"disabled": ["A" * 16]}),
        ("disabled-object", "disabled is an object", {"disabled": {}}),
        ("hosts-list", "hosts is a list", {"hosts": ["lab"]}),
        ("host-short-kid", "a key id of 42 characters", {"hosts": {"A" * 42: "lab"}}),
        ("oversized-name", "a name of 65 letters", {"hosts": {HOST: "h" * 65}}),
        ("name-path", "a name that is a path", {"sensors": {HOST: "../cam"}}),
        ("min-epoch-1", "a first epoch of 1", {"min_epochs": {SENSOR: 1}}),
        ("oversized-epoch", "a first epoch of 2^32", {"min_epochs": {SENSOR: 2**32}}),
    ):
        yield Case(name, what, CONTENT, signed(full() | changes))
    missing = {key: value for key, value in full().items() if key != "disabled"}
    yield Case("missing-member", "disabled is left out", CONTENT, signed(missing))
    text = canonical.dumps(full())
    for name, what, old, new in (
        ("duplicate-member", "number occurs twice", b'"number":9', b'"number":8,"number":9'),
        ("white-space", "a space in the JSON", b'"number":9', b'"number": 9'),
        ("fraction", "a number of 9.0", b'"number":9', b'"number":9.0'),
        ("escape", "an escaped letter", b'"lab"', b'"\\u006cab"'),
    ):
        yield Case(name, what, CONTENT, signed(text.replace(old, new, 1)))


def files() -> dict[str, str]:
    """Every vector by the name of its file."""
    return {f"{case.name}.json": json.dumps(case.to_json(), indent=2) + "\n" for case in cases()}


def main() -> None:
    """Write every vector."""
    write_files(FOLDER, ".", files())


if __name__ == "__main__":
    main()
