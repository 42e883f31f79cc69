"""The section ``vault`` of the benchmark: it measures what it says, on a small vault."""

from __future__ import annotations

from pathlib import Path

import pytest

import bench_vault


@pytest.mark.full
def test_a_small_fleet_is_measured_and_left_with_its_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench_vault, "SENSORS", 3)
    monkeypatch.setattr(bench_vault.tempfile, "tempdir", str(tmp_path))
    fleet, listing, unsealing, inspecting = bench_vault.run(1)
    assert "3 sensors, 2 hosts" in fleet.title
    assert [timing.name for timing in fleet.timings][1:3] == ["keyvault issue --all", "keyvault rotate --all"]
    for timing in fleet.timings:
        assert timing.sensors_per_s == pytest.approx(3 / timing.median_s)
    assert all(timing.median_s > 0 for found in (listing, unsealing, inspecting) for timing in found.timings)
    assert list(tmp_path.iterdir()) == []
