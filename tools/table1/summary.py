"""From the results of shards to the figures of one column: accuracy and agreement, as JSON values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any

from accuracy import Accuracy
from dated_results import occasion
from table1.counting import NOT_ASKED
from table1.parts import PARTS, part_of, unseen_parts


def summarise(results: Iterable[Mapping[str, Any]], *, holds_out: bool) -> dict[str, Any]:
    """Figures of one network under one setting.

    Args:
        results: of every shard, as :class:`table1.measuring.Job` returns them.
        holds_out: whether the last 5,000 training images were not trained on.
    """
    results = list(results)
    counted = [result["counted"] for result in results]
    accuracies = {name: _accuracies(counted, name) for name in counted[0]["predictions"]}
    equal = sum(_equal(shard["predictions"]["plain"], shard["predictions"]["keyed"]) for shard in counted)
    unseen = unseen_parts(holds_out=holds_out)
    return {
        "accuracy": {name: _figures(parts, unseen) for name, parts in accuracies.items()},
        "agreement": {
            "equal": equal,
            "total": sum(len(shard["labels"]) for shard in counted),
            "largest_difference": max(shard["largest_difference"] for shard in counted),
            "differing": [{"split": shard["split"], **one} for shard in counted for one in shard["differing"]],
        },
        "options": results[0]["options"],
        "measured": sorted({occasion(result["environment"]) for result in results}),
    }


def _equal(one: str, other: str) -> int:
    return sum(a == b for a, b in zip(one, other, strict=True))


def _accuracies(counted: list[dict[str, Any]], name: str) -> dict[str, Accuracy]:
    """Of one row, by part; parts without images are left out."""
    hits: dict[str, list[bool]] = {part: [] for part in PARTS}
    for shard in counted:
        for index, label, guess in zip(shard["indices"], shard["labels"], shard["predictions"][name], strict=True):
            if guess != NOT_ASKED:
                hits[part_of(shard["split"], index)].append(label == guess)
    return {part: Accuracy(sum(found), len(found)) for part, found in hits.items() if found}


def _figures(parts: dict[str, Accuracy], unseen: tuple[str, ...]) -> dict[str, Any]:
    own = [parts[part] for part in unseen if part in parts]
    return {
        "parts": {part: described(found) for part, found in parts.items()},
        "unseen": described(sum(own[1:], own[0])),
        "unseen_parts": [part for part in unseen if part in parts],
    }


def described(found: Accuracy) -> dict[str, Any]:
    """An accuracy with its interval as JSON values."""
    return {**asdict(found), "fraction": found.fraction, "interval": list(found.interval)}
