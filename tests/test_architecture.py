"""The arrows between the rooms: imports go down only, and the camera side knows no torch."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
ROOMS = ("keyvault", "adc_firmware", "sensor_sim", "inference")
MAY_IMPORT = {
    "keyvault": set(),
    "adc_firmware": {"keyvault"},
    "sensor_sim": {"keyvault", "adc_firmware"},
    "inference": {"keyvault", "adc_firmware"},
}
TORCH = {"torch", "torchvision", "safetensors"}
#: The packages of the tools, and those of them that each may import.
TOOL_ROOMS = {"peers": set(), "audit": {"peers"}, "table1": set(), "table2": {"audit", "peers"}}
TOOLS = {path.stem for path in (ROOT / "tools").glob("*.py")} | {"tools", *TOOL_ROOMS}


def imported_packages(path: Path) -> Iterator[str]:
    """Top-level package of every import in a file, wherever it stands."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield (node.module or "").partition(".")[0]


@pytest.mark.parametrize("room", ROOMS)
def test_imports_go_down_only(room: str) -> None:
    files = sorted((ROOT / room).rglob("*.py"))
    assert files
    for path in files:
        packages = set(imported_packages(path))
        assert packages & set(ROOMS) <= MAY_IMPORT[room] | {room}, path
        assert not packages & TOOLS, path
        if room != "inference":
            assert not packages & TORCH, path


@pytest.mark.parametrize("room", TOOL_ROOMS)
def test_imports_of_tools_go_down_only(room: str) -> None:
    assert set(TOOL_ROOMS) == {path.parent.name for path in (ROOT / "tools").glob("*/__init__.py")}
    files = sorted((ROOT / "tools" / room).rglob("*.py"))
    assert files
    for path in files:
        assert set(imported_packages(path)) & set(TOOL_ROOMS) <= TOOL_ROOMS[room] | {room}, path


def test_the_camera_side_works_without_torch() -> None:
    program = (
        "import sys\n"
        "for name in ('torch', 'torchvision', 'safetensors'): sys.modules[name] = None\n"
        "import keyvault, keyvault.cli, adc_firmware, sensor_sim, sensor_sim.cli\n"
        "for package in (keyvault, adc_firmware, sensor_sim):\n"
        "    for name in package.__all__: getattr(package, name)\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, cwd=ROOT)


@pytest.mark.parametrize("room", ROOMS)
def test_the_public_surface_is_explicit_and_sorted(room: str) -> None:
    package = __import__(room)
    assert list(package.__all__) == sorted(package.__all__)
    missing = [name for name in package.__all__ if not hasattr(package, name)]
    assert not missing
