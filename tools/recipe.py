"""What decides how a network is trained, and how checkpoints and results say so."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_type_hints

from json_files import misfit
from keyvault.errors import InputError

PRECISIONS = ("float32", "bfloat16")
PLAIN = "none"


@dataclass(frozen=True)
class Recipe:
    """Everything that decides the result.

    ``transform`` is the peer that protects every image, under a key drawn from the seed, after its augmentation.
    ``private`` is the setting under which the images were captured as private frames, and ``replays`` the id of the
    key of these frames.  ``init`` is the SHA-256 of the file of weights that the network begins with, ``data`` that of
    the images trained on and their labels.  ``ema_decay`` is what the moving average of weights keeps of itself at each
    step, (1 + n) / (10 + n) as long as that is less, n being the number of steps before: a short run's average is not
    one of the weights that it began with.
    """

    model: str
    epochs: int
    batch: int
    learning_rate: float
    seed: int
    precision: str
    momentum: float = 0.9
    weight_decay: float = 5e-4
    label_smoothing: float = 0.1
    crop_padding: int = 4
    cutout: int = 8
    ema_decay: float = 0.998
    transform: str = PLAIN
    private: str = PLAIN
    init: str = PLAIN
    replays: str = PLAIN
    data: str = PLAIN


def protection_of(transform: str, private: str) -> str:
    """What protects the images that a network sees: a peer or a setting, of which only one can be given, or PLAIN."""
    return transform if private == PLAIN else private


#: What each member of a recipe has to be.
RECIPE_FORM = get_type_hints(Recipe) | {"precision": PRECISIONS}
#: Members that older results lack, which were of plain images and of weights that were drawn.
_LATER: dict[str, Any] = dict.fromkeys(("transform", "private", "init", "replays", "data"), PLAIN)


def recipe_of(members: Any, path: Path) -> Recipe:
    """The recipe that PATH holds as a dict of members; InputError if it is none."""
    complete = _LATER | members if isinstance(members, dict) else {}
    if complete.keys() != RECIPE_FORM.keys() or misfit(complete, RECIPE_FORM) is not None:
        raise InputError(f"{path} holds no recipe of train_cifar10", hint=f"remove {path}")
    return Recipe(**complete)
