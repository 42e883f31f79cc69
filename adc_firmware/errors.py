"""What the chip and the private frame refuse.

Each error belongs to one of keyvault's families and inherits its exit code::

    InputError            FrameError, SourceError, SampleRangeError
    AuthenticationError   FrameTamperedError
    NotARecipientError    ForeignFrameError
"""

from __future__ import annotations

from keyvault.errors import AuthenticationError, InputError, NotARecipientError


class FrameError(InputError):
    """The data is not a private frame, or not a well-formed one."""


class SourceError(InputError):
    """The array in front of the converter delivered rows of another shape or type than it declared."""


class SampleRangeError(InputError):
    """A DN does not fit the bit depth, or a voltage is not a finite number."""


class FrameTamperedError(AuthenticationError):
    """A private frame is not what its sensor signed, or does not fit the grant that it names."""


class ForeignFrameError(NotARecipientError):
    """A private frame was made under a grant that is not at hand."""
