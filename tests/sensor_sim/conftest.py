"""Fixtures of tests that stream."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from camera_kit import enrol, seal
from stream_kit import POLICY, producers


@pytest.fixture
def key(tmp_path: Path, home: Path) -> Path:
    """A sealed key of a small sensor."""
    enrol(home)
    return seal(tmp_path / "sealed.bin", POLICY)


@pytest.fixture
def no_thread_is_left() -> Iterator[None]:
    """Fails if a camera's thread outlives the test."""
    yield
    assert not producers()
