"""The keyvault command for many sensors at once."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from commands import done, grant, refused, run, small_site

from keyvault import fleet, places, sealing
from keyvault.device import Device

SENSORS = ("cam", "cam1", "cam2", "cam3", "cam4")
ISSUE = ("issue", "--host", "lab", "--size", "64x48")


@pytest.fixture
def site(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder; five sensors, two in a batch."""
    monkeypatch.setattr(fleet, "BATCH", 2)
    small_site(tmp_path, monkeypatch)
    Path("names.txt").write_text("cam2\ncam3\n\ncam4\n")
    done("enroll", "sensor", "cam1", "--from", "names.txt")
    return tmp_path


def names(folder: str) -> list[str]:
    return sorted(path.name for path in Path(folder).iterdir())


def epochs() -> list[int]:
    return [len(sensor["epochs"]) for sensor in json.loads(done("list", "--json"))["sensors"]]


def test_many_sensors_are_enrolled_at_once_and_again(site: Path) -> None:
    assert [sensor["name"] for sensor in json.loads(done("list", "--json"))["sensors"]] == list(SENSORS)
    kids = {Device.load(places.device_file(name)).kid for name in SENSORS}
    assert len(kids) == 5
    assert "1 enrolled" in done("enroll", "sensor", "cam5", "--from", "names.txt")
    assert "3 were enrolled before" in done("enroll", "sensor", "--from", "names.txt")
    assert "0 enrolled" in done("enroll", "sensor", "--from", "names.txt")
    assert "two sensors are named cam9 and CAM9" in refused(3, "enroll", "sensor", "cam9", "CAM9")
    assert "cannot be the name" in refused(3, "enroll", "sensor", "cam9", "../x")
    assert "for one sensor" in refused(2, "enroll", "sensor", "cam8", "cam9", "--device", "x.json")
    assert "--from" in refused(2, "enroll", "sensor")
    result = run("enroll", "sensor", "cam9", "CAM1")
    assert result.exit_code == 9
    assert "1 of 2 sensors were refused" in result.stderr
    assert places.device_file("cam9").exists()


def test_a_fleet_is_issued_and_rotated_into_folders(site: Path) -> None:
    done(*ISSUE, "--all", "-o", "one")
    assert names("one") == [f"{name}-epoch0001.bin" for name in SENSORS]
    assert len({grant(path).key_id for path in Path("one").iterdir()}) == 5
    done("rotate", "--sensor", "cam1", "--sensor", "CAM3", "--sensor", "cam1", "-o", "two")
    assert names("two") == ["cam1-epoch0002.bin", "cam3-epoch0002.bin"]
    done("rotate", "--all", "--stage", "-o", "staged")
    assert len(names("staged")) == 5
    done("promote", "--all", "-o", "three")
    assert sorted(grant(path).epoch for path in Path("three").iterdir()) == [2, 2, 2, 3, 3]
    done("rewrap", "--all", "--add-host", "mobile", "-o", "three")
    assert len(names("three")) == 10
    done("export", "--all", "-o", "four")
    assert {len(grant(path).hosts) for path in Path("four").iterdir()} == {2}


def test_an_interrupted_rotation_is_taken_up(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done(*ISSUE, "--all", "-o", "one")
    rotate = sealing.rotate
    now = Path("one").stat().st_mtime + 1000

    def interrupted(change: object, sensor: str, rotation: object) -> object:
        if sensor == "cam3":
            raise KeyboardInterrupt
        return rotate(change, sensor, rotation)

    monkeypatch.setattr("time.time", lambda: now)
    with monkeypatch.context() as patch:
        patch.setattr(sealing, "rotate", interrupted)
        result = run("rotate", "--all", "-o", "two")
    assert result.exit_code == 130
    assert "2 of 5 sensors are done and stay so" in result.stderr
    assert "--older-than" in result.stderr
    assert names("two") == ["cam-epoch0002.bin", "cam1-epoch0002.bin"]
    before = Path("two/cam-epoch0002.bin").read_bytes()
    Path("two/cam1-epoch0002.bin").unlink()
    for made in (3, 0):
        said = done("rotate", "--all", "--older-than", "15m", "-o", "two")
        assert names("two") == [f"{name}-epoch0002.bin" for name in SENSORS]
        assert Path("two/cam-epoch0002.bin").read_bytes() == before
        assert epochs() == [2] * 5
        assert f"sealed     {made} keys in two\nkept       {5 - made} sensors" in said
    done(*ISSUE, "--all", "--older-than", "15m", "-o", "two")
    done("rewrap", "--all", "--older-than", "15m", "-o", "two")
    assert epochs() == [2] * 5


def test_a_full_disk_keeps_the_keys_in_the_vault(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done(*ISSUE, "--all", "-o", "one")

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("os.link", fail)
        said = refused(4, "rotate", "--all", "-o", "two")
    assert "keyvault export --all" in said
    assert "--older-than" in said
    assert names("two") == []
    assert epochs() == [2, 2, 1, 1, 1]


def test_sensors_that_are_refused_do_not_stop_the_others(site: Path) -> None:
    done(*ISSUE, "--sensor", "cam", "--sensor", "cam1", "-o", "one")
    result = run("rotate", "--all", "-o", "two")
    assert result.exit_code == 9
    assert "3 of 5 sensors were refused and left as they were: cam2" in result.stderr
    assert names("two") == ["cam-epoch0002.bin", "cam1-epoch0002.bin"]
    done("revoke", "sensor", "cam1")
    done(*ISSUE, "--all", "-o", "three")
    assert names("three") == [f"{name}-epoch000{3 if name == 'cam' else 1}.bin" for name in SENSORS if name != "cam1"]


def test_command_lines_that_say_too_little_or_too_much(site: Path) -> None:
    assert "--all" in refused(2, "rotate")
    assert "--all" in refused(2, "rotate", "--all", "--sensor", "cam")
    assert "-o FOLDER" in refused(2, "rotate", "--all")
    assert "is not a folder" in refused(4, "rotate", "--all", "-o", "lab.pub")
    assert "several sensors" in refused(2, "rotate", "--sensor", "cam", "--older-than", "1h")
    assert "no sensor named dog" in refused(9, "rotate", "--sensor", "cam", "--sensor", "dog", "-o", "x")


def test_files_of_others_are_not_replaced(site: Path) -> None:
    done(*ISSUE, "--all", "-o", "one")
    Path("two").mkdir()
    Path("two/cam1-epoch0002.bin").write_text("mine")
    assert "--force" in refused(4, "rotate", "--all", "-o", "two")
    assert epochs() == [1] * 5
    done("rotate", "--all", "-o", "two", "--force")
    assert grant("two/cam1-epoch0002.bin").epoch == 2
