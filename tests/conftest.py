"""Fixtures that every room's tests share."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile("privcam", deadline=None, derandomize=True)
settings.load_profile("privcam")

# Workers that run side by side share the processors: one that computes on all of them waits for the others.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")

# Shells start background jobs with Ctrl-C ignored, and whatever a test starts would ignore it too.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def privcam_data() -> Path:
    """The folder of real data, named by PRIVCAM_DATA."""
    folder = os.environ.get("PRIVCAM_DATA")
    if not folder or not Path(folder).is_dir():
        pytest.skip("PRIVCAM_DATA is not set to a folder of real data")
    return Path(folder)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty PRIVCAM_HOME for each test: what cameras and hosts remember there must not outlive it."""
    folder = tmp_path / "home"
    monkeypatch.setenv("PRIVCAM_HOME", str(folder))
    return folder


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out tests marked ``full`` unless -m asks for them."""
    if config.option.markexpr:
        return
    skip = pytest.mark.skip(reason="runs in make test-full")
    for item in items:
        if "full" in item.keywords:
            item.add_marker(skip)
