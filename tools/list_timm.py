"""Write docs/timm.md: which networks of timm convert, with errors, and why others do not."""

from __future__ import annotations

import multiprocessing
import sys
import warnings
from pathlib import Path

import click
import timm
import torch
from timm.models import model_entrypoint
from tqdm import tqdm

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "inference")]

import timm_zoo  # type: ignore[import-not-found]  # noqa: E402 - it lies with the tests

TARGET = ROOT / "docs" / "timm.md"
HEAD = """# Networks of timm

Written by `python tools/list_timm.py` with timm {timm} and torch {torch}; do not edit it. timm is needed
for tests only.

Of {count} architectures, {equal} convert and give the plain result. Each is made without pretrained weights, weights
and batch norm statistics are randomised, and two structured images under different keys are fed. The
error is the largest one of the output, relative to its scale; the control is the same with a
permutation that is not the images' own. Equal means an error of 1e-10 at most in float64 and a
control of 1e-7 at least. Networks marked `float32` compute a part of themselves in that type whatever
the input is, so they are compared in it: 1e-4 and 1e-1. Reasons name operators
([supported_operators.md](supported_operators.md)).

| architecture | family | input | result | error | control or reason |
| --- | --- | --- | --- | --- | --- |
"""


def page(outcomes: dict[str, timm_zoo.Outcome]) -> str:
    """The whole page."""
    equal = sum(outcome.equal for outcome in outcomes.values())
    head = HEAD.format(timm=timm.__version__, torch=torch.__version__, count=len(outcomes), equal=equal)
    return head + "".join(_row(name, outcome) for name, outcome in outcomes.items())


def _row(name: str, outcome: timm_zoo.Outcome) -> str:
    family = model_entrypoint(name).__module__.rpartition(".")[2]
    height, width = timm_zoo.ARCHITECTURES[name].size
    kind = " `float32`" if name in timm_zoo.SINGLE else ""
    if outcome.refused:
        found = "refused", "", "; ".join(outcome.refused)
    else:
        found = "equal" if outcome.equal else "differs", f"{outcome.error:.1e}", f"{outcome.control:.1e}"
    return f"| `{name}` | {family} | {height} x {width}{kind} | {' | '.join(found)} |\n"


def _attempt(name: str) -> timm_zoo.Outcome:
    torch.set_num_threads(1)
    warnings.simplefilter("ignore", UserWarning)
    return timm_zoo.attempt(name)


@click.command()
@click.option("--workers", default=1, show_default=True, help="Networks tried at the same time.")
def main(workers: int) -> None:
    """Try every architecture and write docs/timm.md; takes a quarter of an hour."""
    names = list(timm_zoo.ARCHITECTURES)
    with multiprocessing.get_context("spawn").Pool(workers, maxtasksperchild=20) as pool:
        outcomes = dict(zip(names, tqdm(pool.imap(_attempt, names), total=len(names)), strict=True))
    TARGET.write_text(page(outcomes), encoding="utf-8")
    differing = [name for name, outcome in outcomes.items() if not (outcome.equal or outcome.refused)]
    if differing:
        raise click.ClickException(f"not the plain result: {', '.join(differing)}")


if __name__ == "__main__":
    main()
