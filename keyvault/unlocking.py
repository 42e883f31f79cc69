"""What a command line says about the secret that opens a vault or a host's private key."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from keyvault.errors import PassphraseError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

    from keyvault.vault_key import Lock, Secret

KDFS = ("argon2id", "scrypt")
_BOTH = "a passphrase file and a key file were both given"


@dataclass(frozen=True, slots=True)
class Unlock:
    """Where the secret of something that exists comes from; the terminal, if neither file is named."""

    passphrase_file: str | None = None
    key_file: Path | None = None

    def __post_init__(self) -> None:
        if self.passphrase_file is not None and self.key_file is not None:
            raise PassphraseError(_BOTH, hint="give one of them")

    @property
    def given(self) -> bool:
        """Whether a file was named."""
        return self.passphrase_file is not None or self.key_file is not None

    def secret(self, what: str, lock: Lock) -> Secret:
        """What opens the lock of ``what``; None if nothing is needed.

        Raises:
            PassphraseError: a key file is needed and none was named; as :func:`keyvault.passphrase.existing`.
            KeyFileError, ExposedFileError, InputError: as :func:`keyvault.key_files.read`.
        """
        from keyvault import key_files, passphrase  # noqa: PLC0415

        if self.key_file is not None:
            return key_files.read(self.key_file)
        if lock.by_file and self.passphrase_file is None:
            raise PassphraseError(f"{what} is protected by a key file", hint="give --key-file FILE")
        return passphrase.existing(self.passphrase_file, what) if lock.kind or self.passphrase_file else None

    def host_key(self, path: Path) -> RSAPrivateKey:
        """A host's private key in a PEM file; raises as :meth:`secret` and :func:`keyvault.hosts.load_host_key`."""
        from keyvault import hosts, key_files, passphrase  # noqa: PLC0415

        if self.key_file is not None:
            return hosts.load_host_key(path, key_files.read(self.key_file).line)
        needed = self.passphrase_file is not None or hosts.needs_passphrase(path)
        return hosts.load_host_key(path, passphrase.existing(self.passphrase_file, str(path)) if needed else None)


@dataclass(frozen=True, slots=True)
class NewSecret:
    """Where the secret of something that is being made comes from, and how a passphrase is stretched."""

    passphrase_file: str | None = None
    key_file: Path | None = None
    without: bool = False
    kdf: str = KDFS[0]

    def __post_init__(self) -> None:
        if self.key_file is not None and (self.without or self.kdf != KDFS[0]):
            raise PassphraseError("a key file has no passphrase and no --kdf", hint="give --key-file alone")
        if self.key_file is not None and self.passphrase_file is not None:
            raise PassphraseError(_BOTH, hint="give one of them")

    def secret(self, what: str, flags: str | None = None) -> Secret:
        """The new secret of ``what``; None to go without.  Makes the key file if it is not there.

        Args:
            what: what it protects, for the prompt and for messages.
            flags: how the command line gives a passphrase, if not by the usual options.

        Raises:
            As :func:`keyvault.passphrase.new` and :func:`keyvault.key_files.read_or_make`.
        """
        from keyvault import key_files, passphrase  # noqa: PLC0415
        from keyvault.vault_key import ScryptPassphrase  # noqa: PLC0415

        if self.key_file is not None:
            return key_files.read_or_make(self.key_file)
        words = passphrase.new(self.passphrase_file, self.without, what, *([flags] if flags else []))
        return ScryptPassphrase(words) if words is not None and self.kdf == "scrypt" else words

    def for_pem(self, what: str, flags: str | None = None) -> bytes | None:
        """The new passphrase of a PEM file, which may be a key file's line; raises as :meth:`secret`."""
        from keyvault.key_files import FileKey  # noqa: PLC0415

        secret = self.secret(what, flags)
        return secret.line if isinstance(secret, FileKey) else secret
