"""Commands killed at the calls by which they change files: the vault, what was handed out, and the next command."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from commands_apart import KILLED, How, Place, Server, kill_points, serving
from crash_cases import CASES, Case, check_outputs, check_vault, keys_of, make_starts, strays

from keyvault import places

Point = tuple[How, int]
NEXT = (("enroll", "sensor", "next"), ("export", "--sensor", "cam", "-o", "next.bin"), ("status", "publish"))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server whose commands can be killed."""
    library = kill_points(tmp_path_factory.mktemp("library"))
    if library is None:
        pytest.skip("no C compiler, or not Linux: nothing stops a process at its system calls")
    with serving(library) as started:
        yield started


@pytest.fixture(scope="module")
def starts(server: Server, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Place]:
    return make_starts(server, tmp_path_factory.mktemp("starts"))


def points(calls: str) -> list[Point]:
    """Every point at which a command can be killed: before each call, within each write, and at the end."""
    found = [(How.BEFORE, number) for number in range(1, len(calls) + 1)]
    found += [(How.TORN, number) for number, call in enumerate(calls, 1) if call == "w"]
    return [*found, (How.AFTER, len(calls))]


def few_points(calls: str) -> list[Point]:
    """Within writes halfway and beside the last naming of a file, and before what names it and makes it durable."""
    writes = [number for number, call in enumerate(calls, 1) if call == "w"]
    last = {calls.rindex(kind) + 1 for kind in ("s", "l", "r") if kind in calls}
    named = max(calls.rfind("l"), calls.rfind("r")) + 1
    torn = {writes[len(writes) // 2], *[w for w in writes if w < named][-1:], *[w for w in writes if w > named][:1]}
    return [*((How.TORN, number) for number in sorted(torn)), *((How.BEFORE, number) for number in sorted(last))]


def kill_each(server: Server, case: Case, start: Place, folder: Path, choose: Callable[[str], list[Point]]) -> None:
    """Kill a command at the chosen ones of its calls, each time from the same start."""
    whole = server.run(start.copy(folder), case.argv)
    assert whole.code == 0, whole.said
    before = keys_of(start) if places.vault_file(start.home).exists() else {}
    for point in choose(whole.calls):
        kill_and_go_on(server, case, (start, start.copy(folder)), before, point)


def kill_and_go_on(
    server: Server, case: Case, from_to: tuple[Place, Place], before: dict[tuple[str, int], str], point: Point
) -> None:
    start, place = from_to
    killed = server.run(place, case.argv, *point)
    assert killed.code == KILLED, killed.said
    if places.vault_file(place.home).exists():
        lost = set(before.items()) - set(check_vault(place).items())
        check_outputs(place, start)
        assert not lost or (case.start == "due" and {key for key, _ in lost} == {("cam", 1)})
    again = server.run(place, case.argv)
    assert again.code in (0, case.again), again.said
    assert "Traceback" not in again.said
    check_vault(place)
    check_outputs(place, start)
    if strays(place):
        for argv in NEXT:
            server.run(place, argv)
        check_vault(place)
    assert strays(place) == []


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_killed_at_some_calls(case: Case, server: Server, starts: dict[str, Place], tmp_path: Path) -> None:
    kill_each(server, case, starts[case.start], tmp_path / "place", few_points)


@pytest.mark.full
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_killed_at_every_call(case: Case, server: Server, starts: dict[str, Place], tmp_path: Path) -> None:
    kill_each(server, case, starts[case.start], tmp_path / "place", points)
