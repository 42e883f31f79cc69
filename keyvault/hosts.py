"""RSA keys of authorised hosts, and public keys in PEM files."""

from __future__ import annotations

from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes

from keyvault.errors import HostKeyError, PassphraseError, WeakKeyError
from keyvault.files import read_bounded
from keyvault.pkcs8 import check_costs, encrypt, is_encrypted
from keyvault.secret_files import read_secret, write_secret

MIN_RSA_BITS, MAX_RSA_BITS = 3072, 8192
MAX_PEM = 16_384
_EXPONENT = 65_537


def check_strength(key: RSAPublicKey | RSAPrivateKey) -> None:
    """Raise WeakKeyError unless the key has 3072 to 8192 bits."""
    check_bits(key.key_size)


def check_bits(bits: int) -> None:
    """Raise WeakKeyError unless an RSA key of so many bits is accepted: 3072 to 8192."""
    if not MIN_RSA_BITS <= bits <= MAX_RSA_BITS:
        raise WeakKeyError(
            f"an RSA key of {bits} bits; {MIN_RSA_BITS} to {MAX_RSA_BITS} are accepted",
            hint="make one with keyvault host-key",
        )


def generate_host_key(bits: int = MIN_RSA_BITS) -> RSAPrivateKey:
    """A new RSA key pair of 3072 to 8192 bits; WeakKeyError for other sizes."""
    check_bits(bits)
    return rsa.generate_private_key(_EXPONENT, bits)


def save_host_key(key: RSAPrivateKey, path: Path, passphrase: bytes | None) -> None:
    """Write a private key as PKCS #8 PEM of mode 0600, encrypted unless ``passphrase`` is None.

    Raises:
        OutputError: PATH exists or cannot be written.
    """
    write_secret(path, private_pem(key, passphrase))


def private_pem(key: RSAPrivateKey, passphrase: bytes | None) -> bytes:
    """A private key as PKCS #8 PEM, encrypted unless ``passphrase`` is None."""
    pkcs8, plain = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    if passphrase is None:
        return key.private_bytes(serialization.Encoding.PEM, pkcs8, plain)
    return encrypt(key.private_bytes(serialization.Encoding.DER, pkcs8, plain), passphrase)


def load_host_key(path: Path, passphrase: bytes | None = None) -> RSAPrivateKey:
    """Read a host's private key.

    Raises:
        PassphraseError: the passphrase is missing, wrong, or given for a key that has none.
        ExposedFileError: other users can read the file.
        HostKeyError: not an RSA private key in PEM; WeakKeyError: outside 3072 to 8192 bits.
        InputError: the file cannot be read.
    """
    data = read_secret(path, MAX_PEM, "host key")
    if b"-----BEGIN PUBLIC KEY-----" in data:
        raise HostKeyError(f"{path} holds a public key", hint="give the private key that was made with it")
    if is_encrypted(data):
        check_costs(data)
    try:
        key = serialization.load_pem_private_key(data, passphrase)
    except TypeError as error:
        raise _passphrase_error(path, passphrase) from error
    except (ValueError, UnsupportedAlgorithm) as error:
        if passphrase is not None and b"ENCRYPTED" in data:
            raise PassphraseError(f"wrong passphrase for {path}", hint="give the one it was made with") from error
        raise HostKeyError(f"{path} is not a private key in PEM", hint="make one with keyvault host-key") from error
    if not isinstance(key, RSAPrivateKey):
        raise HostKeyError(f"{path} is not an RSA key", hint="make one with keyvault host-key")
    check_strength(key)
    return key


def needs_passphrase(path: Path) -> bool:
    """Whether a private key file is encrypted; raises as :func:`load_host_key` if it cannot be read."""
    return is_encrypted(read_secret(path, MAX_PEM, "host key"))


def public_pem(key: RSAPublicKey | Ed25519PublicKey) -> bytes:
    """A public key as PEM SubjectPublicKeyInfo (RFC 7468)."""
    return key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


def load_host_public(path: Path) -> RSAPublicKey:
    """Read a host's public key.

    Raises:
        HostKeyError: not an RSA public key in PEM; WeakKeyError: outside 3072 to 8192 bits.
        InputError: the file cannot be read.
    """
    what = "the RSA public key of a host"
    key = _load_public(path, what)
    if not isinstance(key, RSAPublicKey):
        raise HostKeyError(f"{path} is not {what}")
    check_strength(key)
    return key


def load_issuer(path: Path) -> Ed25519PublicKey:
    """Read an issuer's public key; HostKeyError or InputError if it is not one."""
    what = "the Ed25519 public key of an issuer"
    key = _load_public(path, what)
    if not isinstance(key, Ed25519PublicKey):
        raise HostKeyError(f"{path} is not {what}")
    return key


def _load_public(path: Path, what: str) -> PublicKeyTypes:
    data = read_bounded(path, MAX_PEM, "public key")
    if b"PRIVATE KEY-----" in data:
        raise HostKeyError(f"{path} holds a private key", hint="keep it where it is and give its public half")
    try:
        return serialization.load_pem_public_key(data)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise HostKeyError(f"{path} is not a public key in PEM", hint=f"give {what}") from error


def _passphrase_error(path: Path, passphrase: bytes | None) -> PassphraseError:
    if passphrase is None:
        return PassphraseError(f"{path} is protected by a passphrase", hint="give --passphrase-file")
    return PassphraseError(f"{path} has no passphrase, but one was given", hint="leave the passphrase out")
