"""The peers of Table 2 as things to audit: ``peer:le`` and so on, or ``peer:all``."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial

import numpy as np

from audit.appearance import Appearance, figures
from audit.attack import DoesNotApplyError, refusals
from audit.finding import Finding, Stand
from audit.job import Job, Trial, generator_of
from audit.peer_evidence import PeerAttack, PeerEvidence, Protected, audited
from audit.scenes import Scenes, Source
from audit.subjects import SIDE
from keyvault.errors import InputError
from peers import block_cipher
from peers.block_cipher import CHANNELS, BlockKey
from peers.registry import AUDIT_PREFIX, PEERS, Peer, Protection

ALL = f"{AUDIT_PREFIX}all"
CONTROL = "pixel-shuffle"
INSIDE = "inside"
ALIKE = "le"
BITS = 8
LARGE = (120, 300)  # pictures, and known scenes, of peers that scale them up


def _inside(seed: int, height: int, width: int) -> Protection:
    """One permutation of the pixels inside every 4 x 4 block."""
    order = np.random.default_rng(seed).permutation(_BLOCK**2)[:, None] * CHANNELS + np.arange(CHANNELS)
    blocks = block_cipher.count_blocks(height, width, _BLOCK)
    key = BlockKey(_BLOCK, np.arange(blocks), order.reshape(1, -1), np.zeros((1, order.size), bool))
    return Protection(partial(block_cipher.transform, key=key), partial(block_cipher.inverse, key=key))


_BLOCK = 4
_CONTROLS = {CONTROL: PEERS[CONTROL], INSIDE: Peer("pixels move inside 4 x 4 blocks", _inside), ALIKE: PEERS[ALIKE]}


def is_peer(text: str) -> bool:
    """Whether ``--policy`` names a peer, known or not."""
    return text.startswith(AUDIT_PREFIX)


def peer_keys(text: str) -> list[str]:
    """The peers of ``peer:NAME``, all of them for ``peer:all``; InputError for an unknown one."""
    key = text.removeprefix(AUDIT_PREFIX)
    if text == ALL:
        return list(PEERS)
    if key not in PEERS:
        raise InputError(f"there is no peer {key!r:.40}", hint=f"known: {', '.join(PEERS)}")
    return [key]


def protect(key: str, peer: Peer, scenes: Scenes, seed: int) -> Protected:
    """Scenes of 32 x 32 as a peer has them; all under the key of ``seed``, those that attackers know left plain."""
    plain = peer.scale(scenes.frames)
    return Protected(
        key=key,
        peer=peer,
        plain=plain,
        private=audited(peer, seed).transform(plain),
        labels=scenes.frame_labels,
        known=peer.scale(scenes.known),
        known_labels=scenes.known_labels,
        seed=seed,
    )


@lru_cache(maxsize=1)
def _scenes(source: Source) -> Scenes:
    return source.open((SIDE, SIDE))


def _first(scenes: Scenes, frames: int | None, known: int | None) -> Scenes:
    """The first so many scenes for pictures, and for the attacker to know; None for all."""
    return Scenes(
        scenes.frames[:frames], scenes.frame_labels[:frames], scenes.known[:known], scenes.known_labels[:known]
    )


@lru_cache(maxsize=2 * len(_CONTROLS))
def _control(key: str, source: Source, seed: int, numbers: tuple[int | None, int | None]) -> Protected:
    return protect(key, _CONTROLS[key], _first(_scenes(source), *numbers), seed)


@dataclass(frozen=True)
class PeerSubject:
    """A peer under audit.

    Attributes:
        key: its name in the registry.
        source: of scenes.
        seed: of the peer's key and of the attacks.
    """

    key: str
    source: Source
    seed: int

    @property
    def name(self) -> str:
        """The name that findings have for it."""
        return f"{AUDIT_PREFIX}{self.key}"

    @property
    def about(self) -> str:
        """The peer in words, one line."""
        peer = PEERS[self.key]
        keyed = peer.protection(self.seed).inverse is not None
        return f"{peer.title}; {peer.side}x{peer.side}, {BITS} bit; {'one key for all images' if keyed else 'no key'}"

    def evidence(self) -> PeerEvidence:
        """Its pictures, and as many of the controls, which are of one seed for all peers."""
        return _evidence(self)

    def appearance(self) -> Appearance:
        """The figures that prove nothing, of its first pictures."""
        material = self.evidence().material
        return figures(self.name, material.plain, material.private, BITS)

    def attack(self, attack: PeerAttack) -> Finding:
        """Run one attack; DoesNotApplyError if there are fewer pictures than it needs, or it refuses them."""
        evidence = self.evidence()
        count = len(evidence.material)
        if count < attack.pictures_needed:
            raise DoesNotApplyError(
                f"it needs {attack.pictures_needed} pictures, there are {count}", hint="give more scenes"
            )
        with refusals():
            return attack.run(evidence, generator_of(self.seed, attack.name, attack.stand, self.name))


@lru_cache(maxsize=1)
def _evidence(subject: PeerSubject) -> PeerEvidence:
    peer, source, seed = PEERS[subject.key], subject.source, subject.seed
    numbers = (None, None) if peer.side == SIDE else LARGE
    control, inside, alike = (_control(key, source, seed, numbers) for key in _CONTROLS)
    material = protect(subject.key, peer, _first(_scenes(source), *numbers), seed)
    return PeerEvidence(subject.name, material, control, inside, alike)


def peer_job(subject: PeerSubject, attacks: Iterable[PeerAttack], stands: Sequence[Stand]) -> Job:
    """The audit of one peer."""
    return Job(
        name=subject.name,
        about=subject.about,
        options={"peer": subject.key, "seed": subject.seed, **subject.source.to_json()},
        appearance=subject.appearance,
        trials=[Trial(one.name, one.stand, partial(subject.attack, one)) for one in attacks if one.stand in stands],
    )
