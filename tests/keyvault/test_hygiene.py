"""Commands leave no core dump, show their memory to nobody, and buffers with secrets are wiped."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from parties import small_vault

from keyvault import backup, hygiene

LINUX = pytest.mark.skipif(sys.platform != "linux", reason="needs Linux")
SYSTEM_PYTHON = Path("/usr/bin/python3")  # another user may be unable to run that of .venv
PROGRAMS = [("keyvault.cli", "keyvault"), ("sensor_sim.cli", "sensor_sim"), ("inference.cli", "keyed_infer")]

# Runs a program whose command is to tell how its process stands, and then to crash.
INSIDE = """
import ctypes, importlib, json, os, resource, signal, sys
module = importlib.import_module(sys.argv[1])
def command(prog_name):
    dumpable = ctypes.CDLL(None).prctl(3, 0, 0, 0, 0) if sys.platform == "linux" else 0
    owner = os.stat("/proc/self/environ").st_uid if sys.platform == "linux" else 0
    print(json.dumps([resource.getrlimit(resource.RLIMIT_CORE), dumpable, owner]), flush=True)
    os.kill(os.getpid(), signal.SIGSEGV)
setattr(module, sys.argv[2], command)
resource.setrlimit(resource.RLIMIT_CORE, (resource.getrlimit(resource.RLIMIT_CORE)[1],) * 2)
module.main()
"""


@pytest.mark.parametrize(("module", "command"), PROGRAMS)
def test_a_command_that_crashes_leaves_no_core(tmp_path: Path, module: str, command: str) -> None:
    environment = {**os.environ, "PYTHONPATH": str(Path(hygiene.__file__).parents[1])}
    done = subprocess.run(
        [sys.executable, "-c", INSIDE, module, command], cwd=tmp_path, env=environment, capture_output=True, check=False
    )
    limits, dumpable, owner = json.loads(done.stdout)
    assert limits == [0, 0]
    assert dumpable == 0
    assert owner == 0  # root's, so that nobody else of this user reads its memory
    assert done.returncode < 0
    assert not os.WCOREDUMP(-done.returncode)
    assert list(tmp_path.iterdir()) == []


SITTING = """
import sys, time
exec(sys.argv[1])
if sys.argv[2] == "hard":
    harden_process()
print("ready", flush=True)
time.sleep(30)
"""
NOBODY = 65534


@LINUX
def test_another_process_of_the_same_user_cannot_read_its_memory() -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root to start processes of another user")
    if not SYSTEM_PYTHON.exists():
        pytest.skip("there is no Python that another user can run")
    source = Path(hygiene.__file__).read_text()
    read = "import sys; open(f'/proc/{sys.argv[1]}/mem', 'rb')"
    let_in = {}
    for how in ("soft", "hard"):
        command = [SYSTEM_PYTHON, "-c", SITTING, source, how]
        with subprocess.Popen(command, user=NOBODY, group=NOBODY, stdout=subprocess.PIPE, cwd="/") as sitting:
            assert sitting.stdout is not None
            ready = sitting.stdout.readline()
            reader = [SYSTEM_PYTHON, "-c", read, str(sitting.pid)]
            done = subprocess.run(reader, user=NOBODY, group=NOBODY, capture_output=True, check=False, cwd="/")
            sitting.kill()
        assert ready == b"ready\n"
        let_in[how] = done.returncode == 0
    if not let_in["soft"]:
        pytest.skip("this kernel lets no process read another one's memory")
    assert not let_in["hard"]


@pytest.mark.parametrize("module", [module for module, _ in PROGRAMS])
def test_entry_points_harden_their_process_first(module: str, monkeypatch: pytest.MonkeyPatch) -> None:
    found = importlib.import_module(module)
    calls: list[str] = []
    monkeypatch.setattr(found, "harden_process", lambda: calls.append("harden"))
    (command,) = (name for where, name in PROGRAMS if where == module)

    def run(prog_name: str) -> None:
        calls.append(prog_name)

    monkeypatch.setattr(found, command, run)
    found.main()
    assert calls[0] == "harden"
    assert len(calls) == 2


@pytest.mark.parametrize("length", [0, 1, 4096])
def test_a_buffer_is_wiped_in_place(length: int) -> None:
    buffer = bytearray(b"s" * length)
    view = memoryview(buffer)
    hygiene.wipe(buffer)
    assert bytes(view) == bytes(length)


def test_the_plain_copy_of_a_backup_is_wiped(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plain: list[bytearray] = []
    encrypt = backup.encrypt

    def watch(data: bytearray, passphrase: bytes) -> bytes:
        plain.append(data)
        assert any(data)
        return encrypt(data, passphrase)

    monkeypatch.setattr(backup, "encrypt", watch)
    with small_vault(home) as vault:
        backup.make(vault, b"word")
    assert len(plain) == 1
    assert not any(plain[0])
