"""Which sealed keys a host opens, and why it does not use the others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from keyvault.envelope import read_sealed, sealed_in
from keyvault.errors import NotARecipientError, PrivcamError, ValidityError
from keyvault.grant import Grant, OpenGrant
from keyvault.jwe import HostIdentity
from keyvault.standing import Refusals, Standing


@dataclass(frozen=True, slots=True)
class Host:
    """An authorised host: its private key, the vault that it trusts, and what it knows of that vault."""

    identity: HostIdentity
    issuer: Ed25519PublicKey
    standing: Standing


@dataclass(frozen=True, slots=True)
class Refusal:
    """A verified grant that this host does not use, and why."""

    grant: Grant
    error: PrivcamError


@dataclass(frozen=True, slots=True)
class _Unsealed:
    """A sealed key's file that this host has opened; ``named`` unless it was found in a folder."""

    path: Path
    named: bool
    opened: tuple[OpenGrant, ...]

    @property
    def grants(self) -> list[Grant]:
        return [one.grant for one in self.opened]


def open_all(sources: Sequence[Path], host: Host, now: int) -> tuple[dict[str, OpenGrant], dict[str, Refusal]]:
    """Open sealed keys, files and folders of them, and remember the newest.

    Returns:
        The opened and the refused grants, both by key id.

    Raises:
        PrivcamError: the first refusal of a file that was named and of which no grant is usable;
            of any file that cannot be read or is not what the vault made; of a mark.
    """
    unsealed: list[_Unsealed] = []
    refused: dict[str, Refusal] = {}
    for path, named in _files(sources):
        sealed = read_sealed(path, host.issuer)
        try:
            unsealed.append(_Unsealed(path, named, sealed.open_as_host(host.identity, now)))
        except (NotARecipientError, ValidityError) as error:
            if named:
                raise _naming(path, error) from error
            refused.update({grant.key_id: Refusal(grant, _naming(path, error)) for grant in sealed.grants})
        except PrivcamError as error:
            raise _naming(path, error) from error
    opened: dict[str, OpenGrant] = {}
    for file, errors in zip(unsealed, host.standing.admit_host([file.grants for file in unsealed], now), strict=True):
        opened.update({one.grant.key_id: one for one in file.opened if one.grant.key_id not in errors})
        refused.update(_refusals(file, errors))
    return opened, refused


def _files(sources: Sequence[Path]) -> list[tuple[Path, bool]]:
    """Each file, and whether it was named rather than found."""
    files: list[tuple[Path, bool]] = []
    for source in sources:
        files += [(path, False) for path in sealed_in(source)] if source.is_dir() else [(source, True)]
    return files


def _refusals(file: _Unsealed, errors: Refusals) -> dict[str, Refusal]:
    found = {grant.key_id: _naming(file.path, errors[grant.key_id]) for grant in file.grants if grant.key_id in errors}
    if file.named and len(found) == len(file.grants):
        raise next(iter(found.values()))
    return {grant.key_id: Refusal(grant, found[grant.key_id]) for grant in file.grants if grant.key_id in found}


def _naming(path: Path, error: PrivcamError) -> PrivcamError:
    return type(error)(f"{path}: {error}", hint=error.hint)
