"""What the camera side asks of a board: wheels for 64-bit Arm, and no code for another processor."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
CAMERA_SIDE = ("keyvault", "adc_firmware", "sensor_sim")
PYTHONS = ("3.11", "3.12", "3.13")
PLATFORMS = ("manylinux_2_28_aarch64", "manylinux_2_17_aarch64", "manylinux2014_aarch64")
X86 = re.compile(r"x86|amd64|\bavx|\bsse\d|mm256|mm512|\bmarch\b|target[-_]features|inline_asm", re.IGNORECASE)


def pip(report: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """What pip would install, from whatever index it is configured for; nothing is installed."""
    common = ["--dry-run", "--quiet", "--disable-pip-version-check", "--ignore-installed", "--report", str(report)]
    command = [sys.executable, "-m", "pip", "install", *common, *arguments]
    return subprocess.run(command, check=False, capture_output=True, text=True, timeout=300)


@pytest.mark.full
@pytest.mark.parametrize("python", PYTHONS)
def test_base_dependencies_and_theirs_have_wheels_for_64_bit_arm(tmp_path: Path, python: str) -> None:
    dependencies = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    if pip(tmp_path / "reachable.json", "--no-deps", dependencies[0]).returncode:
        pytest.skip("pip cannot reach a package index")
    wanted = [f"--platform={platform}" for platform in PLATFORMS]
    found = pip(
        tmp_path / "arm.json",
        *("--target", str(tmp_path / "nothing"), "--only-binary=:all:", "--implementation", "cp"),
        *("--python-version", python, *wanted, *dependencies),
    )
    assert found.returncode == 0, found.stderr
    chosen = json.loads((tmp_path / "arm.json").read_text())["install"]
    wheels = {each["metadata"]["name"]: each["download_info"]["url"].rpartition("/")[2] for each in chosen}
    assert len(wheels) >= len(dependencies)
    assert all(re.search(r"(aarch64|-any)\.whl$", wheel) for wheel in wheels.values()), wheels
    assert "numba" in wheels


def test_no_code_is_for_one_kind_of_processor() -> None:
    files = [path for room in CAMERA_SIDE for path in (ROOT / room).rglob("*") if path.is_file()]
    sources = [path for path in files if path.suffix == ".py"]
    assert len(sources) > 50
    for path in sources:
        assert not (found := X86.search(path.read_text())), f"{path}: {found}"
    compiled = {".c", ".cc", ".cpp", ".so", ".pyx", ".s", ".dll", ".dylib"}
    assert not [path for path in files if path.suffix.lower() in compiled and "__pycache__" not in path.parts]
