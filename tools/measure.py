"""Timing by paired rounds.

Machines speed up, slow down and share their cores.  So the things to compare take turns: every
round runs each of them once, beginning with another one each time, and a ratio is the median of the
ratios within rounds, which what slows a whole round down does not change.
"""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import median
from typing import Any

PACKAGES = ("cryptography", "numba", "numpy", "opencv-python-headless", "torch", "torchvision")
THREAD_VARIABLES = ("MKL_NUM_THREADS", "NUMBA_NUM_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")


@dataclass(frozen=True)
class Timing:
    """What one of the things compared took.

    Attributes:
        name: what it is.
        median_s, best_s: seconds a call.
        ratio: median over rounds of its time divided by the baseline's in the same round.
        megapixels_per_s, frames_per_s, sensors_per_s: from the median; None where that says nothing.
    """

    name: str
    median_s: float
    best_s: float
    ratio: float
    megapixels_per_s: float | None = None
    frames_per_s: float | None = None
    sensors_per_s: float | None = None


@dataclass(frozen=True)
class Comparison:
    """Things that do the same job, and the one the others are held against."""

    title: str
    baseline: str
    rounds: int
    timings: tuple[Timing, ...]

    def to_json(self) -> dict[str, Any]:
        """The comparison as JSON values."""
        return asdict(self)

    def table(self) -> str:
        """The comparison for a terminal, one line a thing."""
        name_width = max(len(timing.name) for timing in self.timings)
        lines = [f"{self.title} (medians of {self.rounds} paired rounds; ratio to {self.baseline})"]
        for timing in self.timings:
            speed = "" if timing.megapixels_per_s is None else f"{timing.megapixels_per_s:10.1f} Mpx/s"
            speed += "" if timing.frames_per_s is None else f"{timing.frames_per_s:10.1f} frames/s"
            speed += "" if timing.sensors_per_s is None else f"{timing.sensors_per_s:10.1f} sensors/s"
            lines.append(f"  {timing.name:<{name_width}} {_duration(timing.median_s)} {timing.ratio:8.3f}{speed}")
        return "\n".join(lines)


def compare(
    title: str,
    things: Mapping[str, Callable[[], object]],
    *,
    rounds: int,
    pixels: int | None = None,
    frames: int | None = None,
    clock: Callable[[], float] = time.perf_counter,
) -> Comparison:
    """Time ``things`` in paired, interleaved rounds after one call of each to warm up.

    The first one is the baseline.  ``pixels`` and ``frames`` are what one call handles, for a throughput.
    """
    names = list(things)
    for thing in things.values():
        thing()
    seconds: dict[str, list[float]] = {name: [] for name in names}
    for turn in range(rounds):
        first = turn % len(names)
        for name in names[first:] + names[:first]:
            begin = clock()
            things[name]()
            seconds[name].append(clock() - begin)
    return Comparison(
        title, names[0], rounds, tuple(_timing(name, seconds, names[0], pixels, frames) for name in names)
    )


def _timing(
    name: str, seconds: Mapping[str, list[float]], baseline: str, pixels: int | None, frames: int | None
) -> Timing:
    own = seconds[name]
    ratio = median(mine / base for mine, base in zip(own, seconds[baseline], strict=True))
    speed = None if pixels is None else pixels / median(own) / 1e6
    return Timing(name, median(own), min(own), ratio, speed, None if frames is None else frames / median(own))


def _duration(seconds: float) -> str:
    for unit, factor in (("s ", 1.0), ("ms", 1e3)):
        if seconds * factor >= 1:
            return f"{seconds * factor:9.2f} {unit}"
    return f"{seconds * 1e6:9.2f} us"


def environment() -> dict[str, Any]:
    """Where and when a measurement was taken: machine, load, versions, threads, date."""
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "processor": _processor(),
        "system": f"{platform.system()} {platform.machine()}",
        "processors_usable": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "load_average": list(os.getloadavg()) if hasattr(os, "getloadavg") else None,
        "thread_variables": {name: os.environ[name] for name in THREAD_VARIABLES if name in os.environ},
        "python": platform.python_version(),
        "versions": {name: found for name in PACKAGES if (found := _version(name))},
    }


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or "unknown"


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
