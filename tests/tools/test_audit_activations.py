"""Feature maps in memory: what a recording holds, and that neighbours' features give positions away."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from audit.activations import NEVER, STAGE1, STAGE3, Recording, Site, keyed_network, record, scenes_of
from audit.attack import Evidence
from audit.attacks import activation_correlation, activation_jigsaw
from audit.attacks.activation_correlation import Attempt, Measured
from audit.finding import Finding, Stand, Verdict
from audit.material import make_material
from audit.neighbours import assemble, joined, learn
from audit.registry import all_attacks
from keyvault.errors import InputError
from keyvault.policy import Cfa, Policy

SIDE = 12


def scenes(count: int, side: int, channels: int, seed: int) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(size=(count, side, side, channels))
    return gaussian_filter(noise, (0, 1.5, 1.5, 0)) * 4


def patches(count: int, seed: int) -> np.ndarray:
    """Features (n, p, 27): the 3 x 3 surroundings of every position, as a first layer sees them."""
    padded = scenes(count, SIDE + 2, 3, seed)
    parts = [padded[:, y : y + SIDE, x : x + SIDE] for y in range(3) for x in range(3)]
    return np.concatenate(parts, axis=3).reshape(count, SIDE**2, -1).astype(np.float32)


def test_a_recording_has_the_maps_under_as_many_layouts_as_rekeying_gives() -> None:
    images = np.clip(128 + 60 * scenes(5, 32, 3, 0), 0, 255).astype(np.uint8)
    network = keyed_network(rekey_every=2, seed=0)
    shuffled = record(images, network, (STAGE1, STAGE3))
    assert [frames.tolist() for frames in shuffled[STAGE1].sharing()] == [[0, 1], [2, 3], [4]]
    network.rekey_every = NEVER
    fixed = record(images, network, (STAGE1, STAGE3))
    assert len(fixed[STAGE1].sharing()) == 1
    for site, channels in ((STAGE1, 64), (STAGE3, 192)):
        assert fixed[site].maps.shape == (5, site.side**2, channels)
        np.testing.assert_allclose(fixed[site].plain, shuffled[site].plain, atol=1e-4)
        assert not np.allclose(fixed[site].maps, shuffled[site].maps, atol=1e-1)


@pytest.mark.parametrize("frames", [1, 4])
def test_features_that_know_their_neighbours_are_put_together_the_right_way_up(frames: int) -> None:
    bonds = learn(patches(60, 1), SIDE)
    order = np.random.default_rng(2).permutation(SIDE**2)
    maps = patches(frames, 3)
    found = assemble(bonds, maps[:, order], SIDE)
    assert (found == order).mean() > 0.9
    noise = np.random.default_rng(4).normal(size=maps.shape).astype(np.float32)
    assert joined(assemble(bonds, noise[:, order], SIDE), order, SIDE) < 0.2


def test_joined_counts_neighbours_whichever_way_the_picture_is_turned() -> None:
    truth = np.random.default_rng(0).permutation(SIDE**2)
    turned = np.rot90(np.arange(SIDE**2).reshape(SIDE, SIDE)).ravel()[truth]
    assert joined(truth, truth, SIDE) == joined(turned, truth, SIDE) == 1


def test_the_smallest_breaking_number_leaves_no_unbroken_one_above_it() -> None:
    def measured(*tries: tuple[int, float]) -> int | None:
        return Measured(tuple(Attempt(32, n, False, near, 0.01, {}) for n, near in tries)).smallest_breaking

    assert measured((1, 0.1), (2, 0.9), (4, 0.2), (8, 0.9), (16, 0.8)) == 8
    assert measured((1, 0.9)) == 1
    assert measured((1, 0.9), (2, 0.1)) is None


def test_scenes_that_do_not_fit_are_refused() -> None:
    for found in (np.zeros((9, 32, 32, 3), np.uint8), np.zeros((99, 16, 16, 3), np.uint8)):
        with pytest.raises(InputError):
            scenes_of(found, 5, 5)


COLOURS, FEATURES, SMALL = (Site(name, (), SIDE) for name in ("input", "first", "stage"))
ON_MAPS = {"activation_correlation": activation_correlation, "activation_jigsaw": activation_jigsaw}
REFERENCES, LAYOUTS = 60, {1: (2, 1), 8: (2, 8), NEVER: (1, 40)}


def recorded(noisy: Site | None) -> Callable[..., dict[Site, Recording]]:
    """Recordings of small maps whose neighbours go together; of noise at one site under a fixed inner layout.

    The network that they are of is the number of frames after which its inner layouts change.
    """
    seeds = iter(range(10**6))

    def made(images: NDArray[np.uint8], rekey_every: int, sites: tuple[Site, ...] = (SMALL,)) -> dict:
        rng, count = np.random.default_rng(next(seeds)), len(images)
        orders = [rng.permutation(SIDE**2) for _ in range(-(-count // rekey_every))]
        tables = np.stack([orders[frame // rekey_every] for frame in range(count)]).astype(np.int32)
        found = {}
        for site in sites:
            if site is noisy and rekey_every == NEVER and count != REFERENCES:
                plain = rng.normal(size=(count, SIDE**2, 27)).astype(np.float32)
            elif site is COLOURS:
                plain = scenes(count, SIDE, 3, next(seeds)).reshape(count, -1, 3).astype(np.float32)
            else:
                plain = patches(count, next(seeds))
            maps = np.empty_like(plain)
            np.put_along_axis(maps, tables[:, :, None].astype(np.int64), plain, axis=1)
            found[site] = Recording(site, maps, tables)
        return found

    return made


@pytest.fixture
def on_maps(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str, Site | None], Finding]]:
    """Runs an attack on activations that are made up, with noise in place of one site's control or none."""
    for room, exchanged in (
        (
            activation_correlation,
            {
                "LAYOUTS": LAYOUTS,
                "DEFAULT_REKEY": 8,
                "SECRET": sum(layouts * frames for layouts, frames in LAYOUTS.values()),
                "INPUT": COLOURS,
                "FIRST": FEATURES,
                "_SHAPE": (SIDE, SIDE),
            },
        ),
        (activation_jigsaw, {"STAGE1": SMALL, "SITES": (SMALL,), "FRAMES": 4}),
    ):
        shared = {"keyed_network": lambda rekey_every: rekey_every, "REFERENCES": REFERENCES}
        for name, value in (exchanged | shared).items():
            monkeypatch.setattr(room, name, value)

    def run(name: str, noisy: Site | None) -> Finding:
        monkeypatch.setattr(ON_MAPS[name], "record", recorded(noisy))
        ON_MAPS[name].measured.cache_clear()
        images = np.zeros((200, 32, 32, 3), np.uint8)
        material = make_material(images[:1], Policy(32, 32, Cfa.NONE, 3, bits=8))
        evidence = Evidence("small", material, material, images, np.zeros(200, np.int64))
        return ON_MAPS[name].run(evidence, Stand.ACTIVATIONS, np.random.default_rng(0))

    yield run
    for room in ON_MAPS.values():
        room.measured.cache_clear()


@pytest.mark.parametrize(
    ("name", "sites"), [("activation_correlation", (COLOURS, FEATURES)), ("activation_jigsaw", (SMALL,))]
)
def test_an_attack_on_activations_says_something_only_if_its_control_breaks(
    name: str, sites: tuple[Site, ...], on_maps: Callable[[str, Site | None], Finding]
) -> None:
    found = on_maps(name, None)
    assert found.control_broke
    assert found.verdict is Verdict.FAIL
    assert found.score > 0.9
    for noisy in sites:
        found = on_maps(name, noisy)
        assert not found.control_broke
        assert found.verdict is Verdict.INCONCLUSIVE


def test_no_attack_on_activations_is_left_out() -> None:
    assert set(ON_MAPS) == {name for name, one in all_attacks().items() if Stand.ACTIVATIONS in one.stands}
