"""A second reader of audit logs, from docs/spec/audit_log.md alone: it shares no code with keyvault."""

from __future__ import annotations

import base64
import hashlib
import json
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

RECORD, HEAD, ROLLBACK = "AuditRecordError", "AuditHeadError", "AuditRollbackError"
_MEMBERS = {"detail": dict, "operation": str, "seq": int, "subject": str, "time": int}


def verdict(vector: dict[str, Any]) -> str | None:
    """The class of the refusal of a vector's log, or None if it is whole."""
    public = _octets(vector["issuer"]["x"])
    kept_seq, kept_hash = _kept(vector["kept"], public)
    hashes = [bytes(32)]
    for row in vector["records"]:
        if row["seq"] != len(hashes) or not _well_formed(row["record"], len(hashes)):
            return RECORD
        data = b"privcam/audit/record/1" + hashes[-1] + row["record"].encode("ascii")
        hashes.append(hashlib.sha256(data).digest())
        if hashes[-1].hex() != row["hash"]:
            return RECORD
    head = vector["head"]
    if head is None or not _signed(public, head["seq"], bytes.fromhex(head["hash"]), bytes.fromhex(head["signature"])):
        return HEAD
    if head["seq"] != len(hashes) - 1 or head["hash"] != hashes[-1].hex():
        return RECORD
    return None if kept_seq < len(hashes) and hashes[kept_seq] == kept_hash else ROLLBACK


def _well_formed(text: str, seq: int) -> bool:
    value = json.loads(text)
    canonical = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True) == text
    return canonical and {name: type(member) for name, member in value.items()} == _MEMBERS and value["seq"] == seq


def _kept(line: str, public: bytes) -> tuple[int, bytes]:
    name, version, issuer, seq, digest, signature = line.split(" ")
    jwk = f'{{"crv":"Ed25519","kty":"OKP","x":"{base64.urlsafe_b64encode(public).decode().rstrip("=")}"}}'
    assert (name, version) == ("privcam-audit-head", "1")
    assert _octets(issuer) == hashlib.sha256(jwk.encode("ascii")).digest()
    assert _signed(public, int(seq), _octets(digest), _octets(signature))
    return int(seq), _octets(digest)


def _signed(public: bytes, seq: int, digest: bytes, signature: bytes) -> bool:
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(
            signature, b"privcam/audit/head/1" + seq.to_bytes(8, "big") + digest
        )
    except InvalidSignature:
        return False
    return True


def _octets(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
