"""The authorised host: sealed keys that it may open, and frames under them."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from numpy.typing import NDArray

import adc_firmware
from adc_firmware.addressing import frame_permutation, unmask
from adc_firmware.errors import ForeignFrameError
from adc_firmware.frame import FrameHeader, PrivateFrame, select_grant
from keyvault import places
from keyvault.envelope import SealedGrant, read_sealed, sealed_in
from keyvault.errors import InputError, NotARecipientError, PrivcamError, ValidityError
from keyvault.grant import Grant, OpenGrant
from keyvault.hosts import load_host_key, load_issuer
from keyvault.permutation import Permutation

PathLike = str | os.PathLike[str]


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class ShuffledFrame:
    """A frame without its mask, still in the order that the key gives.

    Attributes:
        header: authenticated.
        samples: uint16 (h, w) or (h, w, 3), read-only: DN in stored order.
        permutation: where the sample of each true position is stored; secret.
    """

    header: FrameHeader
    samples: NDArray[np.uint16]
    permutation: Permutation

    def __post_init__(self) -> None:
        if self.samples.shape != self.header.shape or self.samples.dtype != np.uint16:
            raise ValueError(f"samples of {self.samples.dtype} {self.samples.shape} do not fit {self.header.shape}")
        if self.permutation.shape != self.header.shape[:2]:
            raise ValueError(f"a permutation of {self.permutation.shape} does not fit {self.header.shape}")
        view = np.ascontiguousarray(self.samples).view()
        view.flags.writeable = False
        object.__setattr__(self, "samples", view)

    def __repr__(self) -> str:
        return f"ShuffledFrame({self.header.sensor!r}, counter={self.header.counter}, shape={self.header.shape})"


class Session:
    """Opened grants of one host; comes from :func:`open_session`.

    ``grants`` maps key ids to what the opened keys are for.  Nothing secret is in the repr.
    """

    def __init__(
        self, opened: Mapping[str, OpenGrant], refused: Mapping[str, Refusal], clock: Callable[[], int]
    ) -> None:
        self._opened = dict(opened)
        self._refused = {key: refusal for key, refusal in refused.items() if key not in self._opened}
        self._clock = clock
        self.grants: Mapping[str, Grant] = MappingProxyType({key: one.grant for key, one in self._opened.items()})

    def __repr__(self) -> str:
        return f"Session(keys={sorted(self.grants)})"

    def open(self, frame: PrivateFrame | PathLike) -> ShuffledFrame:
        """Verify a frame, find the key that it names and take its mask off; samples stay shuffled.

        Raises:
            ForeignFrameError: no sealed key of this session has the frame's key id.
            WrongHostError: the sealed key with that id is not for this host.
            ExpiredGrantError, NotYetValidError: the grant is not valid now.
            FrameTamperedError: the frame is not what the grant's sensor signed.
            FrameError, InputError: not a private frame, or it cannot be read.
        """
        private = frame if isinstance(frame, PrivateFrame) else self._read(frame)
        header = private.header
        refusal = self._refused.get(header.key_id)
        if refusal is not None:
            raise refusal.error
        grant = select_grant(header, self.grants)
        if (header.sensor, header.epoch, header.policy) != (grant.sensor, grant.epoch, grant.policy):
            raise ForeignFrameError(
                f"the frame was verified under another grant than this session's {grant.key_id}",
                hint="let the session open the frame's file",
            )
        grant.check_validity(self._clock())
        opened = self._opened[grant.key_id]
        permutation = frame_permutation(opened, header.frame_id)
        mask_key = opened.frame_secrets(header.frame_id).mask_key
        return ShuffledFrame(header, unmask(private.samples, permutation, mask_key, header.policy), permutation)

    def _read(self, path: PathLike) -> PrivateFrame:
        """A verified frame of any grant that was given, so that a refusal can say why it is one."""
        known = {key: refusal.grant for key, refusal in self._refused.items()}
        return adc_firmware.read(Path(path), {**known, **self.grants})


@dataclass(frozen=True, slots=True)
class Refusal:
    """A verified grant that this host could not open, and why."""

    grant: Grant
    error: PrivcamError


def open_session(
    sealed: PathLike | Iterable[PathLike],
    identity: PathLike | RSAPrivateKey | None = None,
    trust: PathLike | Ed25519PublicKey | None = None,
    *,
    passphrase: bytes | None = None,
    now: int | None = None,
) -> Session:
    """Open sealed keys as an authorised host.

    Args:
        sealed: a sealed key file, a folder of them (its ``*.bin``), or several of either.
        identity: the host's private key or its PEM file; by default the one in the home folder.
        trust: the issuer's public key or its PEM file; by default the one in the home folder.
        passphrase: of the identity's file, if it has one.
        now: Unix seconds at which the session takes place; None follows the clock.

    From a folder, files that are not sealed keys are left out, and keys that are expired or for
    other hosts are refused only when a frame needs them, unless none can be opened.  A file
    that was named is refused at once.

    Raises:
        WrongHostError: sealed for other hosts; the message names them.
        ExpiredGrantError, NotYetValidError: not valid now.
        AuthenticationError: issued by another vault, altered, or inconsistent.
        HostKeyError, PassphraseError, ExposedFileError: the identity cannot be used.
        GrantFormatError, InputError: not a sealed key, or a file cannot be read.
    """
    key = _identity(identity, passphrase)
    issuer = trust if isinstance(trust, Ed25519PublicKey) else load_issuer(Path(trust or places.issuer_file()))
    clock = _clock(now)
    opened: dict[str, OpenGrant] = {}
    refused: dict[str, Refusal] = {}
    sources = [Path(sealed)] if isinstance(sealed, str | os.PathLike) else [Path(path) for path in sealed]
    for source in sources:
        if source.is_dir():
            found = _open_folder(source, issuer, key, clock())
            opened.update(found[0])
            refused.update(found[1])
        else:
            one = _named(source, read_sealed(source, issuer), key, clock())
            opened[one.grant.key_id] = one
    if not opened:
        raise _nothing_opened(sources, refused)
    return Session(opened, refused, clock)


def _identity(identity: PathLike | RSAPrivateKey | None, passphrase: bytes | None) -> RSAPrivateKey:
    if isinstance(identity, RSAPrivateKey):
        return identity
    return load_host_key(Path(identity or places.host_key_file()), passphrase)


def _clock(now: int | None) -> Callable[[], int]:
    if now is None:
        return lambda: int(time.time())
    return lambda: now


def _named(path: Path, sealed: SealedGrant, key: RSAPrivateKey, now: int) -> OpenGrant:
    try:
        return sealed.open_as_host(key, now)
    except PrivcamError as error:
        raise type(error)(f"{path}: {error}", hint=error.hint) from error


def _open_folder(
    folder: Path, issuer: Ed25519PublicKey, key: RSAPrivateKey, now: int
) -> tuple[dict[str, OpenGrant], dict[str, Refusal]]:
    opened: dict[str, OpenGrant] = {}
    refused: dict[str, Refusal] = {}
    for path in sealed_in(folder):
        sealed = read_sealed(path, issuer)
        try:
            one = _named(path, sealed, key, now)
            opened[one.grant.key_id] = one
        except (NotARecipientError, ValidityError) as error:
            refused[sealed.grant.key_id] = Refusal(sealed.grant, error)
    return opened, refused


def _nothing_opened(sources: list[Path], refused: Mapping[str, Refusal]) -> PrivcamError:
    for refusal in refused.values():
        return refusal.error
    names = ", ".join(map(str, sources)) or "no files"
    return InputError(f"no sealed key in {names}", hint="give the sealed.bin that keyvault issue wrote")
