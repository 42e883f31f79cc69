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


class GrantFormatError(InputError):
    """A file is not a sealed key: wrong size, encoding, structure, members or version."""


class DeviceFileError(InputError):
    """A device file is not one, or holds keys that do not belong together."""


class HostKeyError(InputError):
    """A host key file is not an RSA key in PEM, or holds the other half of the pair."""


class WeakKeyError(HostKeyError):
    """An RSA key is shorter than 3072 bits, or longer than the 8192 that a sealed key has room for."""


class ExposedFileError(InputError):
    """A file with secrets can be read by other users."""


class UnknownIssuerError(AuthenticationError):
    """A sealed key was signed by another issuer than the trusted one."""


class GrantSignatureError(AuthenticationError):
    """The issuer's signature over a sealed key does not verify."""


class GrantContentError(AuthenticationError):
    """A correctly signed sealed key contradicts itself, such as recipients that differ from the claims."""


class UnsealError(AuthenticationError):
    """The epoch key cannot be unsealed with the key that the recipient's id names."""


class CommitmentError(AuthenticationError):
    """The unsealed epoch key is not the one that the grant commits to."""


class WrongDeviceError(NotARecipientError):
    """A sealed key is for another sensor, or for an earlier enrolment of this one."""


class WrongHostError(NotARecipientError):
    """A sealed key does not name this host."""


class ExpiredGrantError(ValidityError):
    """The grant's last second has passed."""


class NotYetValidError(ValidityError):
    """The grant's first second is still to come."""


class VaultExistsError(VaultError):
    """There is a vault at this place already."""


class VaultMissingError(VaultError):
    """There is no vault at this place."""


class VaultDamagedError(VaultError):
    """The vault's file is not a vault, was changed from outside, or is in use."""


class UnknownNameError(VaultError):
    """The vault has no sensor, host or epoch of that name."""


class NameTakenError(VaultError):
    """The name, or the key behind it, is enrolled already."""
