"""The runs of train_cifar10 that enter a table: those of the images and the private frames at hand, and no others."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import click

from cifar10 import TRAINED_IMAGES, TRAINING_IMAGES, Cifar10
from recipe import PLAIN
from training_runs import HELD_OUT, TEST

Run = dict[str, Any]


@dataclass(frozen=True)
class AtHand:
    """What a run has to have been made of.

    Attributes:
        data: a split of CIFAR-10 by its name.
        replays: of each setting whose private frames are here, their ``replays`` in a recipe.
    """

    data: Callable[[str], Cifar10]
    replays: Mapping[str, str]

    @cached_property
    def totals(self) -> dict[str, int]:
        """How many images were never trained on, by their part."""
        return {HELD_OUT: TRAINING_IMAGES - TRAINED_IMAGES, TEST: len(self.data("test").labels)}

    @cached_property
    def trained_on(self) -> str:
        """The digest of the images that are trained on."""
        return self.data("train").part(0, TRAINED_IMAGES).digest

    def objection(self, run: Run) -> str | None:
        """Why a run does not count, or None if it does; InputError if the data cannot be read."""
        recipe = run["recipe"]
        for part, total in self.totals.items():
            if run["accuracy"][part]["total"] != total:
                return f"its accuracy is of {run['accuracy'][part]['total']:,} images {part}, not of {total:,}"
        known = recipe["private"] == PLAIN and recipe["data"] != PLAIN
        if known and recipe["data"] != self.trained_on:
            return "it was trained on other images than those at hand"
        if recipe["replays"] != self.replays.get(recipe["private"], recipe["replays"]):
            return "it was trained on private frames under another key than those at hand"
        return None


def counted_runs(
    found: Mapping[Path, Run], wanted: Callable[[Run], bool], objection: Callable[[Run], str | None]
) -> list[Run]:
    """The finished runs that enter a table.

    Args:
        found: runs by the files of their results.
        wanted: whether there is a place for a run in the table.
        objection: why it does not count, or None; of a run that is wanted, it is said on stderr.
    """
    counted = []
    for path, run in found.items():
        if not wanted(run):
            continue
        why = objection(run)
        if why is None:
            counted.append(run)
        else:
            click.echo(f"{path} does not count: {why}", err=True)
    return counted
