"""The keyvault command: issue, rotate, export, inspect."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from commands import ISSUE, done, grant, refused, run, small_site
from parties import VECTORS, host_key

from keyvault import claims, hosts, places
from keyvault.device import Device
from keyvault.envelope import read_sealed
from keyvault.weakness import AUDIT


@pytest.fixture
def site(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder; the home's vault knows sensor cam and hosts lab and mobile."""
    return small_site(tmp_path, monkeypatch)


def test_the_whole_way(site: Path, home: Path) -> None:
    said = done(*ISSUE, "--host", "mobile", "--cfa", "GRBG", "--bits", "10", "--valid-for", "12h")
    issued = grant("sealed.bin")
    assert issued.key_id in said
    assert "lab" in said
    assert (issued.epoch, issued.policy.cfa, issued.policy.bits) == (1, "GRBG", 10)
    assert issued.not_after - issued.not_before == 12 * 3600
    before = Path("sealed.bin").read_bytes()
    done("rotate", "--sensor", "cam")
    second = grant("cam-epoch0002.bin")
    assert (second.epoch, second.policy, second.hosts) == (2, issued.policy, issued.hosts)
    assert second.not_after - second.not_before == 12 * 3600
    assert second.commitment != issued.commitment
    assert Path("sealed.bin").read_bytes() == before
    done("rotate", "--sensor", "cam", "--host", "mobile", "--valid-for", "1d", "-o", "third.bin")
    third = grant("third.bin")
    assert [host.name for host in third.hosts] == ["mobile"]
    assert (third.epoch, third.not_after - third.not_before) == (3, 86_400)
    sealed = read_sealed(Path("third.bin"), hosts.load_issuer(places.issuer_file()))
    device = Device.load(places.device_file("cam"))
    assert sealed.open_as_sensor(device).epoch_key == sealed.open_as_host(host_key("mobile"))[0].epoch_key
    assert "epoch 3" in done("list")


def test_defaults_are_the_safe_ones(site: Path) -> None:
    result = run(*ISSUE)
    assert result.stderr == ""
    policy = grant("sealed.bin").policy
    assert policy.to_json() == {
        "width": 64,
        "height": 48,
        "cfa": "RGGB",
        "samples_per_photosite": 1,
        "bits": 12,
        "unit": "photosite",
        "scope": "frame",
        "protection": "shuffle+mask",
        "frame_keys": "per-frame",
    }
    assert policy.breakable == ""


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (("--frame-keys", "fixed", "--protection", "shuffle"), "a fixed frame key is breakable"),
        (("--protection", "shuffle"), "histogram"),
    ],
)
def test_breakable_policies_are_named_wherever_they_are_shown(site: Path, flags: tuple[str, ...], words: str) -> None:
    result = run(*ISSUE, *flags)
    assert result.exit_code == 0
    assert words in result.stderr
    assert AUDIT in result.stderr
    assert (Path(__file__).parents[2] / AUDIT).is_file()
    assert words in done("inspect", "sealed.bin")
    assert words in json.loads(done("inspect", "sealed.bin", "--json"))["warnings"][0]
    assert words in run("rotate", "--sensor", "cam").stderr


def test_inspect_needs_the_issuer_and_nothing_else(tmp_path: Path, home: Path) -> None:
    said = done("inspect", VECTORS / "sealed.bin", "--issuer", VECTORS / "issuer.pub")
    for words in ("cam-1", "1920x1080", "RGGB", "lab", "mobile", "2026-09-21", "whole frame"):
        assert words in said
    shown = json.loads(done("inspect", VECTORS / "sealed.bin", "--issuer", VECTORS / "issuer.pub", "--json"))
    expected = json.loads((VECTORS / "sealed.json").read_text())["grant"]
    assert shown.items() >= expected.items()
    assert shown["key_ids"] == [grant.key_id for grant in claims.from_json(expected)]
    assert "issuer.pub" in refused(3, "inspect", VECTORS / "sealed.bin")
    changed = bytearray((VECTORS / "sealed.bin").read_bytes())
    changed[-40] ^= ord("A") ^ ord("B") if changed[-40] in b"AB" else changed[-40] ^ ord("A")
    (tmp_path / "x.bin").write_bytes(changed)
    assert "signature" in refused(6, "inspect", tmp_path / "x.bin", "--issuer", VECTORS / "issuer.pub")
    other = tmp_path / "other.pub"
    other.write_bytes(
        hosts.public_pem(Device.create("x", hosts.load_issuer(VECTORS / "issuer.pub")).signer.public_key())
    )
    assert "not by the trusted vault" in refused(6, "inspect", VECTORS / "sealed.bin", "--issuer", other)


@pytest.mark.parametrize(
    ("begin", "state"), [("2020-01-01", "expired"), ("2999-01-01T00:00:00+01:00", "not yet valid"), (None, "valid")]
)
def test_validity_can_lie_anywhere(site: Path, begin: str | None, state: str) -> None:
    done(*ISSUE, "--valid-for", "1h", *(("--not-before", begin) if begin else ()))
    assert json.loads(done("inspect", "sealed.bin", "--json"))["state"] == state
    assert state in done("inspect", "sealed.bin")
    if state == "expired":
        assert grant("sealed.bin").not_before == 1_577_836_800


@pytest.mark.parametrize(
    ("flags", "code", "words"),
    [
        (("--size", "63x48"), 5, "even size"),
        (("--size", "63x48", "--cfa", "none", "--unit", "quad"), 5, "quads need an even size"),
        (("--size", "70000x48"), 5, "outside"),
        (("--bits", "17"), 5, "17"),
        (("--scope", "band:0"), 5, "band:0"),
        (("--scope", "column"), 5, "column"),
        (("--scope", "band:" + "9" * 5000), 5, "band:999"),
        (("--stacked", "--cfa", "RGGB"), 5, "stacked"),
        (("--frame-keys", "fixed"), 5, "mask twice"),
        (("--host", "dog"), 9, "enrolled: lab, mobile"),
        (("--sensor", "dog", "-o", "."), 9, "enrolled: cam"),
        (("--host", "lab"), 3, "same name"),
        (("--passphrase-file", "lab.pub"), 10, "one line"),
        (("-o", "none/sealed.bin"), 4, "cannot write into none"),
        (("-o", "lab.pub"), 4, "exists"),
    ],
)
def test_refused_issues_write_nothing_and_cost_no_epoch(
    site: Path, flags: tuple[str, ...], code: int, words: str
) -> None:
    before = {path: path.read_bytes() for path in site.iterdir() if path.is_file()}
    assert words in refused(code, *ISSUE, *flags)
    assert {path: path.read_bytes() for path in site.iterdir() if path.is_file()} == before
    assert "no epoch yet" in done("list")


@pytest.mark.parametrize(
    "flags",
    [
        ("--size", "64"),
        ("--size", "64*48"),
        ("--valid-for", "0d"),
        ("--valid-for", "1y"),
        ("--not-before", "noon"),
        ("--cfa", "RGBG"),
        ("--unit", "pixel"),
    ],
)
def test_values_of_the_wrong_form_are_usage_errors(site: Path, flags: tuple[str, ...]) -> None:
    result = run(*ISSUE, *flags)
    assert result.exit_code == 2
    assert flags[1] in result.stderr
    assert not Path("sealed.bin").exists()


def test_stacked_sensors_have_no_mosaic(site: Path) -> None:
    done(*ISSUE, "--stacked", "--size", "33x17")
    assert (grant("sealed.bin").policy.cfa, grant("sealed.bin").policy.samples_per_photosite) == ("none", 3)


def test_an_output_is_replaced_only_by_force(site: Path) -> None:
    done(*ISSUE)
    before = Path("sealed.bin").read_bytes()
    assert "--force" in refused(4, *ISSUE)
    assert "--force" in refused(4, "rotate", "--sensor", "cam", "-o", "sealed.bin")
    assert Path("sealed.bin").read_bytes() == before
    assert "epoch 1" in done("list")
    done("rotate", "--sensor", "cam", "-o", "sealed.bin", "--force")
    assert grant("sealed.bin").epoch == 2


@pytest.mark.parametrize("broken", ["link", "fsync", "replace"])
def test_a_failed_write_keeps_the_old_file_and_the_new_epoch(
    site: Path, monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    done(*ISSUE)
    before = Path("sealed.bin").read_bytes()
    output = ("-o", "sealed.bin", "--force") if broken == "replace" else ("-o", "second.bin")
    with monkeypatch.context() as patch:
        patch.setattr(os, broken, fail)
        said = refused(4, "rotate", "--sensor", "cam", *output)
    assert "epoch 2 is kept in the vault" in said
    assert "keyvault export --sensor cam --epoch 2" in said
    assert Path("sealed.bin").read_bytes() == before
    assert sorted(path.name for path in site.iterdir()) == ["home", "lab.pub", "mobile.pub", "sealed.bin"]
    done("export", "--sensor", "cam", "-o", "again.bin")
    assert grant("again.bin").epoch == 2
    done("export", "--sensor", "cam", "--epoch", "1")
    assert Path("cam-epoch0001.bin").read_bytes() == before
    done("rotate", "--sensor", "cam")
    assert grant("cam-epoch0003.bin").epoch == 3


def fail(*_: object, **__: object) -> None:
    raise OSError(28, "No space left on device")
