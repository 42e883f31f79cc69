"""What the camera refuses.

Each error belongs to one of keyvault's families and inherits its exit code::

    InputError      SceneError, SettingsError, ProfileError
    PrivcamError    CameraStateError
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
