"""Column patterns in averages: what moves is compared with what moves, and chance is that of such pairs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from audit.attack import Evidence
from audit.attacks import fixed_pattern
from audit.attacks.fixed_pattern import Averaged, chance, positions
from audit.finding import Stand
from audit.intervals import share_interval
from audit.material import make_material
from audit.views import in_line
from keyvault.errors import InputError
from keyvault.policy import Cfa, Policy, Unit

SIDE, FRAMES = 32, 100
QUADS = Policy(SIDE, SIDE, Cfa.NONE, 3, bits=8, unit=Unit.QUAD)
MOSAIC = Policy(SIDE, SIDE, Cfa.RGGB, bits=8, unit=Unit.QUAD)
PHOTOSITES = replace(QUADS, unit=Unit.PHOTOSITE)


def table(policy: Policy, rng: np.random.Generator) -> np.ndarray:
    """Where each photosite is stored if what moves is in random order: (h * w,)."""
    side = 2 if policy.unit is Unit.QUAD else 1
    raster = np.arange(policy.photosites).reshape(policy.height // side, side, policy.width // side, side)
    pieces = raster.swapaxes(1, 2).reshape(-1, side * side)
    found = np.empty(policy.photosites, np.int32)
    found[pieces] = rng.permutation(pieces)
    return found


def dark(tables: list[np.ndarray], policy: Policy) -> np.ndarray:
    """Frames (n, h, w, c) of noise on columns that differ, each under its table."""
    rng = np.random.default_rng(1)
    columns = np.tile(rng.normal(0, 4, policy.width), policy.height)[:, None]
    plain = 40 + columns + rng.normal(0, 1, (len(tables), policy.photosites, policy.samples_per_photosite))
    stored = np.empty_like(plain)
    for one, order in enumerate(tables):
        stored[one, order] = plain[one]
    return stored.round().astype(np.uint16).reshape(len(tables), policy.height, policy.width, -1)


@pytest.mark.parametrize("policy", [QUADS, MOSAIC, PHOTOSITES], ids=["quads", "mosaic", "photosites"])
def test_frames_under_permutations_of_their_own_are_at_chance_and_one_permutation_shows(policy: Policy) -> None:
    rng = np.random.default_rng(0)
    *fresh, later = (table(policy, rng) for _ in range(FRAMES + 1))
    held = share_interval(*positions(dark(fresh, policy), later, policy).pairs(FRAMES))
    assert held.low < chance(policy) < held.high
    broken = positions(dark([later] * FRAMES, policy), later, policy)
    assert share_interval(*broken.pairs(FRAMES)).low > 3 * chance(policy)


def test_photosites_of_moving_quads_share_columns_by_themselves() -> None:
    """Compared one by one they are above the chance of photosites, though no frame says anything of another."""
    rng = np.random.default_rng(0)
    *fresh, later = (table(QUADS, rng) for _ in range(FRAMES + 1))
    frames = dark(fresh, QUADS)
    columns = np.argsort(later) % SIDE
    one_by_one = share_interval(*Averaged(in_line(frames), columns).pairs(FRAMES))
    assert one_by_one.low > chance(PHOTOSITES)
    assert share_interval(*positions(frames, later, QUADS).pairs(FRAMES)).low < chance(QUADS)


@pytest.mark.parametrize("policy", [QUADS, MOSAIC, PHOTOSITES, replace(QUADS, width=8)])
def test_chance_is_the_share_of_all_pairs(policy: Policy) -> None:
    frames = np.zeros((1, policy.height, policy.width, policy.samples_per_photosite), np.uint16)
    found = positions(frames, table(policy, np.random.default_rng(0)), policy)
    first, second = np.triu_indices(len(found.columns), 1)
    assert chance(policy) == pytest.approx((found.columns[first] == found.columns[second]).mean())
    assert found.frames.shape[1] == len(found.columns)


def test_the_scale_is_that_of_what_moves(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fixed_pattern, "FRAMES", 2)
    policy = replace(QUADS, width=8, height=8)
    material = make_material(np.zeros((1, 8, 8, 3), np.uint8), policy)
    evidence = Evidence("small", material, material, np.zeros((0, 8, 8, 3), np.uint8), np.zeros(0, np.int64))
    assert fixed_pattern.run(evidence, Stand.FILE, np.random.default_rng(0)).chance == chance(policy) == 3 / 15


def test_a_single_position_has_no_pairs() -> None:
    with pytest.raises(InputError, match="a single position"):
        chance(replace(QUADS, width=2, height=2))
