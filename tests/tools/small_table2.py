"""A finished training, as tables take it."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from recipe import Recipe


def run_of(model: str, transform: str, epochs: int = 3) -> dict[str, Any]:
    """The result of a training of a network on a peer's pictures, half of its answers right."""
    recipe = asdict(Recipe(model, epochs, 128, 0.2, 1, "float32", transform=transform))
    accuracy = {"held out": {"correct": 2500, "total": 5000}, "test": {"correct": 500, "total": 1000}}
    return {"recipe": recipe, "parameters": 1234567, "accuracy": accuracy, "device": "cpu", "holds_out": True}
