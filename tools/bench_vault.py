"""What keys cost, one and ten thousand: the section ``vault`` of tools/benchmark.py.

A command is measured whole, in a process of its own as an operator runs it: its start, the
derivation, RSA and signature of every key, the vault's transactions and a synced file a sensor.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path

from keyvault import places
from keyvault.device import Device
from keyvault.envelope import verify
from keyvault.hosts import generate_host_key, load_host_key, load_issuer, public_pem, save_host_key
from measure import Comparison, Timing, compare

SENSORS = 10_000
HOSTS = ("lab", "mobile")
_PROGRAM = (sys.executable, "-c", "from keyvault.cli import main; main()")
_POLICY = ("--size", "1920x1080", *(word for host in HOSTS for word in ("--host", host)))


def run(rounds: int) -> Iterator[Comparison]:
    """Every comparison of this section; the vault is made for it and removed again."""
    with tempfile.TemporaryDirectory() as name:
        site = Path(name)
        _prepare(site)
        yield fleet(site, SENSORS)
        yield listing(site, rounds)
        yield unsealing(site, rounds)
        yield inspecting(site, rounds)


def _prepare(site: Path) -> None:
    """A vault with hosts that have RSA-3072 keys and one sensor with a sealed key, in ``site``."""
    command(site, "init", "--no-passphrase")
    for host in HOSTS:
        key = generate_host_key()
        save_host_key(key, site / f"{host}.pem", None)
        (site / f"{host}.pub").write_bytes(public_pem(key.public_key()))
        command(site, "enroll", "host", host, "--public", f"{host}.pub")
    command(site, "enroll", "sensor", "first")
    command(site, "issue", "--sensor", "first", *_POLICY)


def fleet(site: Path, sensors: int) -> Comparison:
    """The commands for many sensors, each once, since each changes the vault."""
    (site / "names.txt").write_text("".join(f"cam{number:05d}\n" for number in range(sensors)))
    words = {
        "enroll sensor --from names.txt": ("enroll", "sensor", "--from", "names.txt"),
        "issue --all": ("issue", "--all", *_POLICY, "-o", "issued"),
        "rotate --all": ("rotate", "--all", "-o", "rotated"),
        "rewrap --all": ("rewrap", "--all", "-o", "rewrapped"),
        "status publish": ("status", "publish"),
    }
    taken = {name: _seconds(partial(command, site, *arguments)) for name, arguments in words.items()}
    first = taken["issue --all"]
    timings = [Timing(f"keyvault {name}", s, s, s / first, sensors_per_s=sensors / s) for name, s in taken.items()]
    size = places.vault_file(site / "home").stat().st_size / 2**20
    title = f"{sensors} sensors, {len(HOSTS)} hosts with RSA-3072, once; with 2 epochs and 3 files each {size:.0f} MiB"
    return Comparison(title, "keyvault issue --all", 1, tuple(timings))


def listing(site: Path, rounds: int) -> Comparison:
    """Reading the same vault, whole commands."""
    things = {
        "keyvault list": ("list",),
        "keyvault list --json, with all epochs": ("list", "--json"),
        "keyvault list --sensor": ("list", "--sensor", "cam00000"),
        "keyvault list --host": ("list", "--host", "lab"),
    }
    return compare("the same vault, listed", _commands(site, things), rounds=rounds)


def unsealing(site: Path, rounds: int) -> Comparison:
    """Verifying and opening one sealed key, in process, with its file's bytes at hand."""
    home, data = site / "home", (site / "sealed.bin").read_bytes()
    issuer = load_issuer(places.issuer_file(home))
    device, host = Device.load(places.device_file("first", home)), load_host_key(site / "lab.pem", None)
    things: dict[str, Callable[[], object]] = {
        "by an RSA-3072 key": lambda: verify(data, issuer).open_as_host(host),
        "by a device key": lambda: verify(data, issuer).open_as_sensor(device),
        "verify alone": lambda: verify(data, issuer),
    }
    return compare("unsealing, in process", things, rounds=20 * rounds)


def inspecting(site: Path, rounds: int) -> Comparison:
    """From the shell, beside a Python that does nothing."""
    nothing: dict[str, Callable[[], object]] = {
        "python -c pass": lambda: subprocess.run([sys.executable, "-c", "pass"], check=True)
    }
    things = {"keyvault inspect sealed.bin": ("inspect", "sealed.bin"), "keyvault list --help": ("list", "--help")}
    return compare("from the shell", nothing | _commands(site, things), rounds=rounds)


def command(site: Path, *words: str) -> None:
    """Run a keyvault command in ``site``; CalledProcessError if it is refused."""
    program = [*_PROGRAM, "--home", str(site / "home"), *words]
    subprocess.run(program, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=site)


def _commands(site: Path, things: Mapping[str, tuple[str, ...]]) -> dict[str, Callable[[], object]]:
    return {name: partial(command, site, *words) for name, words in things.items()}


def _seconds(thing: Callable[[], object]) -> float:
    begin = time.perf_counter()
    thing()
    return time.perf_counter() - begin
