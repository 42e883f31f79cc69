"""Starting quickly: what an import does not load, and kernels that are compiled once."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest
from key_home import make_home

from keyvault.policy import Policy

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("keyvault", "adc_firmware", "sensor_sim", "inference")
HEAVY = ("cryptography", "cv2", "jwcrypto", "llvmlite", "numba", "numpy", "rawpy", "sqlite3", "torch", "tqdm")


def python(program: str, *arguments: str, **environment: str) -> str:
    env = {**os.environ, "PYTHONPATH": str(ROOT), **environment}
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments], capture_output=True, text=True, env=env, check=True
    )
    return done.stdout


def loaded_by(statement: str) -> set[str]:
    """Which of the heavy packages a statement loads."""
    return set(json.loads(python(f"import json, sys\n{statement}\nprint(json.dumps(sorted(sys.modules)))"))) & set(
        HEAVY
    )


@pytest.mark.parametrize("statement", [*(f"import {package}" for package in PACKAGES), "import sensor_sim.cli"])
def test_importing_loads_nothing_that_is_slow_to_load(statement: str) -> None:
    assert loaded_by(statement) == set()


def test_names_load_what_they_need_when_they_are_used() -> None:
    assert "numba" in loaded_by("import sensor_sim\nsensor_sim.Camera")
    assert "numba" in loaded_by("from adc_firmware import SecureAdc")
    assert "sqlite3" in loaded_by("from keyvault import Vault")


@pytest.mark.parametrize("package", PACKAGES)
def test_checkers_of_types_and_the_interpreter_find_the_same_names(package: str) -> None:
    module = import_module(package)
    tree = ast.parse(Path(module.__file__).read_text())
    (typed,) = [node for node in tree.body if isinstance(node, ast.If)]
    named = {alias.asname or alias.name: (node.module, alias.name) for node in typed.body for alias in node.names}
    assert sorted(named) == module.__all__
    for name, (home, original) in named.items():
        assert getattr(module, name) is getattr(import_module(home), original)
    assert set(module.__all__) <= set(dir(module))
    with pytest.raises(AttributeError, match="nonsense"):
        module.nonsense  # noqa: B018


CAPTURE_AND_COUNT = """
import json, sys
from numba.core.registry import CPUDispatcher
from sensor_sim import Camera
with Camera(sys.argv[1]) as camera:
    camera.capture()
rooms = ("keyvault", "adc_firmware", "sensor_sim")
modules = [module for name, module in sys.modules.items() if name.startswith(rooms)]
kernels = {id(f): f for module in modules for f in vars(module).values() if isinstance(f, CPUDispatcher)}
used = [kernel for kernel in kernels.values() if kernel.signatures]
count = lambda what: sum(sum(getattr(kernel.stats, what).values()) for kernel in used)
print(json.dumps([len(used), count("cache_hits"), count("cache_misses")]))
"""


def test_a_second_start_compiles_nothing(tmp_path: Path) -> None:
    home = make_home(tmp_path / "home", {"key": Policy(32, 24)})
    first, second = (
        json.loads(python(CAPTURE_AND_COUNT, str(home / "key.bin"), PRIVCAM_HOME=str(home))) for _ in range(2)
    )
    assert first[0] == second[0] >= 3
    assert second[1] >= second[0]
    assert second[2] == 0
