"""What an attack found, the verdict on it, and both as JSON."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from audit.png import picture_of, png_text
from json_files import finite, misfit
from keyvault.errors import InputError

Pictures = Mapping[str, NDArray[np.uint8]]
_FORM = {
    **dict.fromkeys(("attack", "stand", "policy", "unit", "verdict", "note"), str),
    **dict.fromkeys(("score", "chance", "level", "sure"), float),
    "control_broke": bool,
    "interval": [float],
    "frames": int,
    "smallest_breaking": (int, None),
    "pictures": {str: str},
}


class Stand(StrEnum):
    """Where the attacker stands."""

    FILE = "file"
    MEMORY = "memory"
    ACTIVATIONS = "activations"


class Verdict(StrEnum):
    """What a score means; in the order in which a report lists them."""

    FAIL = "fail"
    WARN = "warn"
    INCONCLUSIVE = "inconclusive"
    PASS = "pass"  # noqa: S105  # a verdict, no password


@dataclass(frozen=True, slots=True)
class Interval:
    """Confidence intervals of one score, in its unit; ValueError if ends are swapped.

    Attributes:
        low, high: ends of that of 95 %.
        sure: lower end of that of 99.8 %.
    """

    low: float
    high: float
    sure: float

    def __post_init__(self) -> None:
        if not self.sure <= self.low <= self.high:
            raise ValueError(f"intervals from {self.sure} and {self.low} to {self.high}")

    def mapped(self, function: Callable[[float], float]) -> Interval:
        """All ends through a function that rises."""
        return Interval(function(self.low), function(self.high), function(self.sure))

    def cut_at(self, most: float) -> Interval:
        """No end above the largest value that a score can have."""
        return self.mapped(lambda end: min(end, most))


@dataclass(frozen=True, slots=True)
class Scale:
    """How an attack's score is read.

    Attributes:
        unit: what the score counts, such as ``share of positions exact``; larger is a better attack.
        chance: the score of an attacker who has nothing but what everybody knows.
        fail: from here on the attack has broken the policy, unless chance is higher.
    """

    unit: str
    chance: float
    fail: float

    @property
    def level(self) -> float:
        """What an interval has to lie above for a fail: ``fail``, or chance where that is higher."""
        return max(self.fail, self.chance)


@dataclass(frozen=True, slots=True, eq=False)
class Finding:
    """What one attack got from one policy's frames at one place.

    Attributes:
        attack: its name.
        stand: where the attacker stands.
        policy: the policy's name.
        score: what it reached, in ``unit``.
        unit: of score, chance, level and interval; larger is a better attack.
        chance: the score of an attacker without frames.
        level: what the interval has to lie above for a fail.
        interval: of the score.
        control_broke: whether the attack broke its positive control.
        verdict: by :func:`judge`, from the four above.
        frames: how many frames it was given.
        smallest_breaking: the least number of frames with which it broke the policy; None if it did not, or if the
            attack cannot tell such a number.
        note: what a reader has to know, one or two sentences.
        pictures: what the attacker got, by caption: uint8 (h, w) or (h, w, 3).
    """

    attack: str
    stand: Stand
    policy: str
    score: float
    unit: str
    chance: float
    level: float
    interval: Interval
    control_broke: bool
    verdict: Verdict
    frames: int
    smallest_breaking: int | None = None
    note: str = ""
    pictures: Pictures = field(default_factory=dict)

    @property
    def scale(self) -> Scale:
        """How the score is read."""
        return Scale(self.unit, self.chance, self.level)

    @classmethod
    def judged(
        cls,
        scale: Scale,
        interval: Interval,
        *,
        attack: str,
        stand: Stand,
        policy: str,
        score: float,
        control_broke: bool,
        frames: int,
        smallest_breaking: int | None = None,
        note: str = "",
        pictures: Pictures | None = None,
    ) -> Finding:
        """A finding with the verdict that :func:`judge` has on it; nothing breaks a policy that did not fail."""
        verdict = judge(scale, interval, control_broke)
        return cls(
            attack=attack,
            stand=stand,
            policy=policy,
            score=score,
            unit=scale.unit,
            chance=scale.chance,
            level=scale.level,
            interval=interval,
            control_broke=control_broke,
            verdict=verdict,
            frames=frames,
            smallest_breaking=smallest_breaking if verdict is Verdict.FAIL else None,
            note=note,
            pictures=pictures or {},
        )

    def to_json(self) -> dict[str, Any]:
        """The finding as JSON values; pictures as PNG files in base64."""
        names = ["attack", "score", "unit", "chance", "level", "control_broke", "policy", "frames"]
        names += ["smallest_breaking", "note"]
        return {name: getattr(self, name) for name in names} | {
            "stand": str(self.stand),
            "verdict": str(self.verdict),
            "interval": [self.interval.low, self.interval.high],
            "sure": self.interval.sure,
            "pictures": {name: png_text(picture) for name, picture in self.pictures.items()},
        }

    @classmethod
    def from_json(cls, value: Any) -> Finding:
        """The inverse of to_json; InputError for anything else."""
        try:
            members = _checked(value)
            members["stand"] = Stand(members["stand"])
            members["verdict"] = Verdict(members["verdict"])
            low, high = members["interval"]
            members["interval"] = Interval(low, high, members.pop("sure"))
            members["pictures"] = {name: picture_of(text) for name, text in members["pictures"].items()}
            found = cls(**members)
            if found.verdict is not judge(found.scale, found.interval, found.control_broke):
                raise ValueError(f"a {found.verdict} that does not follow from its figures")
            return found
        except (TypeError, ValueError) as error:
            raise InputError(
                f"not a finding of the audit: {error!s:.200}", hint="delete the file and audit again"
            ) from error


def judge(scale: Scale, interval: Interval, control_broke: bool) -> Verdict:
    """The one rule for a verdict.

    Inconclusive if the attack did not break its positive control.  Otherwise something leaks if the interval of
    99.8 % lies above chance: many attacks are made, and one in forty intervals of 95 % lies above chance by chance.
    That is a fail if the interval of 95 % lies above the scale's level for it, and else a warn.  What does not leak is
    a pass if the interval of 95 % leaves out that level: one that reaches up to it is of too few frames to tell,
    and inconclusive.
    """
    if not control_broke:
        return Verdict.INCONCLUSIVE
    if interval.sure > scale.chance:
        return Verdict.FAIL if interval.low > scale.level else Verdict.WARN
    return Verdict.INCONCLUSIVE if interval.high >= scale.level > scale.chance else Verdict.PASS


def worst_first(findings: Iterable[Finding]) -> list[Finding]:
    """Findings by verdict, and inside one verdict by how far they lie above chance."""
    order = list(Verdict)
    return sorted(findings, key=lambda one: (order.index(one.verdict), one.chance - one.interval.low, one.attack))


def _checked(value: Any) -> dict[str, Any]:
    """The members of a finding, each of its type; ValueError if one is not."""
    place = misfit(value, _FORM)
    if place is not None:
        raise ValueError(f"see {place}" if place else f"a {type(value).__name__}")
    numbers = [*(value[name] for name in ("score", "chance", "level", "sure")), *value["interval"]]
    if not all(map(finite, numbers)):
        raise ValueError("a number that is not finite")
    return dict(value)
