"""The contact sheet of the peers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

import peers_sheet
from peers.registry import PEERS
from peers_sheet import LARGE, main, pair, square
from sensor_sim.photograph import decode


def test_the_middle_of_a_photograph_is_taken() -> None:
    photograph = np.zeros((100, 300, 3), np.uint8)
    photograph[:, 100:200] = 200
    assert (square(photograph) == 200).all()
    assert pair(square(photograph), np.full((1, 32, 32, 3), 50, np.uint8)).shape == (LARGE, 2 * LARGE + 8, 3)


def test_it_draws_a_picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peers_sheet, "PEERS", {"le": PEERS["le"], "defocus-2": PEERS["defocus-2"]})
    result = CliRunner().invoke(main, ["-o", str(tmp_path / "new" / "sheet.png")])
    assert result.exit_code == 0, result.output
    picture = decode(tmp_path / "new" / "sheet.png")
    assert picture.shape == (295, 1500, 3)
    assert picture.std() > 20


def test_what_is_no_image_is_refused(tmp_path: Path) -> None:
    (tmp_path / "junk.png").write_bytes(b"junk")
    options = ["--photograph", str(tmp_path / "junk.png"), "-o", str(tmp_path / "sheet.png")]
    result = CliRunner().invoke(main, options)
    assert (result.exit_code != 0, result.stderr.count("\n")) == (True, 1)
    assert not (tmp_path / "sheet.png").exists()
