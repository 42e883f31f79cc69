"""Test vectors of docs/spec/permutation.md, by keyvault and by a second implementation."""

from __future__ import annotations

import hashlib
import json
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import permutation_reference as reference
import pytest

from keyvault.expansion import expand
from keyvault.keystream import Keystream
from keyvault.policy import Cfa, Policy, Unit

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "permutation.json").read_text())
SLOW_IN_PYTHON = 2_000_000

all_permutations = pytest.mark.parametrize("vector", VECTORS["permutations"], ids=lambda v: v["name"])
all_streams = pytest.mark.parametrize("vector", VECTORS["keystream"], ids=lambda v: v["name"])


def _agrees(vector: dict[str, Any], table: list[int]) -> bool:
    if "table" in vector:
        return table == vector["table"]
    return reference.digest(table) == vector["sha256"]


def test_the_file_names_the_specification() -> None:
    assert VECTORS["specification"] == "privcam permutation v1"


def test_every_scope_has_vectors_of_every_unit() -> None:
    found = {(vector["scope"].partition(":")[0], vector["unit"]) for vector in VECTORS["permutations"]}
    assert found == set(product(("row", "band", "frame"), ("photosite", "quad")))


@all_permutations
def test_keyvault_reproduces(vector: dict[str, Any]) -> None:
    policy = Policy(vector["width"], vector["height"], cfa=Cfa.NONE, unit=Unit(vector["unit"]), scope=vector["scope"])
    assert _agrees(vector, expand(bytes.fromhex(vector["key"]), policy).table.tolist())


def _second_implementation(vector: dict[str, Any]) -> bool:
    octets = reference.keystream(bytes.fromhex(vector["key"]))
    table = reference.permutation(octets, *(vector[name] for name in ("width", "height", "unit", "scope")))
    return _agrees(vector, table)


@pytest.mark.parametrize(
    "vector",
    [v for v in VECTORS["permutations"] if v["width"] * v["height"] < SLOW_IN_PYTHON],
    ids=lambda v: v["name"],
)
def test_second_implementation_reproduces(vector: dict[str, Any]) -> None:
    assert _second_implementation(vector)


@pytest.mark.full
@pytest.mark.parametrize(
    "vector",
    [v for v in VECTORS["permutations"] if v["width"] * v["height"] >= SLOW_IN_PYTHON],
    ids=lambda v: v["name"],
)
def test_second_implementation_reproduces_large(vector: dict[str, Any]) -> None:
    assert _second_implementation(vector)


@all_streams
def test_keystream(vector: dict[str, Any]) -> None:
    key, expected = bytes.fromhex(vector["key"]), bytes.fromhex(vector["bytes"])
    out = np.empty(len(expected), np.uint8)
    Keystream(key).fill(out, vector["stream"], vector["offset"])
    assert out.tobytes() == expected
    assert reference.keystream(key)(vector["stream"], vector["offset"], len(expected)) == expected


@pytest.mark.parametrize(
    ("covers", "streams"),
    [("a word refused once", {1, 2}), ("a word refused twice", {1, 2, 3}), ("256 buckets, a word refused", {0, 1, 2})],
)
def test_vectors_with_refused_words_have_them(covers: str, streams: set[int]) -> None:
    """The second implementation has to ask for words of later rounds, which nothing else makes it do."""
    (vector,) = (v for v in VECTORS["permutations"] if v["covers"].startswith(covers))
    octets, asked = reference.keystream(bytes.fromhex(vector["key"])), set()

    def recorded(stream: int, offset: int, length: int) -> bytes:
        asked.add(stream)
        return octets(stream, offset, length)

    reference.permutation(recorded, vector["width"], vector["height"], vector["unit"], vector["scope"])
    assert asked == streams


def test_keys_are_the_named_ones() -> None:
    for vector in VECTORS["permutations"]:
        number = int(vector["name"].rsplit(" ", 1)[1])
        assert hashlib.sha256(f"privcam permutation v1, key {number}".encode()).hexdigest() == vector["key"]
