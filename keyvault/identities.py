"""Whatever a host's private key is in, as users name it: a PEM file, or a PKCS#11 token."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from keyvault import passphrase, token_uri
from keyvault.errors import PassphraseError
from keyvault.jwe import HostIdentity
from keyvault.token_uri import TokenUri
from keyvault.unlocking import Unlock

if TYPE_CHECKING:
    from keyvault.pkcs11 import TokenKey


@contextmanager
def open_identity(named: str, unlock: Unlock, pin_file: str | None) -> Iterator[HostIdentity]:
    """A host's private key, ready for use; a token is logged out of in the end.

    Args:
        named: a PEM file, or a PKCS#11 URI.
        unlock: what opens the PEM file.
        pin_file: of the token, as :func:`keyvault.passphrase.existing` takes it; None takes the URI's
            pin-source, or asks.

    Raises:
        PassphraseError: what is given or typed does not fit.
        As :meth:`keyvault.unlocking.Unlock.host_key` or :func:`keyvault.pkcs11.open_key`.
    """
    if not token_uri.is_token_uri(named):
        if pin_file is not None:
            raise PassphraseError(f"{named} is a file and has no PIN", hint="leave --pin-file out")
        yield unlock.host_key(Path(named))
        return
    if unlock.given:
        raise PassphraseError("a key in a token has a PIN and no passphrase", hint="give --pin-file instead")
    with open_token(named, pin(token_uri.parse(named), pin_file)) as key:
        yield key


def open_token(uri: str, given: bytes | None) -> TokenKey:
    """The key that a PKCS#11 URI names; its pin-source or the terminal gives the PIN where ``given`` is None."""
    from keyvault.pkcs11 import open_key  # noqa: PLC0415  # needs a library that files do not need

    parsed = token_uri.parse(uri)
    return open_key(parsed, pin(parsed, None) if given is None else given)


def pin(uri: TokenUri, pin_file: str | None) -> bytes:
    """The PIN of a token: from a file, from the URI's file, or typed; PassphraseError or InputError."""
    if pin_file is None and uri.pin_source is not None:
        pin_file = str(uri.pin_source)
    return passphrase.existing(pin_file, f"token {uri.token or uri.module}", "--pin-file FILE", "PIN")
