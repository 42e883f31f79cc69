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


class ProblemsFoundError(PrivcamError):
    """``keyvault doctor`` has found something wrong, or with --strict something that is about to be."""

    exit_code = 15


class TokenError(PrivcamError):
    """A PKCS#11 token, its module or the key in it cannot be used."""

    exit_code = 16


class GrantFormatError(InputError):
    """A file is not a sealed key: wrong size, encoding, structure, members or version."""


class DeviceFileError(InputError):
    """A device file is not one, or holds keys that do not belong together."""


class HostKeyError(InputError):
    """A host key file is not an RSA key in PEM, or holds the other half of the pair."""


class TokenUriError(InputError):
    """A PKCS#11 URI is malformed, or names no module."""


class TokenModuleError(TokenError):
    """A PKCS#11 module cannot be loaded, or what loads it is not installed."""


class TokenMissingError(TokenError):
    """The module sees no token of that name, or the token was taken away."""


class TokenAmbiguousError(TokenError):
    """Several tokens, or several keys of a token, are what was named."""


class TokenKeyMissingError(TokenError):
    """The token has no RSA private key of that name."""


class TokenKeyExposedError(TokenError):
    """A private key in a token can be read out of it."""


class TokenPinError(PassphraseError):
    """The PIN of a token is wrong."""


class TokenPinLockedError(TokenPinError):
    """The PIN of a token is locked, after too many wrong ones."""


class KeyFileError(InputError):
    """A key file does not hold 32 bytes in base64."""


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


class RollbackError(ValidityError):
    """A file of the vault is older than what has been used here."""


class EpochRollbackError(RollbackError):
    """A sealed key is of an older epoch than the newest that this sensor has used."""


class MinEpochRollbackError(RollbackError):
    """A sealed key says that older epochs may be used than a newer file has said."""


class SerialRollbackError(RollbackError):
    """A sealed key is older than another one of the same epochs that was used here."""


class EpochKeyChangedError(RollbackError):
    """An epoch has another key than the one under which this sensor has made frames."""


class RetiredEpochError(RollbackError):
    """The vault has said that epochs so old are no longer to be used."""


class StatusRollbackError(RollbackError):
    """A status list is older than one that was used here."""


class MarkError(InputError):
    """A high-water mark is damaged, or is that of another sensor."""


class StatusListError(InputError):
    """A file is not a status list: wrong size, encoding, structure, members or version."""


class StatusSignatureError(AuthenticationError):
    """The issuer's signature over a status list does not verify."""


class StatusContentError(AuthenticationError):
    """A correctly signed status list contradicts itself."""


class StatusMissingError(ValidityError):
    """A sealed key is to be opened with a status list at hand only, and there is none."""


class StatusExpiredError(ValidityError):
    """The status list is older than a sealed key allows."""


class StatusClockError(ValidityError):
    """The status list was issued later than this machine's clock says it is."""


class DisabledKeyError(ValidityError):
    """The vault has disabled the epoch, or destroyed its key."""


class RevokedError(NotARecipientError):
    """The vault has revoked this sensor or host."""


class VaultExistsError(VaultError):
    """There is a vault at this place already."""


class VaultBusyError(VaultError):
    """Other processes use the vault, and did not let go of it in time."""


class VaultMissingError(VaultError):
    """There is no vault at this place."""


class VaultDamagedError(VaultError):
    """The vault's file is not a vault, was changed from outside, or is in use."""


class UnknownNameError(VaultError):
    """The vault has no sensor, host or epoch of that name."""


class NameTakenError(VaultError):
    """The name, or the key behind it, is enrolled already."""


class VaultSchemaError(VaultError):
    """The vault's file was made by another version of this program, and this one cannot use it."""


class StateError(VaultError):
    """The state of an epoch, sensor or host does not allow what was asked for."""


class FleetError(VaultError):
    """A command for many sensors was refused for some of them."""


class BackupFormatError(InputError):
    """A file is not a backup of a vault, or one of another version."""


class BackupDamagedError(AuthenticationError):
    """A backup was changed or cut short since it was made."""


class AuditError(AuthenticationError):
    """The audit log is not the one that the vault made."""


class AuditRecordError(AuditError):
    """A record of the audit log is missing, changed, out of order, or not the vault's."""


class AuditHeadError(AuditError):
    """The head of an audit log is missing, or was not signed by the vault."""


class AuditRollbackError(AuditError):
    """The audit log does not hold what it held when a head of it was kept elsewhere."""


class AuditHeadFormatError(InputError):
    """A file does not hold the head of an audit log."""
