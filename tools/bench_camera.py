"""What the camera side costs: the section ``camera`` of tools/benchmark.py."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from keyvault.expansion import expand, uniform_table
from keyvault.policy import Policy, Unit
from measure import Comparison, compare

WIDTH, HEIGHT = 4000, 3000
KEY = bytes(range(32))


def run(rounds: int) -> Iterator[Comparison]:
    """Every comparison of this section."""
    yield key_expansion(rounds)
    yield key_expansion_by_policy(rounds)
    yield key_expansion_of_small_frames(rounds)


def key_expansion(rounds: int) -> Comparison:
    """A frame's permutation, 12 megapixels: NumPy's from its own generator, and ours from a key."""
    policy = Policy(WIDTH, HEIGHT)
    generator = np.random.default_rng(0)
    identity = np.arange(policy.photosites, dtype=np.int32)
    things = {
        "numpy Generator.permutation(n), int64": lambda: generator.permutation(policy.photosites),
        "numpy Generator.permutation, int32 array": lambda: generator.permutation(identity),
        "expand, 1 thread": lambda: expand(KEY, policy, threads=1),
        "expand, all processors": lambda: expand(KEY, policy),
    }
    return compare("key expansion, 4000x3000", things, rounds=rounds, pixels=policy.photosites)


def key_expansion_by_policy(rounds: int) -> Comparison:
    """The same under other scopes and units."""
    policies = {
        "frame": Policy(WIDTH, HEIGHT),
        "frame of quads": Policy(WIDTH, HEIGHT, unit=Unit.QUAD),
        "bands of 100 rows": Policy(WIDTH, HEIGHT, scope="band:100"),
        "bands of 16 rows": Policy(WIDTH, HEIGHT, scope="band:16"),
        "rows": Policy(WIDTH, HEIGHT, scope="row"),
    }
    things = {name: lambda policy=policy: expand(KEY, policy) for name, policy in policies.items()}
    return compare("key expansion by policy, 4000x3000", things, rounds=rounds, pixels=WIDTH * HEIGHT)


def key_expansion_of_small_frames(rounds: int) -> Comparison:
    """What replayed data sets and inner layouts ask for, again and again."""
    generator = np.random.default_rng(0)
    policy = Policy(64, 64)
    things = {
        "numpy Generator.permutation(4096)": lambda: generator.permutation(4096),
        "expand, 64x64": lambda: expand(KEY, policy),
        "uniform_table, 1024": lambda: uniform_table(KEY, 1024),
        "uniform_table, 64": lambda: uniform_table(KEY, 64),
    }
    return compare("key expansion of small frames", things, rounds=max(rounds, 201))
