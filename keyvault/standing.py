"""Whether a sealed key that was opened may be used: by the newest status list at hand, and by the high-water marks.

Only what was verified and unsealed gets here, so that no file can move a mark that its reader
could not have used (docs/spec/marks.md).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from keyvault.errors import PrivcamError, RevokedError, StatusMissingError, UnknownIssuerError, ValidityError
from keyvault.grant import Grant
from keyvault.identity import thumbprint
from keyvault.mark_files import advance, load
from keyvault.marks import HostMark, ListMark, SensorMark
from keyvault.status_list import PUBLISH, StatusList, check, check_clock, read_status

Refusals = dict[str, PrivcamError]
"""Why grants of one sealed key are not used, by key id."""


@dataclass(frozen=True, slots=True)
class Standing:
    """What a sensor or a host knows of one vault.

    Attributes:
        marks: the folder of its high-water marks.
        status: the vault's newest status list at hand, or None.
        reader: key id of the sensor or host.
    """

    marks: Path
    status: StatusList | None
    reader: str

    def admit_sensor(self, grant: Grant, now: int | None = None) -> None:
        """Let a sensor use a key that it has opened, and remember that it did.

        Raises:
            RevokedError, DisabledKeyError, RetiredEpochError: the status list says so.
            StatusMissingError, StatusExpiredError, StatusClockError: the key needs another status list.
            RollbackError: an older key than this sensor has used.
            MarkError, ExposedFileError, OutputError: the mark is damaged, open to others or cannot be kept.
        """
        check(self.status, grant, self.reader, now)
        advance(self.marks, SensorMark(grant.issuer, grant.sensor), lambda mark: mark.after(grant))

    def admit_host(self, files: Sequence[Sequence[Grant]], now: int | None = None) -> list[Refusals]:
        """Which grants of sealed keys that it has opened a host may not use, file by file.

        The files are judged together, so that their order does not matter, and what the admitted
        ones say is remembered.

        Args:
            files: the grants of each file.
            now: Unix time; None takes the clock.

        Raises:
            MarkError, ExposedFileError, OutputError: a mark is damaged, open to others or cannot be kept.
        """
        refused = [self._by_status(grants, now) for grants in files]
        usable = [number for number, grants in enumerate(files) if len(refused[number]) < len(grants)]
        for sensor in sorted({(files[number][0].issuer, files[number][0].sensor) for number in usable}):
            own = [number for number in usable if (files[number][0].issuer, files[number][0].sensor) == sensor]
            mark = self._advance(HostMark(*sensor), [files[number] for number in own])
            for number in own:
                found = {grant.key_id: mark.refusal(files[number], grant) for grant in files[number]}
                rolled_back = {key_id: error for key_id, error in found.items() if error is not None}
                refused[number] = rolled_back | refused[number]
        return refused

    def _by_status(self, grants: Sequence[Grant], now: int | None) -> Refusals:
        refused: Refusals = {}
        for grant in grants:
            try:
                check(self.status, grant, self.reader, now)
            except (RevokedError, ValidityError) as error:
                refused[grant.key_id] = error
        return refused

    def _advance(self, fresh: HostMark, files: Sequence[Sequence[Grant]]) -> HostMark:
        least = self.status.min_epochs.get(fresh.sensor, 1) if self.status else 1
        return advance(self.marks, fresh, lambda mark: mark.after(files, least))


def newest_status(
    marks: Path, issuer: Ed25519PublicKey, given: Path | None, usual: Path, now: int | None = None
) -> StatusList | None:
    """The status list of a vault that is at hand, which must not be older than the newest used here.

    Args:
        marks: the folder that remembers the newest.
        issuer: the vault's public key.
        given: a file that must be one of this vault; None takes the usual place.
        usual: where one may be; a list of another vault there is passed over.
        now: Unix time; None takes the clock.

    Returns:
        None if none is given, none of this vault is in its usual place, and none was ever used here.

    Raises:
        StatusMissingError: there is none now, and one was used here before.
        StatusClockError: it is from the future.
        StatusRollbackError: a newer list was used here before.
        PrivcamError: as :func:`keyvault.status_list.read_status` and :func:`keyvault.mark_files.advance`.
    """
    status, fresh = _at_hand(issuer, given, usual), ListMark(thumbprint(issuer))
    if status is None:
        used = load(marks, fresh).number
        if used:
            raise StatusMissingError(
                f"status list {used} of vault {fresh.issuer} was used here, and now {usual} is missing or another's",
                hint=f"{PUBLISH}; --status names one elsewhere",
            )
        return None
    check_clock(status, now)
    advance(marks, fresh, lambda mark: mark.after(status.number))
    return status


def _at_hand(issuer: Ed25519PublicKey, given: Path | None, usual: Path) -> StatusList | None:
    if given is None and not usual.exists():
        return None
    try:
        return read_status(given or usual, issuer)
    except UnknownIssuerError:
        if given is not None:
            raise
        return None
