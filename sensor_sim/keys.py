"""Which sealed key a sensor uses, and with which device it opens it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from keyvault import places
from keyvault.device import Device
from keyvault.envelope import SEALED_FILES, SealedGrant, read_sealed, sealed_in
from keyvault.errors import InputError, PrivcamError, UnknownIssuerError, ValidityError, WrongDeviceError
from keyvault.grant import OpenGrant

KeySource = str | Path | Sequence[str | Path]
Stamp = tuple[tuple[str, int, int, int], ...]


@dataclass(frozen=True, slots=True)
class KeyPlace:
    """Where a camera's sealed key is, and the device that opens it.

    Attributes:
        key: file, folder or several.
        device: a device, its file, or None for the one in the home.
    """

    key: KeySource
    device: Device | Path | str | None

    def open(self) -> tuple[OpenGrant, Device]:
        """The newest epoch that is valid now, with the files as they are now: :func:`open_newest`."""
        return open_newest(self.key, self.device)

    def stamp(self) -> Stamp:
        """What changes when a key file is written, replaced or removed: names, inodes, sizes, times."""
        return tuple(_stamps(map(Path, _listed(self.key))))


def open_newest(key: KeySource, device: Device | Path | str | None = None) -> tuple[OpenGrant, Device]:
    """Open the newest epoch that is valid now.

    Args:
        key: a sealed key file, a folder of them (its ``*.bin`` that are sealed keys), or several of
            either.  Keys of other sensors are passed over.
        device: a device, its file, or None for the one in this user's home that the key is for.

    Raises:
        InputError: a file is missing or is not a sealed key, or the keys are for several sensors
            and ``device`` does not say which.
        AuthenticationError: a sealed key was changed, or another vault issued it.
        WrongDeviceError: none of the keys is for the device, or the device is not on this machine.
        ValidityError: none is valid now.
    """
    paths = sealed_files(_listed(key))
    devices = _devices(device)
    found = [_verify(path, devices) for path in paths]
    matches = [(sealed, own) for sealed, own in found if sealed.grant.recipients[0].kid == own.kid]
    if not matches:
        raise _nobody(found[0][0], devices, given=device is not None)
    sensors = sorted({own.sensor for _, own in matches})
    if len(sensors) > 1:
        raise InputError(f"the keys are for sensors {', '.join(sensors)}", hint="say which with --device")
    return _open(matches)


def _open(matches: list[tuple[SealedGrant, Device]]) -> tuple[OpenGrant, Device]:
    refusals = []
    for sealed, device in sorted(matches, key=lambda match: match[0].grant.epoch, reverse=True):
        try:
            return sealed.open_as_sensor(device), device
        except ValidityError as error:
            refusals.append(error)
    raise refusals[0]


def _listed(key: KeySource) -> Sequence[str | Path]:
    return [key] if isinstance(key, str | Path) else key


def _stamps(paths: Iterable[Path]) -> Iterator[tuple[str, int, int, int]]:
    for path in paths:
        for file in sorted(path.glob(SEALED_FILES)) if path.is_dir() else [path]:
            with suppress(OSError):  # gone: opening it says so
                status = file.stat()
                yield str(file), status.st_ino, status.st_size, status.st_mtime_ns


def sealed_files(keys: Iterable[str | Path]) -> list[Path]:
    """The sealed keys that files and folders stand for; InputError if there are none, or none in a folder."""
    files: list[Path] = []
    for key in map(Path, keys):
        if not key.is_dir():
            files.append(key)
            continue
        inside = sealed_in(key)
        if not inside:
            raise InputError(f"no sealed key ({SEALED_FILES}) in folder {key}", hint="keyvault issue writes one")
        files += inside
    if not files:
        raise InputError("no sealed key is given", hint="give the file that keyvault issue wrote")
    return files


def _devices(device: Device | Path | str | None) -> list[Device]:
    if isinstance(device, Device):
        return [device]
    if device is not None:
        return [Device.load(Path(device))]
    folder = places.device_file("any").parent
    files = sorted(folder.glob("*.json"))
    if not files:
        raise InputError(
            f"no device file in {folder}", hint="keyvault enroll sensor makes one; --device names one elsewhere"
        )
    return [Device.load(file) for file in files]


def _verify(path: Path, devices: list[Device]) -> tuple[SealedGrant, Device]:
    """A sealed key as one of the devices trusts it: the one that it is for, if that is among them."""
    verified: list[tuple[SealedGrant, Device]] = []
    refusals: list[UnknownIssuerError] = []
    for device in devices:
        try:
            verified.append((read_sealed(path, device.issuer), device))
        except UnknownIssuerError as error:
            refusals.append(error)
    if not verified:
        raise refusals[0]
    own = [(sealed, device) for sealed, device in verified if sealed.grant.recipients[0].kid == device.kid]
    return (own or verified)[0]


def _nobody(sealed: SealedGrant, devices: list[Device], *, given: bool) -> PrivcamError:
    """Why none of the devices opens the key."""
    grant = sealed.grant
    if given or any(device.sensor == grant.sensor for device in devices):
        device = next((d for d in devices if d.sensor == grant.sensor), devices[0])
        try:
            sealed.open_as_sensor(device)
        except PrivcamError as error:
            return error
    return WrongDeviceError(
        f"the key is sealed for {grant.sealed_for()}; {places.device_file(grant.sensor)} is not there",
        hint="capture on the sensor's own machine, or name its device file with --device",
    )
