"""Table 1 as Markdown, from its figures as JSON values."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from accuracy import Accuracy
from cifar10 import TRAINED_IMAGES
from private_replays import SETTINGS
from table1.counting import ROWS
from table1.networks import tuning_command
from table1.parts import TEST
from training_runs import budget, training_command, unseen

TUNED = "tuned"
_TITLES = {
    "plain": ROWS["plain"],
    "file": ROWS["file"],
    "memory": ROWS["memory"],
    TUNED: "fine-tuned on private images (as in the file)",
    "keyed": ROWS["keyed"],
    "substituted": ROWS["substituted"],
}

#: Table 1 of the paper, percent: VGG-16 under the paper's setting; and of its Table 2, the keyed PreResNet-110.
PUBLISHED: dict[tuple[str, str], dict[str, float]] = {
    ("vgg16", "stacked-fixed"): {"plain": 94.1, "file": 11.7, TUNED: 57.6, "keyed": 94.1, "substituted": 11.8},
    ("preresnet110", "stacked-fixed"): {"keyed": 95.06},
}

_FOOTNOTES = (
    f"Accuracy: images that were never trained on, with its 95 % interval (Wilson), and of the test file alone. "
    f"Networks of train_cifar10 were trained on the first {TRAINED_IMAGES:,} training images, so the last 5,000 count "
    f"as never trained on; for weights that others trained, and for networks that began with those, the test file "
    f"alone does.",
    "Plain and keyed network were compared on every image, the other rows are measured on those never trained on.",
    "Every private image was captured by replay_dataset.py. As in the file: the samples that anyone sees. Unmasked, "
    "shuffled: the samples in the memory of the authorised host. Both are shown to the plain network as an image, "
    "quads of a mosaic as pixels.",
    "Permutation substituted: the mask is taken off with the right key, then a random permutation replaces that of the "
    "frame.",
    "Fine-tuned: on the training images' private frames, as in the file; without a key they can be neither moved nor "
    "mirrored, so that the only augmentation is cutout.",
    "Time is not measured here: `python tools/benchmark.py --section inference` holds keyed networks against plain "
    "ones as one would run them, in docs/benchmarks.",
    "Published figures are those of Perez et al., ICASSP 2024; nothing that is marked so was measured here. That of "
    "PreResNet-110 is from its Table 2.",
)


def render(networks: list[dict[str, Any]]) -> str:
    """One table for each network, and what they compare below."""
    return "\n".join([*(_section(found) for found in networks), *(f"- {note}" for note in _FOOTNOTES), ""])


def render_missing(networks: list[dict[str, Any]]) -> str:
    """The commands that train what the tables lack, as far as there are such; empty if they lack nothing."""
    commands = [training_command(found["network"], found["network"]) for found in networks if not found["columns"]]
    for found in networks:
        if found["imagenet_input"]:
            continue  # train_cifar10 normalises by CIFAR-10's mean: such weights would begin with another input
        lacking = [setting for setting in SETTINGS if found["tuned"][setting] is None]
        commands += [tuning_command(found["network"], setting) for setting in lacking]
    if not commands:
        return ""
    return "\n".join(["### Not trained", "", *(f"- `{command}`" for command in commands), ""])


def _section(found: dict[str, Any]) -> str:
    measured = bool(found["columns"])
    columns = [found["columns"][setting] for setting in SETTINGS] if measured else []
    days = sorted({day for column in columns for day in column["measured"]})
    weights = f"Weights: {found['training']}. Measured {'; '.join(days)}." if measured else "Not trained."
    lines = [f"### {found['network']}", "", weights, ""]
    lines += [_line("", [setting.title for setting in SETTINGS.values()]), "| --- | --- | --- |"]
    lines += [_line(title, [_cell(found, row, setting) for setting in SETTINGS]) for row, title in _TITLES.items()]
    if measured:
        lines.append(_line("equal predictions, plain and keyed", map(_agreement, columns)))
    return "\n".join([*lines, ""])


def _line(title: str, cells: Iterable[str]) -> str:
    return f"| {title} | {' | '.join(cells)} |"


def _cell(found: dict[str, Any], row: str, setting: str) -> str:
    published = PUBLISHED.get((found["network"], setting), {}).get(row)
    own = _tuned(found, setting) if row == TUNED else _measured(found, row, setting)
    return own if published is None else f"{own}; published: {published:g} %"


def _measured(found: dict[str, Any], row: str, setting: str) -> str:
    if not found["columns"]:
        return "not trained"
    accuracy = found["columns"][setting]["accuracy"]
    if row not in accuracy:
        return "as in the file"
    figures = accuracy[row]
    own = str(_accuracy(figures["unseen"]))
    if figures["unseen_parts"] == [TEST]:
        return f"{own}, test file"
    return f"{own}; test file {100 * figures['parts'][TEST]['fraction']:.2f} %"


def _accuracy(figures: dict[str, Any]) -> Accuracy:
    return Accuracy(figures["correct"], figures["total"])


def _tuned(found: dict[str, Any], setting: str) -> str:
    run = found["tuned"][setting]
    if run is None:
        return "not trained"
    start = "" if found["weights"] and run["recipe"]["init"] == found["weights"]["sha256"] else ", from other weights"
    test = f"; test file {100 * _accuracy(run['accuracy'][TEST]).fraction:.2f} %" if run["holds_out"] else ", test file"
    return f"{unseen(run)}{test} ({budget(run)}{start})"


def _agreement(column: dict[str, Any]) -> str:
    found = column["agreement"]
    more = "".join(
        f"; {one['split']}/{one['index']} differs at a margin of {one['margin']:.1e}" for one in found["differing"][:3]
    )
    return f"{found['equal']:,} of {found['total']:,}{more}; logits differ by {found['largest_difference']:.1e} at most"
