"""Sealed keys and devices without a vault, scenes, and what a key holder sees of a frame."""

from __future__ import annotations

import time
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from numpy.typing import NDArray

from adc_firmware import PrivateFrame, decode, encode, frame_permutation, unmask
from keyvault.device import Device
from keyvault.envelope import read_sealed
from keyvault.grant import OpenGrant
from keyvault.hosts import generate_host_key
from keyvault.issuing import Delivery, EpochSeed, HostKey, IssuerSecrets, SensorKeys, Terms, seal_delivery
from keyvault.policy import Policy
from sensor_sim import CameraSettings, LightScene, PixelModel, Shot, expose

ISSUER = Ed25519PrivateKey.from_private_bytes(b"i" * 32)
DAY = 86_400
QUIET = CameraSettings(noise=False)


def device(sensor: str = "cam", number: int = 1, issuer: Ed25519PrivateKey = ISSUER) -> Device:
    signer = Ed25519PrivateKey.from_private_bytes(bytes([number]) * 32)
    return Device(sensor, bytes([100 + number]) * 32, signer, issuer.public_key())


@cache
def _host() -> HostKey:
    return HostKey("lab", generate_host_key().public_key())


def seal(
    path: Path,
    policy: Policy,
    *,
    owner: Device | None = None,
    epoch: int = 1,
    serial: int | None = None,
    min_epoch: int = 1,
    status_max_age: int | None = None,
    salt: bytes = b"e" * 32,
    days: tuple[float, float] = (-1, 1),
    issuer: Ed25519PrivateKey = ISSUER,
) -> Path:
    """Write a sealed key that is valid between two days from now; its serial is its epoch unless one is given."""
    owner = owner or device()
    now = int(time.time())
    terms = Terms(("lab",), policy, now + int(days[0] * DAY), now + int(days[1] * DAY), status_max_age)
    sensor = SensorKeys(owner.sensor, owner.kek, owner.signer.public_key())
    delivery = Delivery((EpochSeed(epoch, salt),), serial or epoch, min_epoch)
    path.write_bytes(seal_delivery(IssuerSecrets(b"r" * 32, issuer), sensor, [_host()], delivery, terms).data)
    return path


def enrol(home: Path, owner: Device | None = None) -> Path:
    """Put a device where a camera looks for it."""
    owner = owner or device()
    path = home / "devices" / f"{owner.sensor}.json"
    owner.save(path)
    return path


def open_sealed(path: Path, owner: Device | None = None) -> OpenGrant:
    owner = owner or device()
    return read_sealed(path, owner.issuer).open_as_sensor(owner)


def reveal(frame: PrivateFrame, opened: OpenGrant) -> NDArray[np.uint16]:
    """The plain DN, read back from the frame's file bytes with its signature verified."""
    frame = decode(encode(frame), {opened.grant.key_id: opened.grant})
    permutation = frame_permutation(opened, frame.header.frame_id)
    mask_key = opened.frame_secrets(frame.header.frame_id).mask_key
    return permutation.undo(unmask(frame.samples, permutation, mask_key, opened.grant.policy))


def plain(scene: LightScene, policy: Policy, settings: CameraSettings = QUIET, shot: Shot | None = None) -> Any:
    """The DN that a camera without protection would put out."""
    pixel = PixelModel()
    source = expose(scene, policy, settings, pixel, shot or Shot(0, 0))
    return pixel.converter(policy.bits).convert(source.rows(0, policy.height))


def random_light(width: int, height: int, seed: int = 0) -> LightScene:
    return LightScene(np.random.default_rng(seed).random((height, width, 3), np.float32))
