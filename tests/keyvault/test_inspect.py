"""keyvault inspect: every epoch of a file, who may open it and for how long, and what to look at first."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from commands import done
from hypothesis import given
from hypothesis import strategies as st
from parties import ISSUER, NOW, SALT, TERMS, VECTORS, issued

from keyvault import report
from keyvault.grant import Grant
from keyvault.hosts import public_pem
from keyvault.issuing import Delivery, EpochSeed
from keyvault.policy import FrameKeys, Policy, Protection, Unit
from keyvault.weakness import weaknesses

DAY = 86_400
RANGE = Delivery(tuple(EpochSeed(number, SALT) for number in (3, 4, 5)), serial=9, min_epoch=2, for_sensor=False)


def grants(begin: int = NOW - 10, end: int = NOW + 10) -> tuple[Grant, ...]:
    return issued(not_before=begin, not_after=end).grants


def test_all_epochs_of_a_range_are_shown(tmp_path: Path) -> None:
    made = issued(TERMS, RANGE, not_after=NOW + 400 * DAY, not_before=0, status_max_age=7 * DAY)
    (tmp_path / "range.bin").write_bytes(made.data)
    (tmp_path / "issuer.pub").write_bytes(public_pem(ISSUER.public_key()))
    command = ("inspect", tmp_path / "range.bin", "--issuer", tmp_path / "issuer.pub")
    text = done(*command)
    lines = text.splitlines()
    for grant in made.grants:
        assert f"epoch      {grant.epoch} (key id {grant.key_id})" in lines
    for line in ("epochs     3 to 5", "serial     9", "in use     epochs from 2 on", "for        hosts lab, mobile"):
        assert line in lines
    assert "status     opens with a status list of at most 7 days" in lines
    assert all(host.kid in text for host in made.grants[0].hosts)
    assert "WARNING: for hosts only: the sensor cannot open it" in lines
    shown = json.loads(done(*command, "--json"))
    assert shown["key_ids"] == [grant.key_id for grant in made.grants]
    assert [epoch["epoch"] for epoch in shown["epochs"]] == [3, 4, 5]
    assert (shown["serial"], shown["min_epoch"], shown["status_max_age"]) == (9, 2, 7 * DAY)
    assert shown["warnings"] == ["for hosts only: the sensor cannot open it"]


@pytest.mark.parametrize(
    ("begin", "end", "words", "left"),
    [
        (NOW - DAY, NOW + 3 * DAY, "valid: ", 3 * DAY),
        (NOW, NOW, "valid: ", 0),
        (NOW + 7200, NOW + DAY, "not yet valid: ", 7200),
        (NOW - 3 * DAY, NOW - 1, "expired: ", None),
    ],
)
def test_validity(begin: int, end: int, words: str, left: int | None) -> None:
    found = grants(begin, end)
    assert f"validity   {words}" in report.as_text(found, NOW)
    shown = report.as_json(found, NOW)
    assert words.startswith(shown["state"])
    assert shown["seconds_left"] == left


@pytest.mark.parametrize(
    ("begin", "end", "warned"),
    [
        (NOW - 90, NOW + 11, False),
        (NOW - 91, NOW + 9, True),
        (NOW - 800 * DAY, NOW + 31 * DAY, False),
        (NOW - 800 * DAY, NOW + 29 * DAY, True),
        (NOW - 9, NOW - 1, False),
    ],
)
def test_what_ends_soon(begin: int, end: int, warned: bool) -> None:
    assert report.ends_soon(begin, end, NOW) is warned
    assert any(text.startswith("expires in") for text in report.warnings(grants(begin, end)[0], NOW)) is warned


def test_warnings_of_validity() -> None:
    (expired,) = report.warnings(grants(NOW - 20, NOW - 10)[0], NOW)
    assert expired.startswith("expired at ")
    assert expired.endswith("keyvault rotate --sensor cam")
    (early,) = report.warnings(grants(NOW + 10, NOW + 20)[0], NOW)
    assert early.startswith("not valid before ")
    assert report.warnings(grants(NOW - 10, NOW + 1000)[0], NOW) == []


@given(st.integers(0, 4000 * DAY))
def test_a_span_in_words_is_never_longer_than_the_span(seconds: int) -> None:
    count, unit = report.span(seconds).split()
    length = {"day": DAY, "hour": 3600, "minute": 60, "s": 1}[unit if unit == "s" else unit.removesuffix("s")]
    assert 0 <= seconds - int(count) * length < length


@given(
    st.sampled_from(Unit),
    st.sampled_from(Protection),
    st.sampled_from(FrameKeys),
    st.sampled_from(["row", "band:2", "band:8", "frame"]),
)
def test_a_policy_is_broken_exactly_if_it_does_not_mask(
    unit: Unit, protection: Protection, keys: FrameKeys, scope: str
) -> None:
    if keys is FrameKeys.FIXED and protection is Protection.SHUFFLE_MASK:
        return
    policy = Policy(64, 48, unit=unit, protection=protection, frame_keys=keys, scope=scope)
    found = weaknesses(policy)
    assert any(weakness.broken for weakness in found) is (protection is Protection.SHUFFLE)
    assert bool(policy.breakable) is any(weakness.broken for weakness in found)
    assert bool(found) is (protection is Protection.SHUFFLE or scope in ("row", "band:2"))
    if policy.breakable:
        assert found[0].reason.startswith(policy.breakable)


def test_the_threat_model_says_what_was_measured() -> None:
    text = (Path(__file__).parents[2] / "docs" / "threat_model.md").read_text()
    numbers = ("100", "95 %", "200", "99 %", "10,400", "40 %", "0.61", "0.16", "12 %")
    for number in numbers:
        assert number in text
    weak = Policy(64, 48, protection=Protection.SHUFFLE, frame_keys=FrameKeys.FIXED, scope="row")
    said = " ".join(weakness.reason for weakness in weaknesses(weak))
    for number in numbers:
        assert number in said


def test_it_imports_only_what_it_needs() -> None:
    vector, issuer = str(VECTORS / "sealed.bin"), str(VECTORS / "issuer.pub")
    program = (
        "import sys\n"
        "for name in ('jwcrypto', 'sqlite3', 'tqdm', 'numpy', 'numba', 'keyvault.vault'): sys.modules[name] = None\n"
        "from keyvault.cli import main\n"
        f"sys.argv = ['keyvault', 'inspect', {vector!r}, '--issuer', {issuer!r}]\n"
        "main()\n"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert result.stderr == ""
    assert "signature  verified" in result.stdout
