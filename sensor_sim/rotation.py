"""A newer key for a running sensor: on demand, or when its file changes."""

from __future__ import annotations

from dataclasses import replace

from keyvault.errors import PrivcamError
from keyvault.grant import Grant
from sensor_sim.desk import Desk
from sensor_sim.keys import KeyPlace, Stamp
from sensor_sim.slots import SECOND_NS


def take_over(place: KeyPlace, desk: Desk) -> Grant:
    """The newest key that is valid now makes the next frame; raises as :meth:`Sensor.with_key` does."""
    return desk.change(lambda setup: replace(setup, sensor=setup.sensor.with_key(place))).sensor.grant


class KeyWatch:
    """Looks at the key's files now and then; takes over a newer key, and lives on if there is none.

    Args:
        place: where to look.
        seconds: between looks; None for never.
    """

    def __init__(self, place: KeyPlace, seconds: float | None) -> None:
        self.place = place
        self._every_ns = None if seconds is None else round(seconds * SECOND_NS)
        self._next_ns = 0
        self._seen: Stamp | None = None
        self.error: str | None = None

    def look(self, desk: Desk, now_ns: int) -> None:
        """Take over a newer key if the files changed, the last look failed, or the key in use expired.

        What goes wrong is kept in ``error``: a file may be about to be replaced, so the next look
        tries again, and the key in use stays.
        """
        valid = _valid(desk.setup.sensor.grant)
        if self._every_ns is None or (valid and now_ns < self._next_ns):
            return
        self._next_ns = now_ns + self._every_ns
        stamp = self.place.stamp()
        if stamp == self._seen and self.error is None and valid:
            return
        try:
            take_over(self.place, desk)
            self._seen, self.error = stamp, None
        except PrivcamError as error:
            self.error = str(error)


def _valid(grant: Grant) -> bool:
    try:
        grant.check_validity()
    except PrivcamError:
        return False
    return True
