"""The histogram of a frame's stored samples, drawn with its axes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import floor, log10

import numpy as np
from numpy.typing import NDArray

from sensor_sim.canvas import FAINT, INK, Align, Canvas, Colour

_BINS = 256
_GREY: tuple[Colour, ...] = ((96, 108, 132),)
_CHANNELS: tuple[Colour, ...] = ((206, 60, 52), (52, 148, 72), (52, 92, 200))
_LEVEL: Colour = (176, 88, 0)
_HEADROOM = 1.08


@dataclass(frozen=True, slots=True)
class Histogram:
    """How often each range of DN occurs.

    Attributes:
        counts: int64 (channels, bins); the bins part 0 .. top evenly.
        top: number of different DN, 2**bits.
    """

    counts: NDArray[np.int64]
    top: int

    @classmethod
    def of(cls, samples: NDArray[np.uint16], bits: int) -> Histogram:
        """Of samples (h, w) or (h, w, 3) of ``bits`` bits, 8 to 16; what is greater counts as the greatest."""
        top = 2**bits
        planes = samples.reshape(-1, 1 if samples.ndim == 2 else samples.shape[2]).T
        bins = [np.minimum(plane, top - 1) >> (bits - 8) for plane in planes]
        return cls(np.stack([np.bincount(plane, minlength=_BINS) for plane in bins]), top)


@dataclass(frozen=True, slots=True)
class Plot:
    """A histogram's place on a page: its axes enclose ``size`` pixels at ``place``; labels lie outside."""

    canvas: Canvas
    place: tuple[int, int]
    size: tuple[int, int]

    def draw(self, histogram: Histogram, levels: dict[str, int]) -> None:
        """Bars (one channel) or outlines (three), axes with ticks, and named levels as dashed lines."""
        greatest = max(1, int(histogram.counts.max())) * _HEADROOM
        self._axes(histogram.top, greatest)
        colours = _GREY if len(histogram.counts) == 1 else _CHANNELS
        for counts, colour in zip(histogram.counts, colours, strict=True):
            self._series(counts / greatest, colour, filled=len(colours) == 1)
        self._levels(levels, histogram.top)

    def _axes(self, top: int, greatest: float) -> None:
        (x, y), (width, height) = self.place, self.size
        for count in ticks(greatest, 5):
            level = y + height - round(count / greatest * height)
            self.canvas.line((x, level), (x + width, level))
            self.canvas.text((x - 10, level + 4), in_short(count), 9, FAINT, Align.RIGHT)
        for dn in ticks(top, 9):
            at = x + round(dn / top * width)
            self.canvas.line((at, y + height), (at, y + height + 5), INK)
            self.canvas.text((at, y + height + 22), str(dn), 9, FAINT, Align.MIDDLE)
        self.canvas.line((x, y + height), (x + width, y + height), INK)
        self.canvas.line((x, y), (x, y + height), INK)
        self.canvas.text((x + width // 2, y + height + 44), "DN", 10, INK, Align.MIDDLE)
        each = f"samples in each {top // _BINS} DN" if top > _BINS else "samples"
        self.canvas.text((x, y - 34), f"Histogram, {each}", 10, INK)

    def _series(self, heights: NDArray[np.float64], colour: Colour, *, filled: bool) -> None:
        (x, y), (width, height) = self.place, self.size
        edges = x + 1 + np.round(np.arange(_BINS + 1) / _BINS * (width - 1)).astype(int)
        tops = y + height - np.round(heights * height).astype(int)
        if filled:
            for left, right, level in zip(edges[:-1], edges[1:], tops, strict=True):
                self.canvas.fill((int(left), int(level)), (int(right - left), y + height - int(level)), colour)
            return
        for i in range(_BINS):
            begin, end, level = int(edges[i]), int(edges[i + 1]), int(tops[i])
            self.canvas.line((begin, level), (end, level), colour)
            self.canvas.line((end, level), (end, int(tops[min(i + 1, _BINS - 1)])), colour)

    def _levels(self, levels: dict[str, int], top: int) -> None:
        (x, y), (width, height) = self.place, self.size
        for name, dn in levels.items():
            at = x + round((dn + 0.5) / top * width)
            self.canvas.dashes(at, y - 4, y + height, _LEVEL)
            right = dn * 2 > top
            self.canvas.text((at, y - 12), f"{name} {dn}", 9, _LEVEL, Align.RIGHT if right else Align.LEFT)


def ticks(top: float, most: int) -> Iterator[int]:
    """Whole numbers 0 .. top at equal, round distances (1, 2 or 5 times a power of ten), at most ``most``."""
    least = max(1.0, top / max(1, most - 1))
    power = 10.0 ** floor(log10(least))
    step = next(int(factor * power) for factor in (1, 2, 5, 10) if factor * power >= least)
    yield from range(0, floor(top) + 1, step)


def in_short(count: int) -> str:
    """1500 as 1.5 k."""
    for power, letter in ((1_000_000, "M"), (1000, "k")):
        if count >= power:
            return f"{count / power:g} {letter}"
    return str(count)
