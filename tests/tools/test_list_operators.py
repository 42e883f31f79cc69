"""The page of supported operators is that of the rules."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from inference.rules import RULES
from list_operators import TARGET, main, page


def test_the_page_is_up_to_date() -> None:
    assert TARGET.read_text(encoding="utf-8") == page(), "run python tools/list_operators.py"


def test_the_page_names_every_operator_with_its_rule() -> None:
    listed = page()
    for operator, rule in RULES.items():
        assert rule.__doc__
        line = f"| `{str(operator).removeprefix('aten.')}` | {rule.__doc__.splitlines()[0]} |"
        assert line in listed


def test_drift_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stale = tmp_path / "supported_operators.md"
    monkeypatch.setattr("list_operators.TARGET", stale)
    stale.write_text(page().replace("relu", "relu7"), encoding="utf-8")
    result = CliRunner().invoke(main, ["--check"])
    assert result.exit_code == 1
    assert "out of date" in result.output
    assert CliRunner().invoke(main, []).exit_code == 0
    assert CliRunner().invoke(main, ["--check"]).exit_code == 0
