"""Many sensors in one run, and many processes at one vault."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from parties import NOW, TERMS, host_key, small_vault

from keyvault import errors, fleet, places, sealing
from keyvault.change import Change
from keyvault.device import Device
from keyvault.envelope import verify
from keyvault.issuing import Issued
from keyvault.vault import Vault

NAMES = [f"cam{number}" for number in range(5)]


@pytest.fixture
def vault(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Vault]:
    """An unlocked vault with five more sensors, two in a batch."""
    monkeypatch.setattr(fleet, "BATCH", 2)
    with small_vault(home) as made:
        for name in NAMES:
            made.enroll_sensor(name, places.device_file(name))
        yield made


def issue(change: Change, sensor: str) -> Issued:
    return sealing.issue(change, sensor, TERMS)


def newest(vault: Vault) -> list[int]:
    return [entry.epoch for entry in vault.sensors() if entry.name in NAMES]


def test_every_sensor_has_epoch_keys_of_its_own(vault: Vault) -> None:
    done = [issued for batch in fleet.run(vault, NAMES, issue) for issued in batch.results]
    keys = set()
    for issued in done:
        device = Device.load(places.device_file(issued.grant.sensor))
        opened = verify(issued.data, vault.issuer).open_as_sensor(device, NOW)
        keys.add(opened.epoch_key)
    assert [issued.grant.sensor for issued in done] == NAMES
    assert len(keys) == len(NAMES)


def test_a_refused_sensor_is_left_as_it_was_and_the_others_go_on(vault: Vault) -> None:
    def some(change: Change, sensor: str) -> Issued:
        issued = issue(change, sensor)
        if sensor == "cam2":
            raise errors.StateError("not this one", hint="none")
        return issued

    batches = list(fleet.run(vault, [*NAMES, "dog"], some))
    assert [len(batch.results) for batch in batches] == [2, 1, 1]
    assert newest(vault) == [1, 1, 0, 1, 1]
    refused = [one for batch in batches for one in batch.refused]
    assert [name for name, _ in refused] == ["cam2", "dog"]
    with pytest.raises(errors.FleetError, match=r"2 of 6 sensors were refused.*cam2: not this one; dog: no sensor"):
        fleet.refuse(refused, 6)
    fleet.refuse([], 6)


def test_an_interrupted_run_keeps_whole_batches(vault: Vault) -> None:
    def some(change: Change, sensor: str) -> Issued:
        issued = issue(change, sensor)
        if sensor == "cam3":
            raise KeyboardInterrupt
        return issued

    run = fleet.run(vault, NAMES, some)
    assert len(next(run).results) == 2
    with pytest.raises(KeyboardInterrupt):
        next(run)
    assert newest(vault) == [1, 1, 0, 0, 0]


def test_eight_processes_that_rotate_at_once_get_different_epochs(vault: Vault, home: Path) -> None:
    vault.issue("cam", TERMS)
    program = """
from keyvault import places, sealing
from keyvault.vault import Vault
with Vault.open(places.home()) as vault:
    vault.unlock(None)
    for _ in range(6):
        with vault.change() as change:
            print(sealing.rotate(change, "cam", sealing.Rotation()).file.first)
"""
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    running = [
        subprocess.Popen([sys.executable, "-c", program], env=environment, stdout=subprocess.PIPE, text=True)
        for _ in range(8)
    ]
    numbers = [int(line) for process in running for line in process.communicate()[0].split()]
    assert [process.returncode for process in running] == [0] * 8
    assert sorted(numbers) == list(range(2, 50))
    kept = vault.epochs("cam")
    assert [epoch.number for epoch in kept] == list(range(1, 50))
    assert [epoch.number for epoch in kept if epoch.state == "primary"] == [49]
    assert [file["serial"] for file in vault.files("cam")] == list(range(1, 50))
    assert len({epoch.key_id for epoch in kept}) == 49
    assert verify(vault.file("cam").data, vault.issuer).open_as_host(host_key("lab"))
