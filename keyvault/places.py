"""Where things are when nobody says otherwise.

Everything lies under one folder, the home: ``$PRIVCAM_HOME``, or the platform's folder for user
data.  Each function takes another home as its argument.
"""

from __future__ import annotations

import os
from pathlib import Path

from platformdirs import user_data_path

from keyvault.identity import check_name

HOME_VARIABLE = "PRIVCAM_HOME"


def home() -> Path:
    """The folder that holds the vault, devices and keys of this user."""
    named = os.environ.get(HOME_VARIABLE)
    return Path(named).expanduser() if named else user_data_path("privcam", appauthor=False)


def vault_folder(base: Path | None = None) -> Path:
    """The folder of the vault."""
    return (base or home()) / "vault"


def vault_file(base: Path | None = None) -> Path:
    """The vault itself."""
    return vault_folder(base) / "vault.db"


def device_file(sensor: str, base: Path | None = None) -> Path:
    """The device file of a sensor: the simulated secure element; InputError for an impossible name."""
    return devices_folder(base) / f"{check_name(sensor, 'sensor')}.json"


def host_key_file(base: Path | None = None) -> Path:
    """The private key of this host."""
    return (base or home()) / "host.pem"


def public_half(private: Path) -> Path:
    """The file of the public key beside a private one: ``host.pub`` for ``host.pem``."""
    return private.with_suffix(".pub")


def issuer_file(base: Path | None = None) -> Path:
    """The public key of the vault that this user trusts to issue sealed keys."""
    return (base or home()) / "issuer.pub"


def status_file(base: Path | None = None) -> Path:
    """The newest status list of that vault that this user has."""
    return (base or home()) / "status.jws"


def marks_folder(base: Path | None = None) -> Path:
    """The high-water marks that this user's host keeps of the sealed keys it has opened."""
    return (base or home()) / "marks"


def devices_folder(base: Path | None = None) -> Path:
    """The folder of the sensors' device files; their high-water marks are beside them."""
    return (base or home()) / "devices"
