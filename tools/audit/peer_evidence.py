"""What attacks on a peer of Table 2 are given.

A peer is no policy of a camera: it turns finished 8-bit pictures into others, under one key for all of them.  The
scheme is public and only the key is secret (Kerckhoffs), so that an attacker can protect pictures of his own under
keys of his own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace

import numpy as np
from numpy.typing import NDArray

from audit.finding import Finding, Stand
from keyvault.errors import InputError
from peers.registry import Peer, Protection

Images = NDArray[np.uint8]
Labels = NDArray[np.int64]


def audited(peer: Peer, seed: int) -> Protection:
    """A peer under the key that is attacked.  These keys have even numbers, those of attackers have odd ones."""
    return peer.protection(2 * seed)


def attackers(peer: Peer, number: int) -> Protection:
    """A peer under a key that no seed is audited under; anybody can draw as many as he likes."""
    return peer.protection(2 * number + 1)


@dataclass(frozen=True, eq=False)
class Protected:
    """Pictures under one key of a peer, and pictures that an attacker knows; all uint8 (., side, side, 3).

    Attributes:
        key: the peer's name; what attacks may know of its scheme goes by it.
        peer: the scheme.
        plain: the pictures before they were protected.
        private: the same, protected; what anyone sees.
        labels: int64 (n,), classes of the pictures; -1 where unknown.
        known: other pictures of the same kind, plain.
        known_labels: int64 (m,), their classes.
        seed: of the key, and of those that pictures have each for itself.
    """

    key: str
    peer: Peer
    plain: Images
    private: Images
    labels: Labels
    known: Images
    known_labels: Labels
    seed: int

    def __len__(self) -> int:
        return len(self.plain)

    @property
    def keyed(self) -> bool:
        """Whether there is a secret at all; a lens out of focus has none."""
        return self.peer.protection(0).inverse is not None

    def own(self, images: Images, number: int = 0) -> Images:
        """Pictures protected under one of the attacker's keys, never that of ``private``."""
        return attackers(self.peer, number).transform(images)

    def each_alone(self) -> Protected:
        """The same pictures, each under a key of its own.

        Under one key for all, the luck of that key would be that of every picture, which no interval over pictures
        shows.
        """
        first = (self.seed + 1) * _ALONE
        found = [audited(self.peer, first + number).transform(one[None]) for number, one in enumerate(self.plain)]
        return replace(self, private=np.concatenate(found))

    def first(self, count: int) -> Protected:
        """The first so many pictures, or all there are; what the attacker knows stays."""
        chosen = {one.name: getattr(self, one.name)[:count] for one in fields(self) if one.name in _PICTURES}
        return replace(self, **chosen)


_PICTURES = ("plain", "private", "labels")
_ALONE = 10_000_000  # keys of single pictures that a seed has, more than there are pictures


@dataclass(frozen=True, eq=False)
class PeerEvidence:
    """What the audit of one peer works on.

    Attributes:
        name: of the peer among policies.
        material: pictures under the peer.
        control: the same scenes, not scaled, under one permutation of all pixels, which attacks have to break.
        inside: the same under one permutation inside every 4 x 4 block: the control where only places that are left
            alone can be attacked.
        alike: the same under LE, whose one key moves and reverses halves of values inside every 4 x 4 block: the
            control where blocks are attacked by what they have in common.

    Raises InputError when constructed without pictures, or with controls of more or fewer pictures or known scenes:
    that an attack breaks a control which gives it more says nothing.
    """

    name: str
    material: Protected
    control: Protected
    inside: Protected
    alike: Protected

    def __post_init__(self) -> None:
        if not len(self.material):
            raise InputError("an audit without pictures", hint="give the audit more scenes")
        numbers = [(len(one), len(one.known)) for one in (self.material, self.control, self.inside, self.alike)]
        if len(set(numbers)) > 1:
            told = ", ".join(f"{pictures} and {known}" for pictures, known in numbers)
            raise InputError(
                f"pictures and known scenes of a peer and its controls differ: {told}", hint="give all the same scenes"
            )


@dataclass(frozen=True, slots=True)
class PeerAttack:
    """One attack on peers, at the file: pictures are all that there is to see.

    Attributes:
        name: its module's name; an attack on policies that does the same has the same.
        title: for people.
        pictures_needed: how many protected pictures it cannot do without.
        run: attacks evidence and positive control; raises InputError, with the reason, where it does not fit.
    """

    name: str
    title: str
    pictures_needed: int
    run: Callable[[PeerEvidence, np.random.Generator], Finding]
    stand: Stand = Stand.FILE
