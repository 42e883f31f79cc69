"""The peers by name: how each protects images, what classifies them, and what its authors report."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import cv2
import numpy as np
from numpy.typing import NDArray

from cifar10 import SIDE
from peers import block_cipher, ele, etc_, keynets, le, optics, pixel_shuffle, privconv
from peers.block_cipher import Images

Protect = Callable[[Images], Images]
AUDIT_PREFIX = "peer:"  # of their names in an audit, where policies have names too


@dataclass(frozen=True)
class Protection:
    """A scheme under one key: (n, h, w, 3) uint8 in, the same out.

    Attributes:
        transform: protects images.
        inverse: takes the protection off, or None where nobody can.
        exact: whether the inverse gives every bit back.
    """

    transform: Protect
    inverse: Protect | None
    exact: bool = True


@dataclass(frozen=True)
class Published:
    """What a paper reports for CIFAR-10, as Perez et al. (ICASSP 2024), Table 2, print it.

    Attributes:
        parameters: of the network, in millions.
        accuracy: in percent.
    """

    parameters: float
    accuracy: float


@dataclass(frozen=True)
class Peer:
    """A scheme and its surroundings.

    Attributes:
        title: for people.
        protect: (seed, height, width) to a protection for images of that size.
        network: the network that its authors classify with; None where any will do.
        side: height and width that images are scaled to before they are protected.
        keyed: the network is trained on plain images and is given the key; otherwise on protected ones, without.
        grey: protected images are one grey image each, the three channels side by side.
        learning_rate: peak of the cycle by which that network is trained.
        published: None if Table 2 does not list it.
        note: what to know about the published figures.
    """

    title: str
    protect: Callable[[int, int, int], Protection]
    network: str | None = None
    published: Published | None = None
    note: str = ""
    learning_rate: float = 0.2
    side: int = SIDE
    keyed: bool = False
    grey: bool = False

    def protection(self, seed: int) -> Protection:
        """For images of ``side``."""
        return self.protect(seed, self.side, self.side)

    def scale(self, images: Images) -> Images:
        """(n, h, w, 3) uint8 images as (n, side, side, 3), bicubically."""
        if images.shape[1:3] == (self.side, self.side):
            return images
        scaled = np.empty((len(images), self.side, self.side, 3), np.uint8)
        for image, place in zip(images, scaled, strict=True):
            cv2.resize(image, (self.side, self.side), dst=place, interpolation=cv2.INTER_CUBIC)
        return scaled

    def stored(self, protected: Images) -> NDArray[np.uint8]:
        """Protected (n, h, w, 3) images in the form in which they are kept: as they are, or (n, h, 3 w) if grey."""
        return np.concatenate(np.moveaxis(protected, 3, 0), axis=2) if self.grey else protected


def _blocks(
    draw: Callable[[np.random.Generator, int, int], block_cipher.BlockKey], seed: int, height: int, width: int
) -> Protection:
    key = draw(np.random.default_rng(seed), height, width)
    return Protection(partial(block_cipher.transform, key=key), partial(block_cipher.inverse, key=key))


def _pixels(seed: int, height: int, width: int) -> Protection:
    key = pixel_shuffle.draw(np.random.default_rng(seed), height, width)
    return Protection(partial(pixel_shuffle.transform, key=key), partial(pixel_shuffle.inverse, key=key))


def _gains(seed: int, height: int, width: int) -> Protection:
    key = keynets.draw(np.random.default_rng(seed), height, width)
    return Protection(partial(keynets.transform, key=key), partial(keynets.inverse, key=key), exact=False)


def _blur(radius: float, _seed: int, height: int, _width: int) -> Protection:
    """The radius is one of 32 x 32 images and grows with the image."""
    return Protection(partial(optics.transform, radius=radius * height / SIDE), None)


_ETC_NOTE = "5.35 M is what the paper prints; the adaptation network and backbone are those of ELE"
_PRIVCONV_NOTE = "the published figures are of 224 x 224 in 16 x 16 blocks, in the next row"
_CONVMIXER_RATE = 0.02  # at 0.2 it diverges

#: Every peer, in the order of Table 2 and then those that it does not list.
PEERS: dict[str, Peer] = {
    "le": Peer("LE, one key for all blocks", partial(_blocks, le.draw), "shakedrop-le"),
    "ele": Peer("ELE, a key for each block", partial(_blocks, ele.draw), "shakedrop-ele", Published(29.31, 83.06)),
    "etc": Peer("EtC, colour", partial(_blocks, etc_.draw), "shakedrop-ele", Published(5.35, 89.09), _ETC_NOTE),
    "etc-grey": Peer("EtC, grey-based", partial(_blocks, etc_.draw_grey), grey=True),
    "privconv": Peer(
        "PrivConv, 4 x 4 blocks of 32 x 32",
        partial(_blocks, privconv.draw),
        "convmixer-512-16",
        note=_PRIVCONV_NOTE,
        learning_rate=_CONVMIXER_RATE,
    ),
    "privconv-224": Peer(
        "PrivConv, 16 x 16 blocks of 224 x 224",
        partial(_blocks, partial(privconv.draw, block=privconv.PUBLISHED_BLOCK)),
        "convmixer-512-16-224",
        Published(5.35, 92.65),
        learning_rate=_CONVMIXER_RATE,
        side=224,
    ),
    "pixel-shuffle": Peer(
        "Pixel shuffle, one key, and keyed network", _pixels, "preresnet110", Published(1.70, 95.06), keyed=True
    ),
    "key-nets": Peer("Key-Nets, permutation and gains", _gains),
    **{
        f"defocus-{radius:g}": Peer(f"Defocus, {radius:g} px of 32", partial(_blur, radius))
        for radius in optics.STRENGTHS
    },
}
