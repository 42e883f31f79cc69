"""Files that tools keep: where a value does not have the form that it must have."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from json_files import misfit, read_kept
from keyvault.errors import InputError

FORM = {"name": ("a", None), "count": int, "share": float, "items": [{"at": int}], "more": {str: str}, "flag": bool}
GOOD: dict[str, Any] = {
    "name": "a",
    "count": 1,
    "share": 1,
    "items": [{"at": 1}, {"at": 2, "unknown": 3}],
    "more": {"x": "y"},
    "flag": True,
}


def test_what_fits_fits() -> None:
    assert misfit(GOOD, FORM) is None
    assert misfit(GOOD | {"name": None, "items": [], "more": {}, "unknown": 1}, FORM) is None


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ({"name": "b"}, "name"),
        ({"count": True}, "count"),
        ({"count": 1.5}, "count"),
        ({"share": "1"}, "share"),
        ({"items": {"at": 1}}, "items"),
        ({"items": [{"at": 1}, {"at": None}]}, "items.1.at"),
        ({"items": [{}]}, "items.0.at"),
        ({"more": {"x": 1}}, "more.x"),
        ({"flag": 1}, "flag"),
    ],
)
def test_the_place_that_does_not_fit_is_named(tmp_path: Path, change: dict[str, Any], place: str) -> None:
    assert misfit(GOOD | change, FORM) == place
    assert misfit({name: value for name, value in GOOD.items() if name not in change}, FORM) == next(iter(change))


def test_refusals_name_the_file_to_remove(tmp_path: Path) -> None:
    path = tmp_path / "kept.json"
    for content, words in (
        ('{"a": 1}', "is not a result: see b"),
        ("{", "is not a JSON file"),
        ("[" * 100_000, "is not a JSON file"),
        ("[]", "not a result"),
    ):
        path.write_text(content)
        with pytest.raises(InputError, match=words) as refused:
            read_kept(path, {"b": int}, "a result")
        assert str(path) in str(refused.value)
    path.write_text('{"b": 1}')
    assert read_kept(path, {"b": int}, "a result") == {"b": 1}
    with pytest.raises(InputError, match="is not a result"):
        read_kept(path, {"b": int}, "a result", lambda found: found["b"] > 1)
    with pytest.raises(InputError, match=r"cannot read .*nothing\.json: No such file"):
        read_kept(tmp_path / "nothing.json", {}, "a result")
