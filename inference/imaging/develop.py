"""One frame through the stages of the ISP, a band of rows at a time."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from inference.imaging import demosaic
from inference.imaging.plan import PATCH_PHOTOSITES, Band, Plan
from inference.imaging.resize import AxisTaps, Grid, Step, resample
from inference.imaging.tone import UNITY, balance_table, normalisation, tone_table
from inference.session import ShuffledFrame
from keyvault.expansion import uniform_table
from keyvault.policy import Cfa, Policy
from keyvault.threads import each

KEY_BYTES = 32


def fresh_order(positions: int) -> NDArray[np.int32]:
    """A uniform order that is used once: int32 (positions,), from the system's randomness."""
    return uniform_table(os.urandom(KEY_BYTES), positions)


def develop(frame: ShuffledFrame, plan: Plan, target: Grid) -> None:
    """Run every stage on one frame; each writes in a secret order, the last one in ``target``'s.

    Balanced samples, and pixels before their columns are scaled, live for one band only, in
    buffers of the size of a cache.
    """
    height, _ = plan.window
    bands = _Bands.prepare(frame, plan)
    taps = plan.rows.taps
    columns_done = target if taps is None else _secret_grid(height, plan.columns.count)
    each(lambda band: bands.develop(band, columns_done), plan.bands)
    if taps is not None:
        _scale_rows(columns_done, target, Step(taps, plan.rows.first, 0, vertical=True), plan.rows.count)
    if plan.scaled and plan.settings.mean is not None:
        mean, std = normalisation(plan.settings.mean, plan.settings.std)
        np.subtract(target.values, mean, out=target.values)
        np.divide(target.values, std, out=target.values)


@dataclass(frozen=True, slots=True)
class _Bands:
    """What all bands of one frame share.

    Attributes:
        plan: sizes, windows and taps.
        source: the shuffled samples.
        tone: float32 (top + 1, 3); mean and std are in it only where no scaling follows.
        sample_order, pixel_order: secret orders of a band's samples and of its pixels.
    """

    plan: Plan
    source: demosaic.Frame
    tone: NDArray[np.float32]
    sample_order: NDArray[np.int32]
    pixel_order: NDArray[np.int32] | None

    @classmethod
    def prepare(cls, frame: ShuffledFrame, plan: Plan) -> _Bands:
        settings, header = plan.settings, frame.header
        top = header.white_level - header.black_level
        mean, std = (None, None) if plan.scaled else (settings.mean, settings.std)
        pixels = max(band.last - band.first for band in plan.bands) * plan.window[1]
        return cls(
            plan,
            _source(frame, top),
            tone_table(top, settings.gamma, mean, std),
            fresh_order(max(band.photosites for band in plan.bands)),
            None if plan.columns.taps is None else fresh_order(pixels),
        )

    def develop(self, band: Band, target: Grid) -> None:
        """Balance, demosaic and scale the columns of one band into its rows of ``target``."""
        balanced = np.empty((self.sample_order.size, self.source.samples.shape[1]), np.int32)
        demosaic.balance(self.source, band.area, self.sample_order, balanced)
        patch = demosaic.Patch(balanced, self.sample_order, band.row_starts, band.columns, band.colours)
        taps = self.plan.columns.taps
        if taps is None or self.pixel_order is None:
            self._demosaic(patch, band, target.values, target.layout[band.first * target.width :])
        else:
            pixels = np.empty((self.pixel_order.size, 3), np.float32)
            self._demosaic(patch, band, pixels, self.pixel_order)
            self._scale_columns(Grid(pixels, self.pixel_order, self.plan.window[1]), taps, band, target)

    def _demosaic(self, patch: demosaic.Patch, band: Band, out: NDArray[np.float32], layout: NDArray[np.int32]) -> None:
        height, width = band.last - band.first, self.plan.window[1]
        self.plan.method.kernel(patch, demosaic.Target(out, layout, self.tone, height, width))

    def _scale_columns(self, pixels: Grid, taps: AxisTaps, band: Band, target: Grid) -> None:
        step = Step(taps, band.first, self.plan.columns.first, vertical=False)
        resample(pixels, target, step, band.first, band.last)


def _source(frame: ShuffledFrame, top: int) -> demosaic.Frame:
    header = frame.header
    policy = header.policy
    colour = policy.samples_per_photosite == 3 or policy.cfa is not Cfa.NONE
    gains = header.white_balance if colour else (UNITY, UNITY, UNITY)
    return demosaic.Frame(
        frame.samples.reshape(len(frame.permutation), -1),
        frame.permutation.table,
        policy.width,
        _colours(policy),
        balance_table(policy.bits, header.black_level, top, gains),
    )


@lru_cache(maxsize=64)
def _colours(policy: Policy) -> NDArray[np.int64]:
    """int64 (4, samples a photosite), read-only: the colours of each phase."""
    if policy.samples_per_photosite == 3:
        colours = np.tile(np.arange(3), (4, 1))
    else:
        colours = demosaic.phase_colours(policy.cfa)[:, None]
    colours.flags.writeable = False
    return colours


def _scale_rows(source: Grid, target: Grid, step: Step, height: int) -> None:
    band = max(1, PATCH_PHOTOSITES // target.width)

    def run(first: int) -> None:
        resample(source, target, step, first, min(height, first + band))

    each(run, range(0, height, band))


def _secret_grid(height: int, width: int) -> Grid:
    return Grid(np.empty((height * width, 3), np.float32), fresh_order(height * width), width)
