"""Write tests/vectors/permutation.json: python tools/make_permutation_vectors.py

The file is made by this project's fast implementation and checked, in the tests, by a second one
that was written from docs/spec/permutation.md alone.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np

from keyvault.console import Command
from keyvault.expansion import expand
from keyvault.files import write_whole
from keyvault.keystream import Keystream
from keyvault.policy import Cfa, Policy, Unit

PRINTED_IN_FULL = 600
DEFAULT_OUTPUT = Path(__file__).parents[1] / "tests" / "vectors" / "permutation.json"


@dataclass(frozen=True)
class _Case:
    covers: str
    key: int
    width: int
    height: int
    unit: Unit = Unit.PHOTOSITE
    scope: str = "frame"

    @property
    def name(self) -> str:
        return f"{self.width}x{self.height} {self.unit} {self.scope} key {self.key}"


CASES = (
    _Case("the smallest frame", 0, 1, 1),
    _Case("a single exchange", 0, 2, 1),
    _Case("another key", 1, 2, 1),
    _Case("a row", 0, 7, 1),
    _Case("a column", 0, 1, 7),
    _Case("rows of one element", 0, 1, 5, scope="row"),
    _Case("an odd size", 0, 5, 3),
    _Case("rows; draws go on through the frame", 0, 6, 4, scope="row"),
    _Case("bands of which the last is smaller", 0, 5, 7, scope="band:3"),
    _Case("a band as high as the frame", 0, 5, 3, scope="band:3"),
    _Case("the smallest frame of quads", 0, 2, 2, Unit.QUAD),
    _Case("quads", 0, 8, 6, Unit.QUAD),
    _Case("rows of quads", 0, 8, 6, Unit.QUAD, "row"),
    _Case("bands of quads of which the last is smaller", 0, 6, 14, Unit.QUAD, "band:4"),
    _Case("an odd size", 1, 31, 17),
    _Case("a network's input", 0, 64, 64),
    _Case("a word refused once, bound 680, position 679", 16060, 32, 32),
    _Case("the largest group of one bucket", 0, 256, 256),
    _Case("a word refused twice, bound 41616, position 41615", 477523, 256, 256),
    _Case("a group that is just too large for one bucket", 0, 331, 198),
    _Case("two groups of 256 buckets and one of a single bucket", 0, 300, 560, scope="band:250"),
    _Case("256 buckets of quads", 0, 512, 602, Unit.QUAD),
    _Case("256 buckets, a word refused in one of them", 9, 1280, 720),
    _Case("a camera's frame", 0, 4000, 3000),
)
STREAMS = (
    ("the beginning", 0, 0, 0, 48),
    ("another stream", 0, 1, 0, 32),
    ("the last stream", 1, 2**32 - 1, 16, 16),
    ("a carry in the block number", 1, 1, 16 * (2**32 - 1), 32),
    ("the last block", 1, 0, 16 * (2**64 - 1), 16),
)


def vector_key(number: int) -> bytes:
    """Key number i of the vectors."""
    return hashlib.sha256(f"privcam permutation v1, key {number}".encode("ascii")).digest()


def _permutation(case: _Case) -> dict[str, Any]:
    key = vector_key(case.key)
    policy = Policy(case.width, case.height, cfa=Cfa.NONE, unit=case.unit, scope=case.scope)
    table = expand(key, policy).table
    place = {"width": case.width, "height": case.height, "unit": str(case.unit), "scope": case.scope}
    full = table.size <= PRINTED_IN_FULL
    value = {"table": table.tolist()} if full else {"sha256": hashlib.sha256(table.astype("<i4").tobytes()).hexdigest()}
    return {"name": case.name, "covers": case.covers, "key": key.hex()} | place | value


def _stream(name: str, number: int, stream: int, offset: int, length: int) -> dict[str, Any]:
    key, out = vector_key(number), np.empty(length, np.uint8)
    Keystream(key).fill(out, stream, offset)
    return {"name": name, "key": key.hex(), "stream": stream, "offset": offset, "bytes": out.tobytes().hex()}


def _as_text(vectors: dict[str, Any]) -> str:
    """JSON with one vector a line."""
    lists = (
        f' "{name}": [\n  ' + ",\n  ".join(json.dumps(vector) for vector in vectors[name]) + "\n ]"
        for name in ("keystream", "permutations")
    )
    return f'{{\n "specification": {json.dumps(vectors["specification"])},\n' + ",\n".join(lists) + "\n}\n"


@click.command(cls=Command)
@click.option("-o", "--output", type=click.Path(path_type=Path), default=DEFAULT_OUTPUT, show_default=True)
def main(output: Path) -> None:
    """Write the test vectors of the permutation."""
    vectors = {
        "specification": "privcam permutation v1",
        "keystream": [_stream(*values) for values in STREAMS],
        "permutations": [_permutation(case) for case in CASES],
    }
    write_whole(output, _as_text(vectors).encode("ascii"))


if __name__ == "__main__":
    main()
