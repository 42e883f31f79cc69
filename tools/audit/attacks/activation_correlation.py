"""Feature maps of several frames under one inner layout, which is what ``rekey_every`` allows.

The network's input under the first inner layout is colours, and falls to the correlation attack on
frames; the first layer's features fall to what is known of neighbouring features (``audit.neighbours``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache, partial

import numpy as np
from numpy.typing import NDArray

from audit.activations import (
    BROKEN,
    DEFAULT_REKEY,
    FIRST,
    INPUT,
    NETWORK,
    NEVER,
    REFERENCES,
    SCENE,
    Recording,
    keyed_network,
    picture,
    record,
    scenes_of,
)
from audit.attack import Attack, Evidence
from audit.attacks.correlation import arrange
from audit.finding import Finding, Scale, Stand
from audit.guesses import Places, shares, upright
from audit.intervals import few_shares_interval
from audit.neighbours import Bonds, assemble, learn

NAME = "activation_correlation"
#: By ``rekey_every``: how many inner layouts are attacked, and with how many frames under each.
LAYOUTS = {1: (6, 1), 8: (4, 8), DEFAULT_REKEY: (4, DEFAULT_REKEY), NEVER: (1, 128)}
SECRET = sum(layouts * frames for layouts, frames in LAYOUTS.values())
_SHAPE = SCENE[:2]
Maps = NDArray[np.float32]
#: From maps (n, p, c) under one layout, and that layout's true order (p,) for turning only, to an order (p,).
Guess = Callable[[Maps, Places], Places]


def of_colours(maps: Maps, truth: Places) -> Places:
    """The correlation attack, turned as a person would turn its picture."""
    return upright(arrange(maps.astype(np.float64), _SHAPE), truth, _SHAPE)


def of_features(bonds: Bonds, maps: Maps, truth: Places) -> Places:  # noqa: ARG001  # bonds know which way is up
    """The jigsaw of ``audit.neighbours``."""
    return assemble(bonds, maps, _SHAPE[0])


@dataclass(frozen=True, eq=False)
class Attempt:
    """What one layout gave.

    Attributes:
        rekey_every: of the network.
        frames: how many were looked at, all of the layout's if ``whole``.
        near: share of positions at most one row and one column off.
        chance: the same guess for a layout drawn at random.
        pictures: the first frame's features in true order, as stored, and put together.
    """

    rekey_every: int
    frames: int
    whole: bool
    near: float
    chance: float
    pictures: Mapping[str, NDArray[np.uint8]]


def attempts(rekey_every: int, recording: Recording, guess: Guess, numbers: tuple[int, ...] = ()) -> Iterator[Attempt]:
    """Attack every layout of a recording with all its frames, and with as many of them as ``numbers`` say."""
    generator = np.random.default_rng(0)
    for shared in recording.sharing():
        truth = np.argsort(recording.tables[shared[0]]).astype(np.int64)
        for count in sorted({number for number in numbers if number < len(shared)} | {len(shared)}):
            maps = recording.maps[shared[:count]]
            found = guess(maps, truth)
            orders = {"in true order": truth, "as stored": np.arange(len(truth)), "put together": found}
            yield Attempt(
                rekey_every,
                count,
                whole=count == len(shared),
                near=shares(found, truth, _SHAPE)[1],
                chance=shares(found, generator.permutation(len(truth)), _SHAPE)[1],
                pictures={name: picture(maps[0], order, _SHAPE[0]) for name, order in orders.items()},
            )


@dataclass(frozen=True, eq=False)
class Measured:
    """All attempts on one site."""

    attempts: tuple[Attempt, ...]

    def near(self, rekey_every: int) -> NDArray[np.float64]:
        """What each layout gave with all frames that this setting puts under it."""
        return np.array([one.near for one in self.attempts if one.whole and one.rekey_every == rekey_every])

    @property
    def smallest_breaking(self) -> int | None:
        """The least number of frames from which on every layout broke; None if the largest did not break all."""
        unbroken = max((one.frames for one in self.attempts if one.near <= BROKEN), default=0)
        return min((one.frames for one in self.attempts if one.frames > unbroken), default=None)

    def __str__(self) -> str:
        each = (f"{'fixed' if k == NEVER else k} {self.near(k).mean():.1%}" for k in LAYOUTS)
        least = self.smallest_breaking
        return f"{', '.join(each)}; breaks from {least} frames on" if least else f"{', '.join(each)}; does not break"


@lru_cache(maxsize=1)
def measured(scenes: bytes) -> dict[str, Measured]:
    """Both sites by name, on frames of scenes, uint8 (n, 32, 32, 3).

    It does not depend on the policy of the frames, so the last result is remembered.
    """
    secret, references = scenes_of(np.frombuffer(scenes, np.uint8).reshape(-1, *SCENE), SECRET, REFERENCES)
    bonds = learn(record(references, keyed_network(NEVER), (FIRST,))[FIRST].plain, FIRST.side)
    found: dict[str, list[Attempt]] = {INPUT.name: [], FIRST.name: []}
    for rekey_every, (layouts, frames) in LAYOUTS.items():
        images, secret = secret[: layouts * frames], secret[layouts * frames :]
        seen = record(images, keyed_network(rekey_every), (INPUT, FIRST))
        swept = rekey_every >= DEFAULT_REKEY
        found[INPUT.name] += attempts(rekey_every, seen[INPUT], of_colours, (16, 48, 64) if swept else ())
        solver = partial(of_features, bonds)
        found[FIRST.name] += attempts(rekey_every, seen[FIRST], solver, (1, 2, 3, 4, 5, 6, 8, 16) if swept else ())
    return {name: Measured(tuple(one)) for name, one in found.items()}


def run(evidence: Evidence, stand: Stand, generator: np.random.Generator) -> Finding:  # noqa: ARG001  # draws nothing
    """The first layer under the default ``rekey_every``; a fixed inner layout is the positive control."""
    known = evidence.scenes[: SECRET + REFERENCES]
    scenes_of(known, SECRET, REFERENCES)
    sites = measured(np.ascontiguousarray(known).tobytes())
    first = sites[FIRST.name]
    scores = first.near(DEFAULT_REKEY)
    scale = Scale(
        "share of positions within one row and column", float(np.mean([one.chance for one in first.attempts])), BROKEN
    )
    interval = few_shares_interval(scores)
    broke = all(bool((one.near(NEVER) > BROKEN).all()) for one in sites.values())
    shown = next(one for one in first.attempts if one.whole and one.rekey_every == DEFAULT_REKEY)
    return Finding.judged(
        scale,
        interval,
        attack=NAME,
        stand=stand,
        policy=evidence.name,
        score=float(scores.mean()),
        control_broke=broke,
        frames=DEFAULT_REKEY,
        smallest_breaking=first.smallest_breaking,
        note=(
            f"{NETWORK}, by rekey_every. "
            + ". ".join(f"{name}: {one}" for name, one in sites.items())
            + f". The score is the first layer's at {DEFAULT_REKEY}, the default, over {len(scores)} layouts. The "
            "attacker sees feature maps and no tables; the frames' policy makes no difference."
        ),
        pictures=shown.pictures,
    )


ATTACK = Attack(
    name=NAME,
    title="Feature maps under one inner layout",
    stands=(Stand.ACTIVATIONS,),
    frames_needed=1,
    run=run,
)
