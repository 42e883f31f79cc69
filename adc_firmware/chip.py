"""The converter chip: what goes in is analog, what comes out is a signed private frame."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import NoReturn
from weakref import WeakSet

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from adc_firmware.addressing import MaskGenerator
from adc_firmware.converter import VoltsConverter
from adc_firmware.frame import FrameHeader, PrivateFrame, sign
from adc_firmware.readout import Addresses, AnalogSource, check_geometry, read_rows
from keyvault.derivation import SESSION_BYTES, FrameId
from keyvault.errors import WrongDeviceError
from keyvault.expansion import expand
from keyvault.grant import OpenGrant


@dataclass(frozen=True, slots=True)
class Exposure:
    """How a frame was exposed; goes into its header, where the ranges are checked.

    Attributes:
        exposure_us: exposure time in microseconds.
        gain_milli: analog gain in thousandths.
        white_balance: gains of red, green and blue; 1024 is 1.0.
        timestamp_ns: start of the exposure, nanoseconds since 1970-01-01 UTC.
    """

    exposure_us: int
    gain_milli: int
    white_balance: tuple[int, int, int]
    timestamp_ns: int


class _Numbering:
    """Session and counter of a chip; no (session, counter) is handed out twice."""

    def __init__(self) -> None:
        self.start()
        _NUMBERINGS.add(self)

    def start(self) -> None:
        """Begin a session; the lock is new too, for a thread that held it does not live on in a forked process."""
        self.lock = threading.Lock()
        self._session = os.urandom(SESSION_BYTES)
        self._counter = 0

    def take(self) -> FrameId:
        """The next number, which is used up whatever becomes of its frame."""
        with self.lock:
            frame = FrameId(self._session, self._counter)
            self._counter += 1
        return frame


_NUMBERINGS: WeakSet[_Numbering] = WeakSet()


def _start_all() -> None:
    for numbering in _NUMBERINGS:
        numbering.start()


os.register_at_fork(after_in_child=_start_all)


class SecureAdc:
    """A chip that has opened a grant.  Frames of one session are numbered from 0.

    The session id is 128 bits from the operating system, drawn at construction and again in a
    forked process; a number is used once, also if its readout fails.  So no frame key comes
    twice.  For the same reason a chip cannot be copied or pickled.

    Args:
        opened: the grant whose epoch key protects the frames.
        signer: the sensor's signing key.
        converter: of the grant's bit depth, and of its width if it has columns.

    Raises:
        WrongDeviceError: ``signer`` is not the key that the grant names.
        PolicyError: the converter's depth or width is not the grant's.
    """

    def __init__(self, opened: OpenGrant, signer: Ed25519PrivateKey, converter: VoltsConverter) -> None:
        grant = opened.grant
        if signer.public_key().public_bytes_raw() != grant.sensor_key:
            raise WrongDeviceError(
                f"grant {grant.key_id} names another signing key for sensor {grant.sensor}",
                hint="use the device file of this enrolment, or issue a new key",
            )
        converter.check_fits(grant.policy)
        self._opened = opened
        self._signer = signer
        self._converter = converter
        self._numbering = _Numbering()

    def __reduce__(self) -> NoReturn:
        raise TypeError("a SecureAdc is not copied: two chips of one session would use a mask twice")

    def read_out(
        self, source: AnalogSource, exposure: Exposure, numbered: Callable[[], object] | None = None
    ) -> PrivateFrame:
        """Read one frame out of the source; may be called from several threads.

        Args:
            source: the array in front of the converters.
            exposure: how it was exposed.
            numbered: called once the frame has its number: a call that begins after that gets a later one.

        Raises:
            PolicyError: the source's size is not the grant's.
            FrameError: exposure or levels are out of range.
            SampleRangeError: a DN of 2**bits or more, or a voltage that is not finite.
            SourceError: the source delivers other rows than it declares.
        """
        policy = self._opened.grant.policy
        check_geometry(source, policy)
        frame = self._numbering.take()
        if numbered is not None:
            numbered()
        header = self._header(frame, source, exposure)
        secrets = self._opened.frame_secrets(frame)
        addresses = Addresses(expand(secrets.permutation_key, policy), MaskGenerator(secrets.mask_key, policy))
        samples = read_rows(source, self._converter, policy, addresses)
        return sign(header, samples, self._signer)

    def _header(self, frame: FrameId, source: AnalogSource, exposure: Exposure) -> FrameHeader:
        grant = self._opened.grant
        return FrameHeader(
            sensor=grant.sensor,
            key_id=grant.key_id,
            epoch=grant.epoch,
            session=frame.session,
            counter=frame.counter,
            policy=grant.policy,
            black_level=source.black_level,
            white_level=source.white_level,
            exposure_us=exposure.exposure_us,
            gain_milli=exposure.gain_milli,
            white_balance=exposure.white_balance,
            timestamp_ns=exposure.timestamp_ns,
        )
