"""Changes to files of the key vault that know their structure: JSON members, base64 segments, sizes, bytes.

A change that keeps a text well formed gets further into a reader than a flipped bit does.  What is
encoded is decoded, changed and encoded again: the segments of a JWS, the JSON in them, the strings
of that JSON.  Which change is made is drawn from a generator of random numbers, so that the same
numbers give the same change.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from random import Random
from typing import Any

from keyvault import canonical
from keyvault.errors import InputError

MAX_GROWTH = 4096
ODD_VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, 1, -1, 2, 65_535, 65_536, 2**31, 2**32 - 1, 2**32, 2**53 - 1, 2**53, -(2**63), 10**400),
    *(0.5, 1e308, "", "A", "AA", "AB", "AAAA", "A" * 43, "A" * 44, "=", "AA==", "A\n", " ", ".", "..", "/", "a" * 64),
    *("none", "HS256", "RSA1_5", "RSA-OAEP", "dir", "DEF", "sensor", "host", "frame", "band:0", "band:2", "fixed"),
    *("\u0661", "\ud800", "\x1b[2J", "0" * 16, "cam-1", [], {}, [[]], [{}], {"": None}, {"a": {"b": []}}, {"\xe9": 1}),
)
ODD_MEMBERS = (
    "crit",
    "zip",
    "b64",
    "jwk",
    "jku",
    "x5c",
    "aad",
    "unprotected",
    "header",
    "kid",
    "alg",
    "v",
    "typ",
    "\xe9",
)
ODD_TEXTS = (b'"\\u0041"', b"1.0", b"1e2", b"-0", b"01", b"NaN", b"Infinity", b" 1", b"[" * 2000, b'{"a":' * 2000)


def mutate(data: bytes, random: Random) -> bytes:
    """The data with one to three changes, at most 4 KiB longer each."""
    for _ in range(random.choice((1, 1, 1, 2, 3))):
        kinds: list[Callable[[bytes, Random], bytes | None]] = [_segments, _lines, _json, _bytes]
        random.shuffle(kinds)
        changed = next(found for kind in (*kinds, _bytes) if (found := kind(data, random)) is not None)
        data = changed[: len(data) + MAX_GROWTH]
    return data


def _segments(data: bytes, random: Random) -> bytes | None:
    """One segment of a compact JWS changed, or their number; None if it is not one."""
    parts = data.split(b".")
    if len(parts) != 3:
        return None
    at = random.randrange(3)
    match random.randrange(6):
        case 0:
            return b".".join(parts[:at] + parts[at + 1 :])
        case 1:
            return b".".join([*parts, parts[at]])
        case 2:
            parts[at] = parts[at - 1]
        case _:
            parts[at] = _encoded(parts[at], random)
    return b".".join(parts)


def _lines(data: bytes, random: Random) -> bytes | None:
    """The first line or the rest of a file of several changed; None if there is one line."""
    head, newline, rest = data.partition(b"\n")
    if not newline:
        return None
    if random.random() < 0.7:
        return mutate_once(head, random) + newline + rest
    return head + newline + _bytes(rest, random)


def _encoded(text: bytes, random: Random) -> bytes:
    """Base64url of something else, or another spelling of it."""
    match random.randrange(5):
        case 0:
            return text + random.choice((b"=", b"==", b"A", b"\n", b" ", b"!", b"AAAA"))
        case 1 if text:
            return text[:-1] + bytes((text[-1] ^ 1,))  # perhaps the trailing bits
        case 2:
            return text.replace(b"-", b"+").replace(b"_", b"/")
        case _:
            try:
                return canonical.b64url(mutate_once(canonical.unb64url(text.decode(), "it"), random)).encode()
            except (InputError, UnicodeDecodeError):
                return _bytes(text, random)


def mutate_once(data: bytes, random: Random) -> bytes:
    """One change: to the JSON if it is JSON, otherwise to the bytes."""
    changed = _json(data, random) if random.random() < 0.8 else None
    return _bytes(data, random) if changed is None else changed


def _json(data: bytes, random: Random) -> bytes | None:
    """The JSON text of another value, or another text; None if it is not JSON, or has nothing in it."""
    try:
        value = json.loads(data)
        places = list(_places(value))
    except (ValueError, RecursionError):
        return None
    if not places:
        return None
    parent, key = random.choice(places)
    match random.randrange(8):
        case 0:
            return _other_text(value, parent, key, random)
        case 1:
            del parent[key]
        case 2 if isinstance(parent, dict):
            parent[random.choice(ODD_MEMBERS)] = parent[key]
        case 2 | 3 if isinstance(parent, list):
            parent += parent[key : key + 1] * random.choice((1, 1, 2, 70, 300))
        case 3 | 4:
            parent[key] = _near(parent[key], random)
        case 5:
            other_parent, other_key = random.choice(places)
            parent[key] = json.loads(json.dumps(other_parent[other_key]))
        case _:
            parent[key] = random.choice(ODD_VALUES)
    return _text(value)


def _places(value: Any) -> Any:
    """Every member and item in a JSON value, as container and key."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield value, key
        yield from _places(item)


def _near(value: Any, random: Random) -> Any:
    """A value of the same kind that differs a little."""
    if isinstance(value, bool) or value is None:
        return not value
    if isinstance(value, int | float):
        return value + random.choice((-1, 1, 1000, -value, 2**40))
    if isinstance(value, str):
        return _encoded(value.encode("utf-8", "surrogatepass"), random).decode("latin-1")
    if isinstance(value, list):
        return random.sample(value, len(value))
    return dict(random.sample(list(value.items()), random.randrange(len(value) + 1)))


def _other_text(value: Any, parent: Any, key: Any, random: Random) -> bytes:
    """JSON text that no canonical writer makes: spaces, members twice, odd numbers, depth."""
    marker = "a text that stands for another"
    old, parent[key] = parent[key], marker
    text = _text(value)
    spelt = _text(old)
    match random.randrange(4):
        case 0:
            new = b" " + spelt
        case 1 if isinstance(parent, dict):
            new = spelt + b"," + _text(key) + b":" + spelt
        case _:
            new = random.choice(ODD_TEXTS)
    return text.replace(_text(marker), new, 1)


def _text(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def _bytes(data: bytes, random: Random) -> bytes:
    """Bits flipped, bytes inserted, removed, repeated or cut off."""
    at = random.randrange(len(data) + 1)
    to = min(len(data), at + random.choice((1, 1, 4, 64, 1024)))
    match random.randrange(6):
        case 0:
            return data[:at]
        case 1:
            return data[:at] + data[to:]
        case 2:
            return data[:to] + data[at:]
        case 3:
            return data[:at] + bytes(random.randrange(256) for _ in range(random.choice((1, 2, 8)))) + data[at:]
        case 4:
            return data + random.choice((b"\n", b"\0", b"=", b".", b"A" * MAX_GROWTH))
        case _:
            changed = bytearray(data or b"\0")
            changed[min(at, len(changed) - 1)] ^= 1 << random.randrange(8)
            return bytes(changed)
