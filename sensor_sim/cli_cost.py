"""``sensor-sim cost``: what policies cost in the chip, side by side."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from keyvault.cli_options import file_option, size
from keyvault.policy import Cfa, Policy, Unit
from sensor_sim.policies import Wanted, named_policies

if TYPE_CHECKING:
    from adc_firmware.cost import Timing


@click.command("cost")
@click.option(
    "--policy",
    "named",
    multiple=True,
    metavar="POLICY",
    help="A sealed key, or words such as 1920x1080,12,quad,band:16; the options below say what words leave open.",
)
@file_option("--trust", help="Public key of the vault that sealed it.  [default: issuer.pub in the home]")
@click.option("--size", help="Photosites, width first.", **size)
@click.option("--bits", type=int, default=12, show_default=True, help="Bit depth, 8 to 16.")
@click.option(
    "--cfa",
    type=click.Choice([value.value for value in Cfa]),
    help="Colour filter array.  [default: RGGB; none with --stacked]",
)
@click.option("--stacked", is_flag=True, help="Three samples at each photosite, no colour filter array.")
@click.option("--scope", help="row, band:N (N rows) or frame.  [default: compare them]")
@click.option("--unit", type=click.Choice([value.value for value in Unit]), help="What moves.  [default: compare]")
@click.option("--row-time-us", type=float, help="Microseconds a row takes: adds times and the frame rate.")
@click.option("--profile", help="Sensor profile whose row time and blank rows are taken instead.")
@click.option("--clock-mhz", type=float, help="Address clock: it may limit the frame rate.  [default: fast enough]")
@click.option("--pj-per-bit", type=float, help="Picojoules a bit written or read: adds the energy of a frame.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def cost_command(**options: Any) -> None:
    """What policies cost: memory, address cycles, latency, frame rate.

    Every figure is counted from the specification of the permutation, none is measured on silicon;
    docs/cost.md defines them.
    """
    timing = _timing(options)
    records = [_record(policy, timing, options["pj_per_bit"]) for policy in _policies(options)]
    if options["as_json"]:
        click.echo(json.dumps(records, indent=2))
    else:
        click.echo(_table(records))


def _timing(options: dict[str, Any]) -> Timing | None:
    from adc_firmware.cost import Timing  # noqa: PLC0415

    row_time, profile, clock = options["row_time_us"], options["profile"], options["clock_mhz"]
    if row_time is not None and profile is not None:
        raise click.UsageError("--row-time-us and --profile both state a row time")
    if profile is not None:
        from sensor_sim.sensor_profile import load_profile  # noqa: PLC0415

        readout = load_profile(profile).readout
        return Timing(readout.row_time_us, readout.blank_rows, clock)
    if row_time is not None:
        return Timing(row_time, clock_mhz=clock)
    if clock is not None:
        raise click.UsageError("--clock-mhz needs --row-time-us or --profile")
    return None


def _policies(options: dict[str, Any]) -> list[Policy]:
    """The policies asked for; what is left open is gone through as far as it fits the size."""
    if not options["named"] and options["size"] is None:
        raise click.UsageError("say which policies with --policy or --size")
    cfa, unit = options["cfa"], options["unit"]
    wanted = Wanted(
        options["size"],
        options["bits"],
        Cfa(cfa) if cfa else None,
        options["stacked"],
        Unit(unit) if unit else None,
        options["scope"],
    )
    if not options["named"]:
        return list(wanted.policies())
    return [policy for text in options["named"] for policy in named_policies(text, wanted, options["trust"])]


def _record(policy: Policy, timing: Timing | None, pj_per_bit: float | None) -> dict[str, Any]:
    from adc_firmware.cost import cost, frame_energy_uj, pace  # noqa: PLC0415

    record = {
        "width": policy.width,
        "height": policy.height,
        "samples_per_photosite": policy.samples_per_photosite,
        "bits": policy.bits,
        "cfa": str(policy.cfa),
        "unit": str(policy.unit),
        "scope": policy.scope,
        **asdict(cost(policy)),
    }
    if timing is not None:
        record |= asdict(timing) | asdict(pace(policy, timing))
    if pj_per_bit is not None:
        record |= {"pj_per_bit": pj_per_bit, "frame_energy_uj": frame_energy_uj(policy, pj_per_bit)}
    return record


_FRAME = ("width", "height", "samples_per_photosite", "bits", "cfa")
_COLUMNS: dict[str, tuple[str, Callable[[Any], str]]] = {
    "frame": ("frame", str),
    "unit": ("unit", str),
    "scope": ("scope", str),
    "buffer_bits": ("buffer", lambda bits: _si(bits, "bit")),
    "table_bits": ("table", lambda bits: _si(bits, "bit")),
    "cycles_per_sample": ("cycles/sample", lambda value: f"{value:.2f}"),
    "latency_lines": ("lines", str),
    "latency_us": ("latency", lambda us: _si(us * 1e-6, "s")),
    "frames_per_second": ("frames/s", lambda value: f"{value:.2f}"),
    "clock_needed_mhz": ("clock needed", lambda mhz: _si(mhz * 1e6, "Hz")),
    "frame_energy_uj": ("energy/frame", lambda uj: _si(uj * 1e-6, "J")),
}


def _table(records: list[dict[str, Any]]) -> str:
    """One line a policy, under a line of names; figures that were not asked for have no column.

    What the frames are like has one if they are not all alike.
    """
    if len({tuple(record[name] for name in _FRAME) for record in records}) > 1:
        records = [record | {"frame": _frame(record)} for record in records]
    shown = {name: column for name, column in _COLUMNS.items() if name in records[0]}
    lines = [[title for title, _ in shown.values()]]
    lines += [[text(record[name]) for name, (_, text) in shown.items()] for record in records]
    widths = [max(len(line[i]) for line in lines) for i in range(len(shown))]
    words = len(shown.keys() & {"frame", "unit", "scope"})  # words stand left, figures right

    def aligned(line: list[str]) -> str:
        cells = [
            cell.ljust(width) if i < words else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(line, widths, strict=True))
        ]
        return "  ".join(cells)

    return "\n".join(map(aligned, lines))


def _frame(record: dict[str, Any]) -> str:
    mosaic = "stacked" if record["samples_per_photosite"] == 3 else record["cfa"]
    return f"{record['width']}x{record['height']} {mosaic} {record['bits']} bit"


def _si(value: float, unit: str) -> str:
    """Three significant digits with a decimal prefix: 46.1 kbit, 737 kbit, 533 us."""
    if value == 0:
        return f"0 {unit}"
    prefixes = {-12: "p", -9: "n", -6: "u", -3: "m", 0: "", 3: "k", 6: "M", 9: "G", 12: "T"}
    rounded = float(f"{value:.2e}")
    power = min((p for p in prefixes if rounded < 1000 * 10.0**p), default=12)
    digits = rounded / 10.0**power
    decimals = 0 if unit == "bit" and power == 0 else max(0, 2 - max(0, len(str(int(digits))) - 1))
    return f"{digits:.{decimals}f} {prefixes[power]}{unit}"
