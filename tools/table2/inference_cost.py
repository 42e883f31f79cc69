"""What classifying costs: time of the peers' networks, and of a network on shuffled inputs, beside the plain one."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import torch

from bench_inference import plain, shuffle
from cifar10 import SIDE
from inference import secure
from measure import compare
from peers.networks import TRAINABLE
from peers.registry import Peer

BASELINE = "preresnet110"


@dataclass(frozen=True)
class InferenceCost:
    """Of a network, on a batch of random images.

    Attributes:
        parameters: how many it has.
        milliseconds: of one image, in eager mode; median.
        ratio: to plain PreResNet-110 in the same round; median.
        batch: images at once.
        rounds: of which these are the medians.
        threads: of PyTorch.
    """

    parameters: int
    milliseconds: float
    ratio: float
    batch: int
    rounds: int
    threads: int


def measure_inference(peer: Peer, *, batch: int, rounds: int) -> InferenceCost | None:
    """Time a peer's network, untrained, in turns with plain PreResNet-110; None if it has none of its own.

    All have the batch norms that follow a convolution folded into it, the plain ones run channels last.  A keyed one
    draws new inner layouts for every batch, and every image has a key of its own.
    """
    if peer.network is None:
        return None
    x = torch.randn(batch, 3, peer.side, peer.side)
    timed = TRAINABLE[peer.network]().eval()
    run = partial(secure(timed, x, rekey_every=1), shuffle(x)) if peer.keyed else plain(timed, x)
    things = {"baseline": plain(TRAINABLE[BASELINE]().eval(), torch.randn(batch, 3, SIDE, SIDE)), "network": run}
    timing = compare(peer.network, things, rounds=rounds).timings[1]
    parameters = sum(parameter.numel() for parameter in timed.parameters())
    milliseconds = timing.median_s / batch * 1e3
    return InferenceCost(parameters, milliseconds, timing.ratio, batch, rounds, torch.get_num_threads())
