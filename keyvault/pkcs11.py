"""Private keys of hosts that stay in a PKCS#11 token (docs/host_keys.md).

Needs the extra ``hsm``.  A token with RSA-OAEP under SHA-256 does all of the decryption.  SoftHSM 2.6 and
some others know OAEP with SHA-1 alone; there the token does the private operation (CKM_RSA_X_509) and
pycryptodome takes the padding off, in constant time.  The private key is in the token in either case.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.padding import OAEP, AsymmetricPadding
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey, RSAPublicNumbers
from cryptography.hazmat.primitives.hashes import SHA256

from keyvault.errors import (
    TokenAmbiguousError,
    TokenError,
    TokenKeyExposedError,
    TokenKeyMissingError,
)
from keyvault.hosts import MIN_RSA_BITS, check_bits, check_strength
from keyvault.token_sessions import needs_library, open_session, refused
from keyvault.token_uri import TokenUri

if TYPE_CHECKING:
    from pkcs11.types import Session

_ID_BYTES = 8


class TokenKey:
    """A host's key pair whose private half is in a token; fits :class:`keyvault.jwe.HostIdentity`.

    It holds a session of the token, logged in; a context manager that ends it.
    """

    def __init__(self, session: Session, key: Any, public: RSAPublicKey) -> None:
        self._session = session
        self._key = key
        self._public = public
        self._whole = True  # whether the token does all of OAEP, until it has refused to

    def __repr__(self) -> str:
        return f"TokenKey({self._public.key_size} bits in a token)"

    def __enter__(self) -> TokenKey:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Log out."""
        self._session.close()

    def public_key(self) -> RSAPublicKey:
        """The public half."""
        return self._public

    def decrypt(self, ciphertext: bytes, padding: AsymmetricPadding) -> bytes:
        """RSAES-OAEP decryption with SHA-256 and an empty label.

        Raises:
            ValueError: the ciphertext is not one for this key.
            TokenError: the token was taken away, or refuses to work.
            cryptography's UnsupportedAlgorithm: another padding.
        """
        if not isinstance(padding, OAEP) or not isinstance(padding.algorithm, SHA256):
            raise UnsupportedAlgorithm("a key in a token decrypts RSA-OAEP with SHA-256 only")
        if self._whole:
            try:
                return self._decrypt_in_token(ciphertext)
            except _UnsupportedError:
                self._whole = False
        return self._unpadding.decrypt(ciphertext)

    def _decrypt_in_token(self, ciphertext: bytes) -> bytes:
        from pkcs11 import MGF, ArgumentsBad, Mechanism, MechanismInvalid, MechanismParamInvalid  # noqa: PLC0415

        parameters = (Mechanism.SHA256, MGF.SHA256, None)
        with _refused_ciphertext():
            try:
                found = self._key.decrypt(ciphertext, mechanism=Mechanism.RSA_PKCS_OAEP, mechanism_param=parameters)
            except (ArgumentsBad, MechanismInvalid, MechanismParamInvalid) as error:
                raise _UnsupportedError from error
        return bytes(found)

    @cached_property
    def _unpadding(self) -> Any:
        try:
            from Crypto.Cipher import oaep  # noqa: PLC0415
            from Crypto.Hash import SHA256 as HASH  # noqa: PLC0415
        except ImportError as error:
            raise needs_library(error) from error
        return oaep.new(_RawKey(self._key, self._public), hashmod=HASH)  # type: ignore[arg-type]


class _UnsupportedError(Exception):
    """The token does not know OAEP with SHA-256."""


@dataclass(frozen=True, slots=True, repr=False)
class _RawKey:
    """What pycryptodome needs of an RSA key to decrypt, with the private operation in the token."""

    key: Any
    public: RSAPublicKey

    @property
    def n(self) -> int:
        return self.public.public_numbers().n

    def _decrypt_to_bytes(self, ciphertext: int) -> bytes:
        from pkcs11 import Mechanism  # noqa: PLC0415

        length = (self.public.key_size + 7) // 8
        if ciphertext >= self.n:
            raise ValueError("the ciphertext is no less than the modulus")
        with _refused_ciphertext():
            block = self.key.decrypt(ciphertext.to_bytes(length, "big"), mechanism=Mechanism.RSA_X_509)
        return bytes(block).rjust(length, b"\0")


def open_key(uri: TokenUri, pin: bytes) -> TokenKey:
    """Log into a token and find the one RSA private key that a URI names.

    Raises:
        TokenModuleError: the module cannot be loaded, or the extra ``hsm`` is not installed.
        TokenMissingError, TokenKeyMissingError: there is no such token or key.
        TokenAmbiguousError: several are what the URI names.
        TokenPinError, TokenPinLockedError: the PIN is wrong, or locked.
        WeakKeyError: the key has not 3072 to 8192 bits.
        TokenError: the token refuses for another reason.
    """
    session = open_session(uri, pin)
    try:
        key = _the_one(_found(session, uri), uri)
        public = _public(key)
        check_strength(public)
    except BaseException:
        session.close()
        raise
    return TokenKey(session, key, public)


def make_key(uri: TokenUri, pin: bytes, bits: int = MIN_RSA_BITS) -> tuple[RSAPublicKey, bool]:
    """The public half of the key that a URI names, and whether it was made now.

    A key that is there is taken, so that a run that was interrupted after making it can be repeated, and
    so that keys made with a token's own tools can be used.  A new one is made so that it can never be
    read out: sensitive and not extractable.

    Raises:
        As :func:`open_key`, and TokenKeyExposedError if the key can be read out of the token; a new one is
            removed then.
        TokenError: the URI names no object.
    """
    check_bits(bits)
    if uri.object is None:
        raise TokenError("the URI does not say what the key is to be called", hint="add ;object=LABEL to it")
    with open_session(uri, pin, writable=True) as session:
        there = _found(session, uri)
        if there:
            key = _the_one(there, uri)
            if _exposed(key):
                raise TokenKeyExposedError(
                    f"the token's key {uri.object!r} can be read out of it", hint="make another, under another name"
                )
            public = _public(key)
            check_strength(public)
            return public, False
        return _make(session, uri, bits), True


def _make(session: Session, uri: TokenUri, bits: int) -> RSAPublicKey:
    from pkcs11 import Attribute, KeyType, MechanismFlag, PKCS11Error  # noqa: PLC0415

    try:
        public, private = session.generate_keypair(
            KeyType.RSA,
            bits,
            id=uri.id or secrets.token_bytes(_ID_BYTES),
            label=uri.object,
            store=True,
            capabilities=MechanismFlag.ENCRYPT | MechanismFlag.DECRYPT,
            private_template={Attribute.SENSITIVE: True, Attribute.EXTRACTABLE: False},
        )
    except PKCS11Error as error:
        raise refused("cannot make an RSA key", error) from error
    if _exposed(private):
        private.destroy()
        public.destroy()
        raise TokenKeyExposedError(
            "the token makes RSA keys that can be read out of it", hint="make the key with the token's own tools"
        )
    return _public(private)


def _exposed(key: Any) -> bool:
    """Whether a private key can be read out of its token."""
    from pkcs11 import Attribute  # noqa: PLC0415

    return bool(key[Attribute.EXTRACTABLE]) or not key[Attribute.SENSITIVE]


def _found(session: Session, uri: TokenUri) -> list[Any]:
    from pkcs11 import Attribute, KeyType, ObjectClass, PKCS11Error  # noqa: PLC0415

    wanted: dict[Attribute, Any] = {Attribute.CLASS: ObjectClass.PRIVATE_KEY, Attribute.KEY_TYPE: KeyType.RSA}
    wanted |= {Attribute.LABEL: uri.object} if uri.object is not None else {}
    wanted |= {Attribute.ID: uri.id} if uri.id is not None else {}
    try:
        return list(session.get_objects(wanted))
    except PKCS11Error as error:
        raise refused("cannot list its keys", error) from error


def _the_one(found: list[Any], uri: TokenUri) -> Any:
    from pkcs11 import Attribute  # noqa: PLC0415

    if not found:
        named = f"the RSA private key {uri.object!r}" if uri.object is not None else "an RSA private key"
        raise TokenKeyMissingError(
            f"the token does not hold {named} that the URI names", hint="make one: keyvault host-key --token URI"
        )
    if len(found) > 1:
        ids = ", ".join(sorted("".join(f"%{octet:02x}" for octet in key[Attribute.ID]) for key in found))
        raise TokenAmbiguousError(
            f"{len(found)} RSA private keys of the token are what the URI names", hint=f"add ;id= with one of {ids}"
        )
    return found[0]


def _public(key: Any) -> RSAPublicKey:
    from pkcs11 import Attribute, PKCS11Error  # noqa: PLC0415

    try:
        exponent, modulus = (
            int.from_bytes(key[name], "big") for name in (Attribute.PUBLIC_EXPONENT, Attribute.MODULUS)
        )
        check_bits(modulus.bit_length())
        return RSAPublicNumbers(exponent, modulus).public_key()
    except (PKCS11Error, ValueError) as error:
        raise TokenError("the token does not tell the public half of the key", hint="make another key") from error


@contextmanager
def _refused_ciphertext() -> Iterator[None]:
    """Tell a ciphertext that a token refuses, which is a ValueError, from a token that does not work."""
    import pkcs11  # noqa: PLC0415

    about_data = (
        pkcs11.DataInvalid,
        pkcs11.DataLenRange,
        pkcs11.EncryptedDataInvalid,
        pkcs11.EncryptedDataLenRange,
        pkcs11.FunctionFailed,
        pkcs11.GeneralError,
    )
    try:
        yield
    except about_data as error:
        raise ValueError("the token does not decrypt it") from error
    except pkcs11.PKCS11Error as error:
        if isinstance(error, pkcs11.ArgumentsBad | pkcs11.MechanismInvalid | pkcs11.MechanismParamInvalid):
            raise
        raise refused("cannot decrypt", error) from error
