"""Which sealed key a sensor uses, and with which device it opens it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from keyvault import places
from keyvault.device import Device
from keyvault.envelope import SEALED_FILES, SealedGrant, read_sealed, sealed_in
from keyvault.errors import (
    DisabledKeyError,
    ExpiredGrantError,
    InputError,
    NotYetValidError,
    PrivcamError,
    UnknownIssuerError,
    WrongDeviceError,
)
from keyvault.grant import Grant, OpenGrant
from keyvault.standing import Standing, newest_status
from keyvault.status_list import StatusList

KeySource = str | Path | Sequence[str | Path]
Accept = Callable[[Grant], object]
Stamp = tuple[tuple[str, int, int, int], ...]


@dataclass(frozen=True, slots=True)
class KeyPlace:
    """Where a camera's sealed key is, and the device that opens it.

    Attributes:
        key: file, folder or several.
        device: a device, its file, or None for the one in the home.
        status: the vault's status list, or None for the one in the home.
    """

    key: KeySource
    device: Device | Path | str | None
    status: Path | str | None = None

    def open(self, accept: Accept | None = None) -> tuple[OpenGrant, Device]:
        """The newest epoch that is valid now, with the files as they are now: :func:`open_newest`."""
        return open_newest(self.key, self.device, self.status, accept)

    def stamp(self) -> Stamp:
        """What changes when a key file or the status list is written, replaced or removed."""
        return tuple(_stamps([*map(Path, _listed(self.key)), self._status_file()]))

    def newest_status(self, issuer: Ed25519PublicKey) -> StatusList | None:
        """A vault's status list as its file is now, None if there is none; raises as its reader."""
        given = None if self.status is None else Path(self.status)
        return newest_status(_marks_folder(self.device), issuer, given, places.status_file())

    def _status_file(self) -> Path:
        return places.status_file() if self.status is None else Path(self.status)


def open_newest(
    key: KeySource,
    device: Device | Path | str | None = None,
    status: Path | str | None = None,
    accept: Accept | None = None,
) -> tuple[OpenGrant, Device]:
    """Open the newest epoch that is valid now, and remember it: an older one is refused from then on.

    What was used is remembered beside the device file, or, for a device that is given itself,
    where its file would be in this user's home (docs/spec/marks.md).

    Args:
        key: a sealed key file, a folder of them (its ``*.bin`` that are sealed keys), or several of
            either.  Keys of other sensors are passed over.
        device: a device, its file, or None for the one in this user's home that the key is for.
        status: the vault's status list; None takes the one in this user's home, if there is one.
        accept: is shown the claims before they are remembered, and raises if it cannot use them.

    Raises:
        InputError: a file is missing or is not a sealed key, or the keys are for several sensors
            and ``device`` does not say which.
        AuthenticationError: a sealed key was changed, or another vault issued it.
        WrongDeviceError: none of the keys is for the device, or the device is not on this machine.
        ValidityError: none is valid now, or all are disabled.
        RollbackError: the newest is older than what was used before.
        StatusMissingError, StatusExpiredError: a key needs a newer status list than is at hand.
        RevokedError: the status list names this sensor.
        MarkError, OutputError: what was used is damaged, or cannot be kept.
    """
    paths = sealed_files(_listed(key))
    devices = _devices(device)
    found = [_verify(path, devices) for path in paths]
    matches = [(sealed, own) for sealed, own in found if sealed.is_for(own)]
    if not matches:
        raise _nobody(found[0][0], devices, given=device is not None)
    sensors = sorted({own.sensor for _, own in matches})
    if len(sensors) > 1:
        raise InputError(f"the keys are for sensors {', '.join(sensors)}", hint="say which with --device")
    return _open(matches, _marks_folder(device), Path(status) if status else None, accept)


def _marks_folder(device: Device | Path | str | None) -> Path:
    if device is None or isinstance(device, Device):
        return places.devices_folder()
    return Path(device).resolve().parent


def _open(
    matches: list[tuple[SealedGrant, Device]], marks: Path, status: Path | None, accept: Accept | None
) -> tuple[OpenGrant, Device]:
    refusals: list[PrivcamError] = []
    for sealed, device in sorted(matches, key=_age, reverse=True):
        try:
            opened = sealed.open_as_sensor(device)
            if accept is not None:
                accept(opened.grant)
            listed = newest_status(marks, device.issuer, status, places.status_file())
            Standing(marks, listed, device.kid).admit_sensor(opened.grant)
        except (ExpiredGrantError, NotYetValidError, DisabledKeyError) as error:
            refusals.append(error)
        else:
            return opened, device
    raise refusals[0]


def _age(match: tuple[SealedGrant, Device]) -> tuple[int, int]:
    grant = match[0].grant
    return grant.epoch, grant.serial


def _listed(key: KeySource) -> Sequence[str | Path]:
    return [key] if isinstance(key, str | Path) else key


def _stamps(paths: Iterable[Path]) -> Iterator[tuple[str, int, int, int]]:
    """Names, inodes, sizes and times of files, and of the sealed keys in folders."""
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
    folder = places.devices_folder()
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
    own = [(sealed, device) for sealed, device in verified if sealed.is_for(device)]
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
