"""keyvault doctor: a sound vault passes, every fault is named with what mends it, and mending it helps."""

from __future__ import annotations

import json
import shlex
import sqlite3
import time
from pathlib import Path

import pytest
from commands import ISSUE, done, run, small_site
from parties import host_key

from keyvault import hosts, places
from keyvault.doctor import options, sensors
from keyvault.vault import Vault

DAY = 86_400
PROBLEMS_FOUND = 15


@pytest.fixture
def site(tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A vault with a primary epoch of its one sensor, without warnings but for its missing passphrase."""
    small_site(tmp_path, monkeypatch)
    done(*ISSUE)
    back_up()
    return tmp_path


def back_up() -> None:
    """Have the vault believe that it was backed up now: deriving a key from a passphrase takes long."""
    with Vault.open(places.home()) as vault:
        vault.unlock(None)
        with vault.change() as change:
            change.note("backup", "vault")


def later(monkeypatch: pytest.MonkeyPatch, seconds: int) -> None:
    moment = time.time() + seconds
    monkeypatch.setattr(time, "time", lambda: moment)


def tamper(statement: str) -> None:
    with sqlite3.connect(places.vault_file()) as database:
        database.execute(statement)
    database.close()


def found(*flags: str) -> dict[str, tuple[str, str, str]]:
    """Level, finding and fix by check, the first of each."""
    result = run("doctor", "--json", *flags)
    lines = json.loads(result.stdout)
    assert result.exit_code == (PROBLEMS_FOUND if any(line["level"] == "problem" for line in lines) else 0)
    return {line["check"]: (line["level"], line["what"], line["fix"]) for line in reversed(lines)}


def fault(check: str, *flags: str) -> tuple[str, str]:
    """What is found by a check that must find something, level and fix; every other check is content."""
    lines = found(*flags)
    others = [name for name, (level, _, _) in lines.items() if level != "ok" and name not in (check, "passphrase")]
    assert others == []
    level, what, fix = lines[check]
    assert level != "ok"
    assert fix
    return f"{level}: {what}", fix


def test_a_sound_vault(site: Path) -> None:
    lines = found()
    assert {name for name, (level, _, _) in lines.items() if level != "ok"} == {"passphrase"}
    assert found("--unlock")["terms"][0] == "ok"
    shown = done("doctor").splitlines()
    assert shown[0].startswith("ok       modes")
    assert any(line.strip() == "-> keyvault passwd" for line in shown)


def test_warnings_count_if_that_is_asked_for(site: Path) -> None:
    assert run("doctor").exit_code == 0
    strict = run("doctor", "--strict")
    assert strict.exit_code == PROBLEMS_FOUND
    assert strict.stderr == "keyvault: 1 thing to mend; see how above\n"


def test_it_changes_nothing(site: Path) -> None:
    before = places.vault_file().read_bytes()
    found("--unlock")
    assert places.vault_file().read_bytes() == before


def test_a_protected_vault_is_examined_without_its_passphrase(site: Path) -> None:
    Path("pass").write_text("a passphrase of many words")
    done("passwd", "--new-passphrase-file", "pass")
    assert {level for level, _, _ in found().values()} == {"ok"}
    assert found("--passphrase-file", "pass")["terms"][0] == "ok"
    Path("wrong").write_text("another passphrase altogether")
    refused = run("doctor", "--passphrase-file", "wrong")
    assert refused.exit_code == 10
    assert "wrong passphrase" in refused.stderr


@pytest.mark.parametrize("name", ["vault", "devices", "devices/cam.json", "host.pem", "marks"])
def test_modes(site: Path, home: Path, name: str) -> None:
    hosts.save_host_key(host_key("lab"), home / "host.pem", b"a passphrase")
    (home / "marks").mkdir(mode=0o700)
    path = home / name
    path.chmod(0o755)
    lines = found()
    assert lines["modes"][:2] == ("problem", f"{path} is open to other users (mode 0755)")
    done_by_shell(lines["modes"][2].partition(";")[0])
    assert {level for level, _, _ in found().values()} == {"ok", "warning"}


def done_by_shell(command: str) -> None:
    program, mode, path = shlex.split(command)
    assert program == "chmod"
    Path(path).chmod(int(mode, 8))


def test_a_vault_that_others_can_read_is_not_opened(site: Path) -> None:
    places.vault_file().chmod(0o644)
    lines = found()
    assert lines["vault"][0] == lines["modes"][0] == "problem"
    assert "policy" not in lines


def test_a_file_that_is_no_vault(site: Path) -> None:
    places.vault_file().write_bytes(b"no vault at all")
    assert "not a whole vault" in found()["vault"][1]


def test_a_home_without_a_vault(tmp_path: Path, home: Path) -> None:
    assert found()["issuer"][2] == "copy issuer.pub from the vault"
    assert run("doctor", "--unlock").exit_code == PROBLEMS_FOUND


def test_the_issuer(site: Path, home: Path) -> None:
    own = places.issuer_file().read_bytes()
    places.issuer_file().unlink()
    what, _ = fault("issuer")
    assert "missing" in what
    done("init")
    assert places.issuer_file().read_bytes() == own
    done("--home", "second", "init", "--no-passphrase")
    places.issuer_file().write_bytes(Path("second/issuer.pub").read_bytes())
    assert "and this is vault" in fault("issuer")[0]
    places.issuer_file().write_bytes(b"no key")
    assert "not a public key" in fault("issuer")[0]


def test_host_keys(site: Path, home: Path) -> None:
    hosts.save_host_key(host_key("lab"), home / "host.pem", None)
    assert "no passphrase" in fault("host key")[0]
    (home / "host.pub").write_bytes(hosts.public_pem(host_key("mobile").public_key()))
    assert "not the public half" in json.dumps(json.loads(run("doctor", "--json").stdout))
    (home / "host.pem").write_text("no key")
    assert "not a private key" in found()["host key"][1]


@pytest.mark.parametrize("back", [360, 400 * DAY])
def test_the_clock(site: Path, monkeypatch: pytest.MonkeyPatch, back: int) -> None:
    later(monkeypatch, -back)
    lines = found()
    assert lines["clock"][0] == "problem"
    assert "audit record" in lines["clock"][1]
    assert "sealed key" in lines["clock"][1]


def test_validity(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done("rotate", "--sensor", "cam", "--valid-for", "20d")
    back_up()
    later(monkeypatch, 17 * DAY)
    assert found()["validity"][0] == "ok"
    later(monkeypatch, 2 * DAY)
    what, fix = fault("validity")
    assert what.startswith("warning: the primary epoch of sensor cam ends soon")
    later(monkeypatch, 2 * DAY)
    what, fix = fault("validity")
    assert what == "problem: the primary epoch of sensor cam has expired"
    done(*shlex.split(fix)[1:])
    assert found()["validity"][0] == "ok"


def test_an_epoch_that_has_not_begun(site: Path) -> None:
    done(*ISSUE, "--not-before", "2100-01-01", "-o", "later.bin")
    back_up()
    assert "not valid yet" in fault("validity")[0]


def test_a_host_that_is_revoked_and_has_the_key(site: Path) -> None:
    done("revoke", "host", "lab")
    done("status", "publish")
    what, fix = fault("recipients")
    assert what.startswith("problem: host lab is not enrolled or revoked")
    assert "lab" in found("--unlock")["terms"][1]
    done(*shlex.split(fix)[1:], "--host", "mobile")
    back_up()
    lines = found("--unlock")
    assert lines["recipients"][0] == lines["terms"][0] == "ok"


def test_sensors_without_a_primary_epoch(site: Path) -> None:
    done("enroll", "sensor", "dog")
    what, fix = fault("primary")
    assert what == "warning: sensor dog without any epoch"
    assert fix.startswith("keyvault issue --sensor dog")
    done("revoke", "sensor", "dog")
    done("status", "publish")
    assert found()["primary"][0] == "ok"


def test_a_staged_epoch_that_waits(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done("rotate", "--sensor", "cam", "--stage")
    back_up()
    later(monkeypatch, 7 * DAY - 60)
    assert found()["staged"][0] == "ok"
    later(monkeypatch, 120)
    what, fix = fault("staged")
    assert "sensor cam" in what
    done(*shlex.split(fix.partition(",")[0])[1:])
    assert found()["staged"][0] == "ok"


def test_destruction(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done("rotate", "--sensor", "cam")
    done("destroy", "--sensor", "cam", "--epoch", "1", "--after", "7d")
    done("status", "publish", "--valid-for", "30d")
    back_up()
    assert "1 keys await" in found()["destruction"][1]
    later(monkeypatch, 5 * DAY)
    what, fix = fault("destruction")
    assert what.startswith("warning: the key of epoch 1 of sensor cam is destroyed")
    assert fix.endswith("keyvault restore --sensor cam --epoch 1")
    later(monkeypatch, 3 * DAY)
    what, fix = fault("destruction")
    assert what.startswith("problem")
    done(*shlex.split(fix)[1:])
    assert found()["destruction"][0] == "ok"


def test_the_status_list(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done("revoke", "host", "mobile")
    what, fix = fault("status")
    assert what.startswith("problem: no status list")
    done(*shlex.split(fix)[1:])
    assert found()["status"][0] == "ok"
    done("rotate", "--sensor", "cam")
    back_up()
    done("disable", "--sensor", "cam", "--epoch", "1")
    assert fault("status")[0].startswith("problem: status list")
    done("status", "publish")
    later(monkeypatch, 8 * DAY)
    assert fault("status")[0].startswith("warning: status list")
    places.status_file().write_bytes(b"no list")
    assert found()["status"][0] == "problem"


def test_backups(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    later(monkeypatch, 31 * DAY)
    assert "more than 30 days ago" in fault("backup")[0]
    Path("pass").write_text("a passphrase of many words")
    done("backup", "-o", "vault.backup", "--backup-passphrase-file", "pass")
    assert found()["backup"][0] == "ok"
    later(monkeypatch, 5)
    done("rotate", "--sensor", "cam")
    assert fault("backup")[0].startswith("warning: 1 epochs were made since")


def test_a_vault_that_was_never_backed_up(tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small_site(tmp_path, monkeypatch)
    assert found()["backup"][:2] == ("warning", "the vault was never backed up")


def test_the_audit_log(site: Path) -> None:
    tamper("UPDATE audit SET record = replace(record, 'mobile', 'mobil3') WHERE seq = 4")
    assert "audit record 4" in fault("audit")[0]
    tamper("UPDATE audit SET record = 'no record' WHERE seq = 4")
    assert found()["audit"][0] == "problem"


def test_records_that_were_changed_are_found_with_the_key(site: Path) -> None:
    tamper("UPDATE epochs SET record = zeroblob(100)")
    assert found()["policy"][0] == "ok"
    lines = found("--unlock")
    assert {name for name, line in lines.items() if line[0] == "problem"} == {"tables", "terms"}
    assert "the table epochs of the vault, at sensor" in lines["tables"][1]


@pytest.mark.parametrize(
    ("flags", "level", "words"),
    [
        (("--protection", "shuffle", "--frame-keys", "fixed"), "problem", "200 frames over 99 %"),
        (("--protection", "shuffle"), "problem", "over 40 %"),
        (("--protection", "shuffle", "--scope", "row"), "problem", "0.61"),
        (("--protection", "shuffle", "--unit", "quad"), "problem", "2 x 2"),
        (("--scope", "row"), "warning", "the mask hides the values"),
        (("--scope", "band:2"), "warning", "band of 2 of 48 rows"),
    ],
)
def test_weak_policies(site: Path, flags: tuple[str, ...], level: str, words: str) -> None:
    done(*ISSUE, *flags, "-o", "weak.bin")
    back_up()
    lines = [line for line in json.loads(run("doctor", "--json").stdout) if line["check"] == "policy"]
    assert {line["level"] for line in lines} == {level}
    assert words in " ".join(line["what"] for line in lines)
    assert all("docs/privacy_audit.md" in line["what"] for line in lines)
    assert words in " ".join(json.loads(done("inspect", "weak.bin", "--json"))["warnings"])
    fixes = " ".join(line["fix"].partition(":")[0] for line in lines)
    better = [word for word in shlex.split(fixes.replace("issue a new epoch with", "")) if word]
    done(*ISSUE, *better, "-o", "better.bin")
    back_up()
    assert found()["policy"][0] == "ok"


def test_names_of_a_fleet_are_not_all_listed() -> None:
    names = [f"cam{number}" for number in range(10_000)]
    assert sensors(names) == "sensors cam0, cam1, cam2 and 9997 more"
    assert options(names[:2]) == "--sensor cam0 --sensor cam1 -o FOLDER"
    assert options(names[:1]) == "--sensor cam0"
