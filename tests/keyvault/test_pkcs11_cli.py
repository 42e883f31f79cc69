"""The commands with a host's key in a real SoftHSM2."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner
from commands import done, refused, run
from soft_token import PIN, SoftToken, soft_token

from keyvault import errors, hosts


@pytest.fixture(scope="module")
def tokens(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SoftToken]:
    with soft_token(tmp_path_factory.mktemp("softhsm")) as made:
        yield made


@pytest.fixture
def site(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with a vault that knows cam, and files with the right and a wrong PIN."""
    monkeypatch.chdir(tmp_path)
    Path("pin").write_text(f"{PIN}\n")
    Path("wrong").write_text("0000\n")
    done("init", "--no-passphrase")
    done("enroll", "sensor", "cam")
    return tmp_path


def test_a_host_whose_key_is_in_a_token(tokens: SoftToken, site: Path, home: Path) -> None:
    pytest.importorskip("torch")
    from inference.cli import keyed_infer  # noqa: PLC0415
    from inference.session import open_session  # noqa: PLC0415
    from sensor_sim.cli import sensor_sim  # noqa: PLC0415

    uri = tokens.text("token=lab;object=host")
    told = done("host-key", "--token", uri, "--pin-file", "pin")
    assert "cannot leave" in told
    assert not (home / "host.pem").exists()
    done("enroll", "host", "lab", "--public", home / "host.pub")
    done("issue", "--sensor", "cam", "--host", "lab", "--size", "64x48")
    assert CliRunner().invoke(sensor_sim, ["capture", "--key", "sealed.bin", "-o", "frame.dng"]).exit_code == 0
    reveal = ["reveal", "--key", "sealed.bin", "--identity", uri, "-o", "plain.png", "frame.dng"]
    for pin, code in (("wrong", 10), ("pin", 0)):
        result = CliRunner().invoke(keyed_infer, [*reveal, "--pin-file", pin])
        assert result.exit_code == code, result.output
        assert PIN not in result.output
        assert Path("plain.png").exists() is (code == 0)
    by_uri = f"{uri}&pin-source={site / 'pin'}"
    assert open_session("sealed.bin", by_uri).grants == open_session("sealed.bin", uri, passphrase=PIN.encode()).grants


def test_the_public_half_of_a_key_that_is_there_is_written_again(tokens: SoftToken, site: Path) -> None:
    uri = tokens.text("token=lab;object=again")
    done("host-key", "--token", uri, "--pin-file", "pin", "-o", "one.pem")
    assert "had it before" in done("host-key", "--token", uri, "--pin-file", "pin", "-o", "two.pem")
    assert hosts.load_host_public(Path("one.pub")) == hosts.load_host_public(Path("two.pub"))
    assert "one.pub exists" in refused(4, "host-key", "--token", uri, "--pin-file", "pin", "-o", "one.pem")


def test_refusals(tokens: SoftToken, site: Path) -> None:
    uri = tokens.text("token=lab;object=refused")
    for code, says, *options in (
        (errors.TokenError.exit_code, "no token", "--token", tokens.text("token=x;object=y"), "--pin-file", "pin"),
        (errors.TokenError.exit_code, "no PKCS#11 module", "--token", "pkcs11:object=a?module-path=/x"),
        (10, "wrong PIN", "--token", uri, "--pin-file", "wrong"),
        (10, "no PIN for token lab", "--token", uri),
        (3, "cannot read PIN file", "--token", uri, "--pin-file", "missing"),
        (3, "2048 bits", "--token", uri, "--pin-file", "pin", "--bits", "2048"),
        (3, "a PIN in it", "--token", f"{uri}&pin-value={PIN}"),
        (2, "--pin-file is for --token", "--pin-file", "pin", "--no-passphrase"),
        (2, "give --pin-file", "--token", uri, "--no-passphrase"),
    ):
        fed = ("--pin-file", "pin") if "/x" in str(options) else ()
        line = refused(code, "host-key", *options, *fed)
        assert says in line
        assert PIN not in line
        assert not (site / "home" / "host.pub").exists()


def test_the_pin_can_come_from_standard_input(tokens: SoftToken, site: Path) -> None:
    uri = tokens.text("token=lab;object=piped")
    result = run("host-key", "--token", uri, "--pin-file", "-", input=f"{PIN}\n")
    assert result.exit_code == 0, result.output
    assert PIN not in result.output
