"""README's tour works as it is written, from top to bottom."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import cifar10

ROOT = Path(__file__).resolve().parent.parent
DATA_SET = "CIFAR10_FOLDER"
#: What the tour has that a new environment has done, and what takes minutes.
LEFT_OUT = ("source .venv/bin/activate", "python tools/privacy_audit.py")


def blocks(heading: str, language: str) -> str:
    """The code of one language under a heading of README."""
    section = (ROOT / "README.md").read_text().partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    found = re.findall(rf"^```{language}\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)
    assert found, f"README has no {language} under {heading}"
    return "".join(found)


@pytest.fixture
def tour(tmp_path: Path) -> Path:
    """A folder with the tools and a small data set."""
    (tmp_path / "tools").symlink_to(ROOT / "tools")
    folder = tmp_path / DATA_SET
    folder.mkdir()
    for name in (*cifar10.TRAIN_FILES, *cifar10.TEST_FILES):
        records = np.random.default_rng(0).integers(0, 256, (4, cifar10.RECORD_BYTES), np.uint8)
        records[:, 0] %= 10
        records.tofile(folder / f"{name}.bin")
    return tmp_path


def test_the_tour_and_the_python_block_run_in_order(tour: Path) -> None:
    lines = blocks("Five-minute tour", "sh").splitlines()
    assert all(any(line.startswith(left_out) for line in lines) for left_out in LEFT_OUT)
    shell = (line for line in lines if not line.startswith(LEFT_OUT))
    script = "\n".join(["set -e", *shell, "python - <<'END'", blocks("Python", "python"), "END"])
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        [shutil.which("bash") or "bash"],
        cwd=tour,
        input=script,
        env=os.environ | {"PATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert len(list((tour / "clip").iterdir())) == 40
    assert done.stdout.splitlines()[-1] in cifar10.CLASSES
