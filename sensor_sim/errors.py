"""What the camera refuses.

Each error belongs to one of keyvault's families and inherits its exit code::

    InputError      SceneError, SettingsError, ProfileError
    PrivcamError    CameraStateError (FrameTimeoutError, SceneEndedError)

FramesDroppedError has an exit code of its own (docs/exit_codes.md).
"""

from __future__ import annotations

from keyvault.errors import InputError, PrivcamError


class SceneError(InputError):
    """A scene cannot be read, or is not what its kind promises."""


class SettingsError(InputError):
    """A camera setting or a parameter of the pixel is out of range."""


class ProfileError(InputError):
    """There is no such sensor profile, or a profile file is not one."""


class CameraStateError(PrivcamError):
    """A camera was used before it was opened, or after it was closed."""


class FrameTimeoutError(CameraStateError):
    """No frame came in the time that the caller was willing to wait."""


class SceneEndedError(CameraStateError):
    """The last scene has been captured, and every frame of it was delivered."""


class FramesDroppedError(PrivcamError):
    """A recording that was to be without gaps has some: frames were dropped, or never made."""

    exit_code = 14
