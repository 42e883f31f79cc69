"""Sealed keys, hosts and frames for the tests of the authorised host: fixed secrets, no vault involved."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from numpy.typing import NDArray

from adc_firmware import Converter, Exposure, PrivateFrame, SecureAdc
from keyvault.device import Device
from keyvault.envelope import verify
from keyvault.hosts import generate_host_key, public_pem, save_host_key
from keyvault.issuing import Delivery, EpochSeed, HostKey, IssuerSecrets, SensorKeys, Terms, seal_delivery
from keyvault.policy import Policy

NOW = 1_800_000_000
DAY = 86_400
ISSUER = Ed25519PrivateKey.from_private_bytes(b"i" * 32)
OTHER_ISSUER = Ed25519PrivateKey.from_private_bytes(b"j" * 32)
DEVICE = Device("front-door", b"k" * 32, Ed25519PrivateKey.from_private_bytes(b"s" * 32), ISSUER.public_key())
POLICY = Policy(16, 12)


@cache
def host_key(name: str) -> RSAPrivateKey:
    """The private key of host ``lab`` or ``mobile``."""
    return generate_host_key()


def sealed(
    epoch: int = 1,
    last: int | None = None,
    *,
    serial: int | None = None,
    min_epoch: int = 1,
    status_max_age: int | None = None,
    host: str = "lab",
    policy: Policy = POLICY,
    issuer: Ed25519PrivateKey = ISSUER,
    start: int = NOW - DAY,
    end: int = NOW + DAY,
) -> bytes:
    """A sealed key of DEVICE for it and one host; for the host alone if it is for the epochs up to ``last``."""
    sensor = SensorKeys(DEVICE.sensor, DEVICE.kek, DEVICE.signer.public_key())
    hosts = [HostKey(host, host_key(host).public_key())]
    seeds = tuple(EpochSeed(number, b"e" * 32) for number in range(epoch, (last or epoch) + 1))
    delivery = Delivery(seeds, serial or epoch, min_epoch, for_sensor=last is None)
    terms = Terms((host,), policy, start, end, status_max_age)
    return seal_delivery(IssuerSecrets(b"r" * 32, issuer), sensor, hosts, delivery, terms).data


@dataclass
class DnSource:
    """An array of DN in front of the converter."""

    values: NDArray[np.uint16]
    black_level: int = 64
    white_level: int = 4_095

    @property
    def shape(self) -> tuple[int, ...]:
        return self.values.shape

    def rows(self, first: int, last: int) -> NDArray[np.uint16]:
        return self.values[first:last]


def scene(policy: Policy = POLICY, seed: int = 0) -> NDArray[np.uint16]:
    return np.random.default_rng(seed).integers(0, 4_096, (policy.height, policy.width), dtype=np.uint16)


def capture(key: bytes, values: NDArray[np.uint16], now: int = NOW) -> PrivateFrame:
    """A frame of DEVICE under a sealed key."""
    opened = verify(key, ISSUER.public_key()).open_as_sensor(DEVICE, now=now)
    chip = SecureAdc(opened, DEVICE.signer, Converter(bits=opened.grant.policy.bits, black_level=64, gain=1_000))
    return chip.read_out(DnSource(values), Exposure(8_000, 1_000, (1_500, 1_024, 1_300), NOW * 10**9))


def write_home(folder: Path, host: str = "lab", passphrase: bytes | None = None) -> Path:
    """A home with host.pem and issuer.pub."""
    folder.mkdir(parents=True, exist_ok=True)
    save_host_key(host_key(host), folder / "host.pem", passphrase)
    (folder / "issuer.pub").write_bytes(public_pem(ISSUER.public_key()))
    return folder
