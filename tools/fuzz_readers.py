"""What reads files of the key vault from strangers, and good files for each, for fuzzing.

Every reader takes any bytes and either accepts them or raises a PrivcamError.  What is behind a
signature is reached by signing whatever comes with the key of the test vectors.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any
from unittest.mock import patch

from adc_firmware.frame import FrameHeader
from keyvault import backup, canonical, envelope, jwe, jws, status_list
from keyvault.device import Device
from keyvault.errors import PrivcamError
from keyvault.grant import Kind
from keyvault.identity import thumbprint
from keyvault.marks import HostMark, ListMark, SensorMark
from keyvault.policy import Policy
from keyvault.status_list import StatusList
from keyvault.vault_key import Argon2
from sealed_key_bench import NOW, SENSOR, Bench

PASSPHRASE = b"kept elsewhere"
CHEAP_KIB = 1024


@dataclass(frozen=True)
class Reader:
    """One reader, and files that it accepts."""

    read: Callable[[bytes], object]
    seeds: tuple[bytes, ...]

    def accepts(self, data: bytes) -> bool:
        """Whether the reader takes the data; False for a refusal, and what is not a PrivcamError comes out."""
        try:
            self.read(data)
        except PrivcamError:
            return False
        return True


def full_list(bench: Bench) -> StatusList:
    """A status list with something of everything."""
    return StatusList(
        thumbprint(bench.issuer.public_key()),
        9,
        NOW,
        NOW + 60,
        sensors={"A" * 43: "cam-9"},
        hosts={thumbprint(bench.hosts[0].public_key()): "lab", "B" * 43: "mobile"},
        disabled=frozenset({"00000000000000ff", "a" * 16}),
        min_epochs={SENSOR: 4, "cam-9": 2},
    )


def frame_header() -> FrameHeader:
    """The header of some private frame."""
    return FrameHeader(
        SENSOR, "a" * 16, 3, bytes(16), 5, Policy(64, 48), 64, 4095, 10_000, 1000, (1024, 1024, 1024), 1_700_000_000
    )


def readers(bench: Bench) -> dict[str, Reader]:
    """Every reader by name."""
    return _sealed_keys(bench) | _status_lists(bench) | _files(bench) | _backups()


def _sealed_keys(bench: Bench) -> dict[str, Reader]:
    public = bench.issuer.public_key()
    good, hosts_only = bench.seal(), bench.range_for_hosts()
    header, payload, _ = good.split(b".")
    message: dict[str, Any] = json.loads(_decoded(payload))

    def open_all(data: bytes) -> None:
        sealed = envelope.verify(data, public)
        if sealed.grant.for_sensor is not None:
            sealed.open_as_sensor(bench.device, NOW)
        sealed.open_as_host(bench.hosts[0], NOW)

    def with_header(data: bytes) -> None:
        signed = canonical.b64url(data).encode() + b"." + payload
        open_all(signed + b"." + canonical.b64url(bench.issuer.sign(signed)).encode())

    def with_protected(data: bytes) -> None:
        open_all(bench.sign(message | {"protected": canonical.b64url(data)}))

    return {
        "sealed key": Reader(open_all, (good, hosts_only)),
        "header": Reader(with_header, (_decoded(header),)),
        "payload": Reader(
            lambda data: open_all(bench.sign(data)), (_decoded(payload), _decoded(hosts_only.split(b".")[1]))
        ),
        "protected header": Reader(with_protected, (_decoded(message["protected"].encode()),)),
        "encryption": Reader(jwe.parse, (_decoded(payload),)),
    }


def _status_lists(bench: Bench) -> dict[str, Reader]:
    public, status = bench.issuer.public_key(), full_list(bench)

    def signed(data: bytes) -> object:
        return status_list.verify(jws.sign(data, bench.issuer, jws.STATUS_LIST), public)

    return {
        "status list": Reader(lambda data: status_list.verify(data, public), (status_list.sign(status, bench.issuer),)),
        "status payload": Reader(signed, (canonical.dumps(status.to_json()),)),
    }


def _files(bench: Bench) -> dict[str, Reader]:
    issuer = thumbprint(bench.issuer.public_key())
    spans = {(3, 3, Kind.SENSOR): 4, (1, 2, Kind.HOST): 3}
    found = {
        "device file": Reader(Device.from_bytes, (bench.device.to_bytes(),)),
        "canonical JSON": Reader(lambda data: canonical.loads(data, "it"), (bench.device.to_bytes(), b"[1,null]")),
        "base64url": Reader(lambda data: canonical.unb64url(data.decode("latin-1"), "it"), (b"AAAA", b"_-8")),
        "frame header": Reader(FrameHeader.from_bytes, (frame_header().to_bytes(),)),
    }
    marks: tuple[SensorMark | HostMark | ListMark, ...] = (
        SensorMark(issuer, SENSOR, 3, "a" * 16, 4, 2),
        HostMark(issuer, SENSOR, 2, spans),
        ListMark(issuer, 9),
    )
    return found | {type(mark).__name__: _mark(mark) for mark in marks}


def _backups() -> dict[str, Reader]:
    """Backups, whose keys are derived only where that costs next to nothing."""
    derive = Argon2.derive

    def cheap(argon2: Argon2, passphrase: bytes) -> bytes:
        if argon2.iterations * argon2.memory_kib > CHEAP_KIB:
            return hashlib.sha256(argon2.salt + passphrase).digest()
        return derive(argon2, passphrase)

    def decrypt(data: bytes) -> bytes:
        with patch.object(Argon2, "derive", cheap):
            return backup.decrypt(data, Path("backup"), PASSPHRASE)

    with patch.object(Argon2, "derive", cheap):
        return {"backup": Reader(decrypt, (backup.encrypt(b"not a vault", PASSPHRASE),))}


def _mark(mark: SensorMark | HostMark | ListMark) -> Reader:
    return Reader(lambda data: mark.from_json(canonical.loads(data, "it")), (canonical.dumps(mark.to_json()),))


def sealed_text(vector: Path) -> bytes:
    """The sealed key of a test vector."""
    text: str = json.loads(vector.read_text())["sealed"]
    return text.encode()


def _decoded(text: bytes) -> bytes:
    return canonical.unb64url(text.decode("ascii"), "it")


def random_numbers(seed: int) -> Random:
    """The random numbers of a seed; they keep nothing secret."""
    return Random(seed)  # noqa: S311
