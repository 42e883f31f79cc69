"""Shuffled frames from fixed seeds, and the same arithmetic in true order."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from unittest import mock

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

import inference.imaging.develop
import inference.imaging.pipeline
from adc_firmware import FrameHeader
from inference.imaging import IspSettings, isp
from inference.session import ShuffledFrame
from keyvault.expansion import expand
from keyvault.permutation import Permutation
from keyvault.policy import Policy

WHITE_BALANCE = (2_048, 1_024, 1_700)


def header(policy: Policy, black: int = 200, white: int | None = None, gains=WHITE_BALANCE) -> FrameHeader:
    return FrameHeader(
        sensor="front-door",
        key_id="0123456789abcdef",
        epoch=1,
        session=bytes(16),
        counter=0,
        policy=policy,
        black_level=black,
        white_level=white or 2**policy.bits - 1,
        exposure_us=1,
        gain_milli=1_000,
        white_balance=gains,
        timestamp_ns=0,
    )


def random_dn(policy: Policy, seed: int = 0) -> NDArray[np.uint16]:
    shape = (policy.height, policy.width) + ((3,) if policy.samples_per_photosite == 3 else ())
    return np.random.default_rng(seed).integers(0, 2**policy.bits, shape, dtype=np.uint16)


def shuffled(head: FrameHeader, dn: NDArray[np.uint16], key: int = 1) -> ShuffledFrame:
    permutation = expand(key.to_bytes(32, "big"), head.policy)
    return ShuffledFrame(head, permutation.apply(dn), permutation)


def unshuffled(head: FrameHeader, dn: NDArray[np.uint16]) -> ShuffledFrame:
    return ShuffledFrame(head, dn.copy(), Permutation.identity(head.shape[:2]))


def raster_order(positions: int) -> NDArray[np.int32]:
    return np.arange(positions, dtype=np.int32)


@contextmanager
def in_true_order() -> Iterator[None]:
    """Every buffer of the ISP lies in raster order: the plain ISP."""
    with (
        mock.patch.object(inference.imaging.develop, "fresh_order", raster_order),
        mock.patch.object(inference.imaging.pipeline, "fresh_order", raster_order),
    ):
        yield


def plain_isp(head: FrameHeader, dn: NDArray[np.uint16], settings: IspSettings) -> Tensor:
    """(1, 3, h, w) in true order: the same kernels on the unshuffled frame."""
    with in_true_order():
        return isp(unshuffled(head, dn), settings=settings).values
