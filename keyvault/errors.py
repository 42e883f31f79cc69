"""What can go wrong, as types, and the exit code each has on every command line.

Every refusal in this project derives from :class:`PrivcamError`.  The message says what was
expected and what was found; ``hint`` says what to do next.  Exit codes are part of the public
interface and are listed in docs/exit_codes.md.
"""

from __future__ import annotations


class PrivcamError(Exception):
    """Base of every refusal.

    Attributes:
        exit_code: what a command exits with when this error ends it.
        hint: what the user can do next; empty where there is nothing to do.
    """

    exit_code = 1

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class InputError(PrivcamError):
    """An input file, image, data set or array cannot be read or has the wrong form."""

    exit_code = 3


class OutputError(PrivcamError):
    """An output cannot be written, or would overwrite what must be kept."""

    exit_code = 4


class PolicyError(PrivcamError):
    """A policy is inconsistent, or the thing at hand does not fit it (geometry, depth, CFA)."""

    exit_code = 5


class AuthenticationError(PrivcamError):
    """A signature, tag or commitment does not verify: the data is not what its signer made."""

    exit_code = 6


class NotARecipientError(PrivcamError):
    """A sealed key was not sealed for this host or device."""

    exit_code = 7


class ValidityError(PrivcamError):
    """A grant is not valid now: expired, or not valid yet."""

    exit_code = 8


class VaultError(PrivcamError):
    """The vault is missing, exists already, or does not know the name asked for."""

    exit_code = 9


class PassphraseError(PrivcamError):
    """A passphrase is missing, wrong, or was given where the secret has none."""

    exit_code = 10
