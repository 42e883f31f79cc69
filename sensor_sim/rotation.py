"""A newer key for a running sensor: on demand, or when its file changes; and what is said of the one in use."""

from __future__ import annotations

from dataclasses import replace

from keyvault.errors import PrivcamError, StatusMissingError
from keyvault.grant import Grant
from keyvault.identity import thumbprint
from keyvault.status_list import StatusList, check
from sensor_sim.desk import Desk
from sensor_sim.keys import KeyPlace, Stamp
from sensor_sim.sensor import Sensor
from sensor_sim.slots import SECOND_NS


def take_over(place: KeyPlace, desk: Desk) -> Grant:
    """The newest key that is valid now makes the next frame; raises as :meth:`Sensor.with_key` does."""
    return desk.change(lambda setup: replace(setup, sensor=setup.sensor.with_key(place))).sensor.grant


class KeyWatch:
    """Looks at the key's files now and then: takes over a newer key, and ends the use of one that was taken back.

    Args:
        place: where to look.
        seconds: between looks; None for never.
    """

    def __init__(self, place: KeyPlace, seconds: float | None) -> None:
        self.place = place
        self._every_ns = None if seconds is None else round(seconds * SECOND_NS)
        self._next_ns = 0
        self._seen: Stamp | None = None
        self._status: StatusList | None = None
        self.error: str | None = None

    def look(self, desk: Desk, now_ns: int) -> None:
        """Take over a newer key if the files changed, the last look failed, or the key in use expired.

        What goes wrong with the files is kept in ``error``: one may be about to be replaced, so the
        next look tries again, and the key in use stays.  What the vault says of the key in use holds
        at once: every look judges it by the newest status list, the last good one if that cannot be read.

        Raises:
            RevokedError, DisabledKeyError, RetiredEpochError: the list takes back the key in use.
            StatusMissingError, StatusExpiredError, StatusClockError: the key in use needs another list.
        """
        valid = _valid(desk.setup.sensor.grant)
        if self._every_ns is None or (valid and now_ns < self._next_ns):
            return
        self._next_ns = now_ns + self._every_ns
        stamp = self.place.stamp()
        if stamp != self._seen or self.error is not None or not valid:
            refusals = self._take_over(desk), self._read_status(desk.setup.sensor)
            self._seen, self.error = stamp, refusals[0] or refusals[1]
        grant = desk.setup.sensor.grant
        check(self._status, grant, thumbprint(grant.verifier()))

    def _take_over(self, desk: Desk) -> str | None:
        """Take over a newer key; what is wrong, if something is."""
        try:
            take_over(self.place, desk)
        except PrivcamError as error:
            return str(error)
        return None

    def _read_status(self, sensor: Sensor) -> str | None:
        """Read the newest status list; what is wrong, if something is: then the last one goes on to count.

        Raises StatusMissingError if one was used and is gone.
        """
        try:
            self._status = self.place.newest_status(sensor.issuer)
        except StatusMissingError:
            raise
        except PrivcamError as error:
            return str(error)
        return None


def _valid(grant: Grant) -> bool:
    try:
        grant.check_validity()
    except PrivcamError:
        return False
    return True
