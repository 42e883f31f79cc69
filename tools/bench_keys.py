"""A sensor and an authorised host for measurements, with fixed keys and no vault."""

from __future__ import annotations

import time

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from adc_firmware import SecureAdc
from adc_firmware.converter import VoltsConverter
from keyvault.derivation import commitment
from keyvault.grant import Grant, Kind, OpenGrant, Recipient
from keyvault.identity import thumbprint
from keyvault.policy import Policy
from sensor_sim import PixelModel

KEY = bytes(range(32))
_SIGNER = Ed25519PrivateKey.from_private_bytes(KEY)


def open_grant(policy: Policy) -> OpenGrant:
    """What sensor and host have after they opened a sealed key of this policy."""
    public, now = _SIGNER.public_key(), int(time.time())
    recipients = (Recipient(Kind.SENSOR, "bench", thumbprint(public)), Recipient(Kind.HOST, "host", "H" * 43))
    grant = Grant(
        sensor="bench",
        epoch=1,
        policy=policy,
        not_before=now,
        not_after=now + 86_400,
        issuer="I" * 43,
        sensor_key=public.public_bytes_raw(),
        recipients=recipients,
        commitment=commitment(KEY),
    )
    return OpenGrant(grant, KEY)


def chip(opened: OpenGrant, converter: VoltsConverter | None = None) -> SecureAdc:
    """The sensor's chip, by default with ideal converters."""
    return SecureAdc(opened, _SIGNER, converter or PixelModel().converter(opened.grant.policy.bits))
