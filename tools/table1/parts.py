"""The parts of CIFAR-10: what is trained on and what never is."""

from __future__ import annotations

from cifar10 import TRAINED_IMAGES

TRAINED, HELD_OUT, TEST = "trained on", "held out", "test"
PARTS = (TRAINED, HELD_OUT, TEST)


def part_of(split: str, index: int) -> str:
    """Which part an image belongs to: trained on, the last 5,000 held out, or the test file."""
    if split == "test":
        return TEST
    return TRAINED if index < TRAINED_IMAGES else HELD_OUT


def unseen_parts(*, holds_out: bool) -> tuple[str, ...]:
    """The parts that were never trained on; without the last 5,000 unless the weights are known to hold them out."""
    return (HELD_OUT, TEST) if holds_out else (TEST,)
