"""Loading PKCS#11 modules, finding tokens, and logging in; each refusal as an error of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from keyvault.errors import (
    TokenAmbiguousError,
    TokenError,
    TokenMissingError,
    TokenModuleError,
    TokenPinError,
    TokenPinLockedError,
)
from keyvault.token_uri import TokenUri

if TYPE_CHECKING:
    from pkcs11 import PKCS11Error
    from pkcs11._pkcs11 import lib as Module
    from pkcs11.types import Session, Token


def open_session(uri: TokenUri, pin: bytes, *, writable: bool = False) -> Session:
    """A session of the one token that a URI names, logged in; raises as :func:`keyvault.pkcs11.open_key`."""
    try:
        import pkcs11  # noqa: PLC0415
    except ImportError as error:
        raise needs_library(error) from error
    token = _the_one(_tokens(_module(uri)), uri)
    try:
        words = pin.decode()
    except UnicodeDecodeError as error:
        raise TokenPinError(f"the PIN of token {token.label!r} is not UTF-8", hint="give the right one") from error
    try:
        return token.open(rw=writable, user_pin=words)
    except pkcs11.UserAlreadyLoggedIn:  # this process has a session of the token; logins hold for all of them
        return token.open(rw=writable)
    except (pkcs11.PinIncorrect, pkcs11.PinInvalid, pkcs11.PinLenRange, pkcs11.PinLocked) as error:
        locked = isinstance(error, pkcs11.PinLocked)
        raise pin_error(_now(token), locked=locked) from error
    except pkcs11.PKCS11Error as error:
        raise refused(f"{token.label!r} lets nobody in", error) from error


def pin_error(token: Token, *, locked: bool) -> TokenPinError:
    """A PIN that was refused, with what the token says of the tries that are left."""
    from pkcs11 import TokenFlag  # noqa: PLC0415

    if locked or TokenFlag.USER_PIN_LOCKED in token.flags:
        return TokenPinLockedError(
            f"the PIN of token {token.label!r} is locked, after too many wrong ones",
            hint="unlock it with the security officer's PIN and the token's own tools",
        )
    left = "give the right one"
    if TokenFlag.USER_PIN_FINAL_TRY in token.flags:
        left = "the next wrong one locks it: make sure before you try again"
    return TokenPinError(f"wrong PIN for token {token.label!r}", hint=left)


def refused(what: str, error: PKCS11Error) -> TokenError:
    """What a token refuses, with PKCS#11's own name for the reason."""
    import pkcs11  # noqa: PLC0415

    if isinstance(error, pkcs11.DeviceRemoved | pkcs11.TokenNotPresent | pkcs11.SessionHandleInvalid):
        return TokenMissingError("the token was taken away", hint="put it back and start again")
    words = " ".join(filter(None, (type(error).__name__, str(error))))
    return TokenError(f"the token {what}: {words}", hint="see the documentation of its PKCS#11 module")


def needs_library(error: ImportError) -> TokenModuleError:
    """The refusal where the libraries for tokens are not installed."""
    return TokenModuleError(
        f"keys in tokens need {error.name or error}, which is not installed", hint='pip install "privcam[hsm]"'
    )


def _module(uri: TokenUri) -> Module:
    import pkcs11  # noqa: PLC0415

    if not uri.module.is_absolute() or not uri.module.is_file():
        raise TokenModuleError(
            f"there is no PKCS#11 module {uri.module}", hint="give the absolute path of its library as module-path"
        )
    try:
        return pkcs11.lib(str(uri.module))
    except pkcs11.PKCS11Error as error:
        raise TokenModuleError(
            f"{uri.module} cannot be used as a PKCS#11 module: {str(error) or type(error).__name__}",
            hint="check the path and the module's own configuration",
        ) from error


def _tokens(module: Module) -> list[Token]:
    import pkcs11  # noqa: PLC0415

    try:
        tokens = [slot.get_token() for slot in module.get_slots(token_present=True)]
    except pkcs11.PKCS11Error as error:
        raise refused("cannot be read", error) from error
    return [token for token in tokens if pkcs11.TokenFlag.TOKEN_INITIALIZED in token.flags]


def _the_one(tokens: list[Token], uri: TokenUri) -> Token:
    fitting = [token for token in tokens if _fits(token, uri)]
    if not fitting:
        there = ", ".join(sorted(repr(token.label) for token in tokens)) or "none"
        raise TokenMissingError(
            f"{uri.module} sees no token that the URI names", hint=f"plug it in, or name one of those it sees: {there}"
        )
    if len(fitting) > 1:
        serials = ", ".join(sorted(token.serial.decode(errors="replace") for token in fitting))
        raise TokenAmbiguousError(
            f"{len(fitting)} tokens are what the URI names", hint=f"add ;serial= with one of {serials}"
        )
    return fitting[0]


def _fits(token: Token, uri: TokenUri) -> bool:
    stated = (
        (uri.token, token.label),
        (uri.manufacturer, token.manufacturer_id),
        (uri.model, token.model),
        (uri.serial, token.serial.decode(errors="replace")),
    )
    return all(wanted is None or wanted == own.rstrip() for wanted, own in stated)


def _now(token: Token) -> Token:
    """The token as it is now: its flags are those of the moment at which it was asked for."""
    return token.slot.get_token()
