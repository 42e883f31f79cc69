"""The vectors of marks and status lists: each sealed key is well made, and is used or refused as they say."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from parties import VECTORS, host_key

from keyvault import canonical, errors
from keyvault.device import Device
from keyvault.envelope import verify
from keyvault.errors import PrivcamError
from keyvault.grant import Grant
from keyvault.identity import thumbprint
from keyvault.standing import Standing, newest_status

FILES = sorted((VECTORS / "rollback").glob("*.json"))
CASES = {path.stem: json.loads(path.read_text()) for path in FILES}


def use(case: dict[str, Any], folder: Path) -> None:
    """Open a vector's sealed key as its reader, who has the marks and the list; raises what refuses it."""
    device = Device.from_bytes((VECTORS / "device.json").read_bytes())
    issuer = Ed25519PublicKey.from_public_bytes(canonical.unb64url(case["issuer"]["x"], "x"))
    for mark in case["marks"]:
        kind = mark["typ"].removeprefix("privcam-").removesuffix("-mark")
        sensor = "" if kind == "status" else ".cam-1"
        (folder / f"{kind}.{thumbprint(issuer)}{sensor}.mark").write_bytes(canonical.dumps(mark))
    if case["status"]:
        (folder / "status.jws").write_text(case["status"])
    sealed, now = verify(case["sealed"].encode(), issuer), case["now"]
    status = newest_status(folder, issuer, None, folder / "status.jws", now)
    if case["opens"] == "sensor":
        Standing(folder, status, device.kid).admit_sensor(sealed.open_as_sensor(device, now).grant, now)
        return
    key = host_key(case["opens"])
    grants: list[Grant] = [one.grant for one in sealed.open_as_host(key, now)]
    (refused,) = Standing(folder, status, thumbprint(key.public_key())).admit_host([grants], now)
    if len(refused) == len(grants):
        raise next(iter(refused.values()))


@pytest.mark.parametrize("name", CASES)
def test_rollback(name: str, tmp_path: Path) -> None:
    case = CASES[name]
    if case["error"] is None:
        use(case, tmp_path)
        use(case, tmp_path)  # and again, now that it is remembered
        return
    with pytest.raises(PrivcamError) as refusal:
        use(case, tmp_path)
    assert type(refusal.value) is getattr(errors, case["error"])
    assert refusal.value.hint
    kept = {path.read_bytes() for path in tmp_path.glob("*.mark") if not path.name.startswith("status")}
    assert kept == {canonical.dumps(mark) for mark in case["marks"] if mark["typ"] != "privcam-status-mark"}


def test_there_are_vectors_of_every_refusal() -> None:
    names = {case["error"] for case in CASES.values()}
    assert {one.__name__ for one in errors.RollbackError.__subclasses__()} <= names
    assert {"MarkError", "RevokedError", "DisabledKeyError", "StatusMissingError", "StatusExpiredError"} <= names
    assert {"StatusClockError", None} <= names
