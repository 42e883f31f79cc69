"""Grants, chips and sources for the tests of the chip: all from fixed secrets, no vault involved."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from numpy.typing import NDArray

from adc_firmware import Converter, Exposure, PrivateFrame, SecureAdc
from keyvault.derivation import commitment
from keyvault.grant import Grant, Kind, OpenGrant, Recipient
from keyvault.identity import thumbprint
from keyvault.policy import Policy

EXPOSURE = Exposure(
    exposure_us=8_000, gain_milli=1_500, white_balance=(2_048, 1_024, 1_536), timestamp_ns=1_795_000_000_123_456_789
)


def signer(number: int = 1) -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(bytes([number] * 32))


def open_grant(
    policy: Policy, *, sensor: str = "front-door", epoch: int = 7, key: int = 40, sign: int = 1
) -> OpenGrant:
    """A grant as a host holds it after unsealing; ``key`` and ``sign`` choose the secrets."""
    epoch_key = bytes([key] * 32)
    public = signer(sign).public_key()
    grant = Grant(
        sensor=sensor,
        epoch=epoch,
        policy=policy,
        not_before=1_790_000_000,
        not_after=1_800_000_000,
        issuer="I" * 43,
        sensor_key=public.public_bytes_raw(),
        recipients=(Recipient(Kind.SENSOR, sensor, thumbprint(public)), Recipient(Kind.HOST, "lab", "H" * 43)),
        commitment=commitment(epoch_key),
    )
    return OpenGrant(grant, epoch_key)


def by_key_id(*opened: OpenGrant) -> dict[str, Grant]:
    return {one.grant.key_id: one.grant for one in opened}


@dataclass
class ArraySource:
    """Rows of an array that is all there; remembers what was asked for."""

    values: NDArray[Any]
    black_level: int = 16
    white_level: int = 255
    asked: list[tuple[int, int]] = field(default_factory=list)

    @property
    def shape(self) -> tuple[int, ...]:
        return self.values.shape

    def rows(self, first: int, last: int) -> NDArray[Any]:
        self.asked.append((first, last))
        return self.values[first:last]


def chip(opened: OpenGrant, converter: Converter | None = None) -> SecureAdc:
    bits = opened.grant.policy.bits
    return SecureAdc(opened, signer(), converter or Converter(bits=bits, black_level=16, gain=2.0**bits))


def random_dn(policy: Policy, seed: int = 0) -> NDArray[np.uint16]:
    shape = (policy.height, policy.width) + ((3,) if policy.samples_per_photosite == 3 else ())
    return np.random.default_rng(seed).integers(0, 2**policy.bits, shape, dtype=np.uint16)


def frame_of(opened: OpenGrant, values: NDArray[Any] | None = None) -> PrivateFrame:
    source = ArraySource(random_dn(opened.grant.policy) if values is None else values)
    return chip(opened).read_out(source, EXPOSURE)
