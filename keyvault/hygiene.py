"""Keeping secrets out of what outlives a process: core dumps, other processes' eyes, and freed buffers.

docs/threat_model.md says what Python does not let a program wipe.
"""

from __future__ import annotations

import ctypes
import resource
import sys

_PR_SET_DUMPABLE = 4


def harden_process() -> None:
    """Write no core dump from now on, and on Linux let no other process of this user read this one's memory.

    Each entry point of a command calls it first.  The limit alone would not do: where the kernel hands
    dumps to a program, it does so whatever the limit is, unless the process is not dumpable.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)


def wipe(buffer: bytearray) -> None:
    """Overwrite a buffer with zeros, in place."""
    ctypes.memset((ctypes.c_char * len(buffer)).from_buffer(buffer), 0, len(buffer))
