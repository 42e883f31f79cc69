"""Data files: the samples of a private frame as npy or packed, without header and signature.

(docs/spec/frame_files.md, section 5; those are in the sidecar.)
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from adc_firmware.container import check_length, disagreement, from_raster
from adc_firmware.encodings import Encoding
from adc_firmware.errors import FrameTamperedError
from adc_firmware.frame import FrameHeader, PrivateFrame, check_claims, raster_bytes, sample_bytes, select_grant, verify
from adc_firmware.packing import named, pack, unpack
from adc_firmware.sidecar import Sidecar
from keyvault.grant import Grant
from keyvault.policy import Policy

_NPY = b"\x93NUMPY\x01\0"
_NPY_HEAD = 128


def encode(frame: PrivateFrame, encoding: Encoding) -> bytes:
    """The bytes of the data file of a frame that the encoding holds."""
    if encoding is Encoding.NPY:
        return b"".join((_npy_head(frame.header), raster_bytes(frame.samples)))
    return pack(frame.samples, encoding)


def size(policy: Policy, encoding: Encoding) -> int:
    """Length of a data file that holds a frame of a policy."""
    packing = encoding.packing
    if packing is None:
        return _NPY_HEAD + sample_bytes(policy)
    return packing.size(policy.width, policy.height)


def check_head(sidecar: Sidecar, length: int, grants: Mapping[str, Grant]) -> Grant:
    """Refuse what can be refused before a data file of ``length`` bytes is read.

    Returns:
        The grant that the sidecar names.

    Raises:
        ForeignFrameError: the grant is not at hand.
        FrameTamperedError: the claims are not the grant's, or the encoding does not hold the frame.
        FrameError: the file is truncated or too long.
    """
    header = sidecar.record.header
    grant = select_grant(header, grants)
    check_claims(header, grant)
    if not sidecar.encoding.holds(header.policy):
        raise FrameTamperedError(
            f"the sidecar says {sidecar.encoding}, which does not hold the frame it describes",
            hint="fetch both files again from their origin",
        )
    check_length(length, size(header.policy, sidecar.encoding))
    return grant


def decode(data: bytes, sidecar: Sidecar, grants: Mapping[str, Grant]) -> PrivateFrame:
    """Verify the bytes of a data file under its sidecar.

    Raises:
        ForeignFrameError, FrameTamperedError, FrameError: as check_head, and where file or signature
            are not as the sidecar says.
    """
    grant = check_head(sidecar, len(data), grants)
    header = sidecar.record.header
    return verify(header, samples(data, header, sidecar.encoding), sidecar.record.signature, grant)


def samples(data: bytes, header: FrameHeader, encoding: Encoding) -> NDArray[np.uint16]:
    """The samples of a data file, of which nothing is verified; FrameTamperedError if it has another form."""
    if encoding is Encoding.NPY:
        if not data.startswith(_npy_head(header)):
            raise disagreement("npy")
        return from_raster(memoryview(data)[_NPY_HEAD:], header)
    unpacked = unpack(data, encoding, header.policy.width, header.policy.height)
    if unpacked.max() >= 2 ** named(encoding).bits or pack(unpacked, encoding) != data:
        raise disagreement("packing")
    return unpacked


def _npy_head(header: FrameHeader) -> bytes:
    """NumPy's format 1.0 as numpy.lib.format reads it; the same length for every shape."""
    shape = ", ".join(map(str, header.shape))
    text = f"{{'descr': '<u2', 'fortran_order': False, 'shape': ({shape}), }}"
    length = _NPY_HEAD - len(_NPY) - 2
    return _NPY + length.to_bytes(2, "little") + text.encode("ascii").ljust(length - 1) + b"\n"
