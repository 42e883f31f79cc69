"""Derivation: recomputed from the specification with hmac alone, and what must not coincide."""

from __future__ import annotations

import hashlib
import hmac
import json
from dataclasses import replace
from itertools import combinations

import pytest
from parties import VECTORS

from keyvault.derivation import FrameId, commitment, derive_epoch_key, derive_frame_secrets
from keyvault.errors import InputError
from keyvault.policy import Cfa, FrameKeys, Policy, Protection, Unit

KNOWN = json.loads((VECTORS / "derivation.json").read_text())
KEY = bytes(range(32))
SESSION = bytes(range(16))


def expand(secret: str, *fields: bytes) -> str:
    """Section 3 of docs/spec/sealed_key.md, sharing no code with the package."""
    info = b"".join(bytes(divmod(len(field), 256)) + field for field in (b"privcam/1", *fields))
    return hmac.new(bytes.fromhex(secret), info + b"\x01", hashlib.sha256).hexdigest()


@pytest.mark.parametrize("entry", KNOWN["epochs"], ids=lambda e: f"{e['sensor']}-{e['epoch']}")
def test_epoch_vectors(entry: dict) -> None:
    salt = bytes.fromhex(entry["salt"])
    key = expand(KNOWN["root"], b"epoch", entry["sensor"].encode(), entry["epoch"].to_bytes(8, "big"), salt)
    assert key == entry["epoch_key"]
    assert expand(key, b"commitment") == entry["commitment"]
    assert entry["key_id"] == entry["commitment"][:16]
    own = derive_epoch_key(bytes.fromhex(KNOWN["root"]), entry["sensor"], entry["epoch"], salt)
    assert own.hex() == key
    assert commitment(own).hex() == entry["commitment"]


@pytest.mark.parametrize("entry", KNOWN["frames"])
def test_frame_vectors(entry: dict) -> None:
    text = json.dumps(entry["policy"], sort_keys=True, separators=(",", ":"))
    digest = hashlib.sha256(text.encode()).digest()
    assert digest.hex() == entry["policy_digest"]
    frame = bytes.fromhex(entry["session"]) + entry["counter"].to_bytes(8, "big")
    if entry["policy"]["frame_keys"] == "fixed":
        frame = b"fixed"
    context = (entry["sensor"].encode(), digest, frame)
    assert expand(entry["epoch_key"], b"permutation", *context) == entry["permutation_key"]
    mask = expand(entry["epoch_key"], b"mask", *context) if "mask" in entry["policy"]["protection"] else None
    assert mask == entry["mask_key"]
    own = derive_frame_secrets(
        bytes.fromhex(entry["epoch_key"]),
        entry["sensor"],
        Policy.from_json(entry["policy"]),
        FrameId(bytes.fromhex(entry["session"]), entry["counter"]),
    )
    assert own.permutation_key.hex() == entry["permutation_key"]
    assert (own.mask_key.hex() if own.mask_key else None) == mask


def test_whatever_differs_gives_other_keys() -> None:
    policy = Policy(64, 48)
    frame = FrameId(SESSION, 7)
    policies = [
        policy,
        replace(policy, width=48, height=64),
        replace(policy, cfa=Cfa.BGGR),
        replace(policy, bits=10),
        replace(policy, unit=Unit.QUAD),
        replace(policy, scope="row"),
        replace(policy, protection=Protection.SHUFFLE),
    ]
    keys = [derive_frame_secrets(KEY, "cam", other, frame) for other in policies]
    keys += [
        derive_frame_secrets(KEY, "cam", policy, other)
        for other in (FrameId(SESSION, 8), FrameId(SESSION[::-1], 7), FrameId(SESSION, 2**48 - 1))
    ]
    keys += [derive_frame_secrets(KEY, "cam2", policy, frame), derive_frame_secrets(KEY[::-1], "cam", policy, frame)]
    every = [key for pair in keys for key in (pair.permutation_key, pair.mask_key) if key is not None]
    every += [
        derive_epoch_key(KEY, *entry)
        for entry in (("cam", 1, KEY), ("cam", 2, KEY), ("cam1", 1, KEY), ("cam", 1, bytes(32)))
    ]
    every.append(commitment(KEY))
    assert all(len(key) == 32 for key in every)
    assert not [pair for pair in combinations(every, 2) if pair[0] == pair[1]]


def test_fixed_frame_keys_do_not_depend_on_the_frame() -> None:
    policy = Policy(64, 48, protection=Protection.SHUFFLE, frame_keys=FrameKeys.FIXED)
    first, second = (derive_frame_secrets(KEY, "cam", policy, FrameId(bytes((n,)) * 16, n)) for n in (1, 2))
    assert first == second
    assert first.mask_key is None
    per_frame = derive_frame_secrets(KEY, "cam", replace(policy, frame_keys=FrameKeys.PER_FRAME), FrameId(SESSION, 1))
    assert per_frame.permutation_key != first.permutation_key


@pytest.mark.parametrize(
    ("session", "counter"),
    [(b"short", 0), (bytes(17), 0), (bytearray(16), 0), (bytes(16), -1), (bytes(16), 2**48), (bytes(16), True)],
)
def test_impossible_frame_ids_are_refused(session: bytes, counter: int) -> None:
    with pytest.raises(InputError, match=r"session id has 16 bytes|counter .* outside"):
        FrameId(session, counter)


@pytest.mark.parametrize("secret", [b"", bytes(31), bytes(33)])
def test_secrets_have_32_bytes(secret: bytes) -> None:
    with pytest.raises(ValueError, match="32 are needed"):
        commitment(secret)


@pytest.mark.parametrize("epoch", [0, 2**32])
def test_impossible_epochs_are_refused(epoch: int) -> None:
    with pytest.raises(ValueError, match="outside 1 to"):
        derive_epoch_key(KEY, "cam", epoch, KEY)


def test_representations_show_no_key() -> None:
    secrets = derive_frame_secrets(KEY, "cam", Policy(64, 48), FrameId(SESSION, 0))
    assert repr(secrets) == "FrameSecrets(...)"
