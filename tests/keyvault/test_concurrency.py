"""Many processes at one vault: no number is given twice, nothing is lost, and readers see a whole vault."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from commands_apart import Place, Server, serving
from crash_cases import check_outputs, check_vault, keys_of, make_starts

WRITERS = 8
READERS = (
    ("list",),
    ("list", "--sensor", "cam", "--json"),
    ("list", "--json"),
    ("inspect", "cam.bin"),
    ("audit", "verify"),
    ("audit", "show", "--json"),
)


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with serving() as started:
        yield started


@pytest.fixture(scope="module")
def start(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Place:
    return make_starts(server, tmp_path_factory.mktemp("starts"))["full"]


@pytest.fixture
def place(start: Place, tmp_path: Path) -> Place:
    return start.copy(tmp_path / "place")


def together(server: Server, place: Place, *commands: tuple[str, ...]) -> list[str]:
    """What commands say that run at the same time; all must succeed."""
    outcomes = server.together(place, commands)
    assert [outcome.said for outcome in outcomes if outcome.code] == []
    return [outcome.said for outcome in outcomes]


@pytest.mark.parametrize("rounds", [1, pytest.param(10, marks=pytest.mark.full)])
def test_eight_processes_rotate_one_sensor(rounds: int, server: Server, start: Place, place: Place) -> None:
    before = keys_of(start)
    for _ in range(rounds):
        together(server, place, *[("rotate", "--sensor", "cam")] * WRITERS, *READERS)
    after = check_vault(place)
    check_outputs(place, start)
    assert set(before.items()) <= set(after.items())
    made = sorted(epoch for sensor, epoch in set(after) - set(before) if sensor == "cam")
    assert made == list(range(4, 4 + WRITERS * rounds))
    written = {path.name for path in place.folder.glob("cam-epoch*.bin")}
    assert written - {path.name for path in start.folder.iterdir()} == {f"cam-epoch{number:04d}.bin" for number in made}


def test_eight_processes_rotate_several_sensors(server: Server, start: Place, place: Place) -> None:
    before = Counter(sensor for sensor, _ in keys_of(start))
    both = [("rotate", "--sensor", "cam"), ("rotate", "--sensor", "dog")] * (WRITERS // 2)
    together(server, place, *both, *READERS)
    after = Counter(sensor for sensor, _ in check_vault(place))
    check_outputs(place, start)
    assert after - before == Counter(cam=WRITERS // 2, dog=WRITERS // 2)


def test_different_commands_at_once(server: Server, start: Place, place: Place) -> None:
    said = together(
        server,
        place,
        ("rotate", "--sensor", "cam", "--sensor", "dog", "-o", "fleet"),
        ("rewrap", "--sensor", "dog", "--add-host", "pad"),
        ("destroy", "--sensor", "cam", "--epoch", "1"),
        ("enroll", "sensor", "fox"),
        ("enroll", "host", "mobile", "--public", "mobile.pub"),
        ("backup", "-o", "new.backup", "--backup-passphrase-file", "word"),
        ("status", "publish"),
        ("destroy", "--due"),
        *READERS,
    )
    check_vault(place)
    check_outputs(place, start)
    records = json.loads(said[-1])
    assert [record["seq"] for record in records] == list(range(1, len(records) + 1))


def test_one_name_is_enrolled_once(server: Server, place: Place) -> None:
    outcomes = server.together(place, [("enroll", "sensor", "fox")] * WRITERS)
    assert sorted(outcome.code for outcome in outcomes) == [0, *[9] * (WRITERS - 1)]
    assert all("enrolled already" in outcome.said for outcome in outcomes if outcome.code)
    check_vault(place)


def test_one_file_is_written_by_one(server: Server, start: Place, place: Place) -> None:
    outcomes = server.together(place, [("rotate", "--sensor", "cam", "-o", "one.bin")] * WRITERS)
    assert {outcome.code for outcome in outcomes} == {0, 4}
    assert [outcome.code for outcome in outcomes].count(0) == 1
    check_vault(place)
    check_outputs(place, start)
    replaced = server.together(place, [("rotate", "--sensor", "cam", "-o", "one.bin", "--force")] * WRITERS)
    assert {outcome.code for outcome in replaced} == {0}
    check_outputs(place, start)
