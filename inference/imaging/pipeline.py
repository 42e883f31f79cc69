"""The keyed ISP as a whole: private frames in, a KeyedTensor out."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import replace

import numpy as np
import torch

from adc_firmware.frame import PrivateFrame
from inference.errors import InputMismatchError
from inference.imaging.develop import develop, fresh_order
from inference.imaging.plan import plan_for
from inference.imaging.resize import Grid
from inference.imaging.settings import IspSettings
from inference.layout import KeyedTensor, Layout
from inference.session import PathLike, Session, ShuffledFrame

Frame = PrivateFrame | ShuffledFrame | PathLike


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
    return KeyedTensor(mapped, Layout.known(torch.from_numpy(layouts), (2, 3), (height, width)))
