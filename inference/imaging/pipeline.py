"""The keyed ISP as a whole: private frames in, a KeyedTensor out."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray

from adc_firmware.addressing import team
from adc_firmware.frame import PrivateFrame
from inference.errors import InputMismatchError
from inference.imaging import demosaic
from inference.imaging.plan import PATCH_PHOTOSITES, Band, Plan, plan_for
from inference.imaging.resize import Grid, Step, resample
from inference.imaging.settings import IspSettings
from inference.imaging.tone import normalisation, tone_table
from inference.layout import KeyedTensor, Layout
from inference.session import PathLike, Session, ShuffledFrame
from keyvault.expansion import uniform_table
from keyvault.policy import Cfa, Policy

Frame = PrivateFrame | ShuffledFrame | PathLike

KEY_BYTES = 32


def isp(
    frames: Frame | Iterable[Frame],
    session: Session | None = None,
    settings: IspSettings | None = None,
    *,
    size: tuple[int, int] | None = None,
) -> KeyedTensor:
    """Develop private frames into the input of a network, without putting them in order.

    Args:
        frames: one frame or several: private frames, their files, or what session.open returned.
        session: opens frames that are not open yet.
        settings: what to do; IspSettings() by default.
        size: (height, width) of the result, in place of ``settings.size``.

    Returns values float32 (N, 3, h, w), channels last in memory, in [0, 1] before mean and std, and
    a layout of axes (2, 3) in which each sample has a fresh uniform order of its own
    (its own frame's with ``keep_order``).  The values are, bit for bit, those of the same arithmetic
    on the unshuffled frame (docs/isp.md).

    Raises:
        InputMismatchError: the settings do not fit the frames, or the frames each other.
        PrivcamError: a frame cannot be opened; see :meth:`Session.open`.
    """
    settings = settings or IspSettings()
    if size is not None:
        settings = replace(settings, size=size)
    single = isinstance(frames, str | os.PathLike | PrivateFrame | ShuffledFrame)
    items: list[Frame] = [frames] if single else list(frames)  # type: ignore[list-item, arg-type]
    opened = (_opened(item, session) for item in items)
    return _batch(opened, len(items), settings)


def _opened(frame: Frame, session: Session | None) -> ShuffledFrame:
    if isinstance(frame, ShuffledFrame):
        return frame
    if session is None:
        raise InputMismatchError("a private frame needs a session that opens it", hint="open one with open_session")
    return session.open(frame)


def _batch(frames: Iterable[ShuffledFrame], count: int, settings: IspSettings) -> KeyedTensor:
    if count == 0:
        raise InputMismatchError("no frame was given", hint="give at least one")
    values = layouts = None
    height, width = 0, 0
    for index, frame in enumerate(frames):
        plan = plan_for(frame.header.policy, settings)
        if values is None or layouts is None:
            height, width = plan.size
            values = np.empty((count, height * width, 3), np.float32)
            layouts = np.empty((count, height * width), np.int32)
        elif plan.size != (height, width):
            raise InputMismatchError(
                f"frame {index} becomes {plan.size[1]}x{plan.size[0]}, those before it {width}x{height}",
                hint="give a size, or develop them one by one",
            )
        layouts[index] = frame.permutation.table if settings.keep_order else fresh_order(height * width)
        develop(frame, plan, Grid(values[index], layouts[index], width))
    mapped = torch.from_numpy(values).view(count, height, width, 3).permute(0, 3, 1, 2)
    return KeyedTensor(mapped, Layout(torch.from_numpy(layouts), (2, 3), (height, width)))


def fresh_order(positions: int) -> NDArray[np.int32]:
    """A uniform order that is used once: int32 (positions,), from the system's randomness."""
    return uniform_table(os.urandom(KEY_BYTES), positions)


def develop(frame: ShuffledFrame, plan: Plan, target: Grid) -> None:
    """Run every stage on one frame; each writes in an order of its own, the last in ``target``'s."""
    mosaic = _demosaicable(frame)
    height = plan.window[0]
    middle = _secret_grid(height, plan.columns.count) if plan.rows.taps is not None else target
    orders = _BandOrders.draw(plan)
    with team(height * plan.window[1]) as each:
        deque(each(lambda band: _develop_band(mosaic, plan, band, orders, middle), plan.bands), maxlen=0)
    if plan.rows.taps is not None:
        _scale_rows(middle, target, plan)
    if plan.scaled and plan.settings.mean is not None:
        mean, std = normalisation(plan.settings.mean, plan.settings.std)
        np.subtract(target.values, mean, out=target.values)
        np.divide(target.values, std, out=target.values)


@dataclass(frozen=True, slots=True)
class _BandOrders:
    """Secret orders of what lives as long as one band of one frame.

    Attributes:
        samples: of the balanced samples.
        pixels: of the demosaiced pixels, where columns are scaled.
    """

    samples: NDArray[np.int32]
    pixels: NDArray[np.int32] | None

    @classmethod
    def draw(cls, plan: Plan) -> _BandOrders:
        samples = fresh_order(max(band.photosites for band in plan.bands))
        if plan.columns.taps is None:
            return cls(samples, None)
        return cls(samples, fresh_order(max(band.last - band.first for band in plan.bands) * plan.window[1]))


def _demosaicable(frame: ShuffledFrame) -> demosaic.Frame:
    header = frame.header
    return demosaic.Frame(
        frame.samples.reshape(len(frame.permutation), -1),
        frame.permutation.table,
        header.policy.width,
        _phase_gains(header.policy, header.white_balance),
        header.black_level,
        header.white_level - header.black_level,
    )


@lru_cache(maxsize=64)
def _phase_gains(policy: Policy, white_balance: tuple[int, int, int]) -> NDArray[np.int64]:
    """int64 (4, samples a photosite), read-only: the gain of each phase."""
    if policy.samples_per_photosite == 3:
        gains = np.tile(np.array(white_balance, np.int64), (4, 1))
    elif policy.cfa is Cfa.NONE:
        gains = np.full((4, 1), demosaic.UNITY, np.int64)
    else:
        gains = np.array(white_balance, np.int64)[demosaic.phase_colours(policy.cfa)][:, None]
    gains.flags.writeable = False
    return gains


def _develop_band(mosaic: demosaic.Frame, plan: Plan, band: Band, orders: _BandOrders, target: Grid) -> None:
    """Balance, demosaic and scale the columns of one band into its rows of ``target``."""
    balanced = np.empty((orders.samples.size, mosaic.samples.shape[1]), np.int32)
    demosaic.balance(mosaic, band.area, orders.samples, balanced)
    patch = demosaic.Patch(balanced, orders.samples, band.row_starts, band.columns, band.colours)
    height, width = band.last - band.first, plan.window[1]
    tone = _tone(mosaic.top, plan)
    if orders.pixels is None:
        rows = target.layout[band.first * width : band.last * width]
        plan.method.kernel(patch, demosaic.Target(target.values, rows, tone, height, width))
        return
    pixels = Grid(np.empty((orders.pixels.size, 3), np.float32), orders.pixels, width)
    plan.method.kernel(patch, demosaic.Target(pixels.values, pixels.layout, tone, height, width))
    if plan.columns.taps is not None:
        step = Step(plan.columns.taps, band.first, plan.columns.first, vertical=False)
        resample(pixels, target, step, band.first, band.last)


def _tone(top: int, plan: Plan) -> NDArray[np.float32]:
    """The tone table; mean and std enter it only where no scaling follows."""
    settings = plan.settings
    if plan.scaled:
        return tone_table(top, settings.gamma, None, None)
    return tone_table(top, settings.gamma, settings.mean, settings.std)


def _scale_rows(source: Grid, target: Grid, plan: Plan) -> None:
    taps = plan.rows.taps
    if taps is None:
        return
    step = Step(taps, plan.rows.first, 0, vertical=True)
    height, width = plan.size
    rows = max(1, PATCH_PHOTOSITES // width)

    def run(first: int) -> None:
        resample(source, target, step, first, min(height, first + rows))

    with team(height * width) as each:
        deque(each(run, range(0, height, rows)), maxlen=0)


def _secret_grid(height: int, width: int) -> Grid:
    return Grid(np.empty((height * width, 3), np.float32), fresh_order(height * width), width)
