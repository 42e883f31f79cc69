"""The authorised host: sealed keys that it may open, and frames under them."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from numpy.typing import NDArray

import adc_firmware
from adc_firmware.addressing import frame_permutation, unmask
from adc_firmware.errors import ForeignFrameError
from adc_firmware.frame import FrameHeader, PrivateFrame, select_grant
from inference.keys import Host, Refusal, open_all
from keyvault import places
from keyvault.errors import InputError, PrivcamError
from keyvault.grant import Grant, OpenGrant
from keyvault.hosts import load_host_key, load_issuer
from keyvault.identities import open_token
from keyvault.identity import thumbprint
from keyvault.jwe import HostIdentity
from keyvault.permutation import Permutation
from keyvault.standing import Standing, newest_status
from keyvault.status_list import StatusList, check_age
from keyvault.token_uri import is_token_uri

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
        self,
        opened: Mapping[str, OpenGrant],
        refused: Mapping[str, Refusal],
        status: StatusList | None,
        clock: Callable[[], int],
    ) -> None:
        self._opened = dict(opened)
        self._status = status
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
            StatusExpiredError, StatusClockError: the session's status list has become too old for it.
            RevokedError, DisabledKeyError, RollbackError: the key was not to be used when the session began.
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
        moment = self._clock()
        grant.check_validity(moment)
        check_age(self._status, grant, moment)
        opened = self._opened[grant.key_id]
        permutation = frame_permutation(opened, header.frame_id)
        mask_key = opened.frame_secrets(header.frame_id).mask_key
        return ShuffledFrame(header, unmask(private.samples, permutation, mask_key, header.policy), permutation)

    def _read(self, path: PathLike) -> PrivateFrame:
        """A verified frame of any grant that was given, so that a refusal can say why it is one."""
        known = {key: refusal.grant for key, refusal in self._refused.items()}
        return adc_firmware.read(Path(path), {**known, **self.grants})


def open_session(
    sealed: PathLike | Iterable[PathLike],
    identity: PathLike | HostIdentity | None = None,
    trust: PathLike | Ed25519PublicKey | None = None,
    *,
    passphrase: bytes | None = None,
    now: int | None = None,
    status: PathLike | None = None,
    home: PathLike | None = None,
) -> Session:
    """Open sealed keys as an authorised host, and remember the newest in the home's ``marks``.

    Args:
        sealed: a sealed key file, a folder of them (its ``*.bin``), or several of either.
        identity: the host's private key, its PEM file, or the PKCS#11 URI of one in a token; by default the
            PEM file in the home folder.
        trust: the issuer's public key or its PEM file; by default the one in the home folder.
        passphrase: of the identity's file, if it has one; of a token, its PIN, unless the URI names its file.
        now: Unix seconds at which the session takes place; None follows the clock.
        status: the issuer's status list; by default the one in the home folder, if there is one.
        home: the home folder; None takes :func:`keyvault.places.home`.

    From a folder, files that are not sealed keys are left out, and keys that are expired, for
    other hosts, revoked or older than what was used before are refused only when a frame needs
    them, unless none can be opened.  A file that was named is refused at once.

    Raises:
        WrongHostError: sealed for other hosts; the message names them.
        ExpiredGrantError, NotYetValidError: not valid now.
        RevokedError, DisabledKeyError, RetiredEpochError: the status list says so.
        StatusMissingError, StatusExpiredError, StatusClockError: a key needs another status list.
        RollbackError: a key or the status list is older than what was used before.
        AuthenticationError: issued by another vault, altered, or inconsistent.
        MarkError, OutputError: what was used is damaged, or cannot be kept.
        HostKeyError, PassphraseError, ExposedFileError, TokenError, TokenUriError: the identity cannot be used.
        GrantFormatError, InputError: not a sealed key, or a file cannot be read.
    """
    base = places.home() if home is None else Path(home)
    sources = [Path(sealed)] if isinstance(sealed, str | os.PathLike) else [Path(path) for path in sealed]
    clock, marks = _clock(now), places.marks_folder(base)
    with _identity(identity, passphrase, base) as key:
        issuer = trust if isinstance(trust, Ed25519PublicKey) else load_issuer(Path(trust or places.issuer_file(base)))
        listed = newest_status(marks, issuer, Path(status) if status else None, places.status_file(base), clock())
        host = Host(key, issuer, Standing(marks, listed, thumbprint(key.public_key())))
        opened, refused = open_all(sources, host, clock())
    if not opened:
        raise _nothing_opened(sources, refused)
    return Session(opened, refused, listed, clock)


@contextmanager
def _identity(identity: PathLike | HostIdentity | None, passphrase: bytes | None, base: Path) -> Iterator[HostIdentity]:
    """The host's private key; a token that is opened here is logged out of in the end."""
    if isinstance(identity, str) and is_token_uri(identity):
        with open_token(identity, passphrase) as key:
            yield key
    elif identity is None or isinstance(identity, str | os.PathLike):
        yield load_host_key(Path(identity or places.host_key_file(base)), passphrase)
    else:
        yield identity


def _clock(now: int | None) -> Callable[[], int]:
    if now is None:
        return lambda: int(time.time())
    return lambda: now


def _nothing_opened(sources: list[Path], refused: Mapping[str, Refusal]) -> PrivcamError:
    for refusal in refused.values():
        return refusal.error
    names = ", ".join(map(str, sources)) or "no files"
    return InputError(f"no sealed key in {names}", hint="give the sealed.bin that keyvault issue wrote")
