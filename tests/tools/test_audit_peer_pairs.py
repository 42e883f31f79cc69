"""Pairs of picture and protected picture give a peer's key away; how many it takes is judged by several sets."""

from __future__ import annotations

import numpy as np
import pytest

from audit.attacks.single_frame import correlations
from audit.peer_attacks import known_plaintext
from audit.peer_attacks.known_plaintext import PICTURES, SETS, Attempt, Step, sets_of, step
from audit.peer_pairs import by_moves, by_pixels, learn
from audit.peer_pictures import grey
from peers.registry import PEERS
from tests.peers_under_audit import evidence, pictures, run

KEYED = [name for name, peer in PEERS.items() if peer.side == 32 and peer.protection(0).inverse is not None]


@pytest.mark.parametrize("key", KEYED)
def test_pairs_of_pictures_give_the_key_away(key: str) -> None:
    protection = PEERS[key].protection(5)
    images = pictures(52)
    decipher, _ = learn(images[:32], protection.transform(images[:32]))
    assert decipher is not None
    found = decipher(protection.transform(images[32:]))
    limit = 0 if protection.exact else 3  # grey levels, since gains are rounded
    assert (np.abs(found.astype(int) - images[32:]) <= limit).mean() > 0.99


def test_pairs_of_unrelated_pictures_give_no_moves_away() -> None:
    images = pictures(16)
    assert by_pixels(images[:8], images[8:]) is None
    assert by_moves(images[:8], images[8:], 8) is None
    assert by_moves(images[:8], images[8:], 4) is None


@pytest.mark.parametrize(("pairs", "rest"), [(1, 6), (3, 4)])
def test_pixels_that_move_whole_are_found_whatever_their_colours_do(pairs: int, rest: int) -> None:
    """Few values, so that single samples are alike and pixels are not."""
    rng = np.random.default_rng(pairs)
    colours = rng.permutation(64**3)[: (pairs + rest) * 1024, None] // np.array([64**2, 64, 1]) % 64
    plain = (2 * colours).astype(np.uint8).reshape(-1, 32, 32, 3)  # darker than any negative
    order = rng.permuted(np.tile(np.arange(3), (1024, 1)), axis=1)
    moved = np.take_along_axis(plain.reshape(-1, 1024, 3)[:, rng.permutation(1024)], order[None], axis=2)
    private = (moved ^ (rng.random((1024, 1)) < 0.5) * np.uint8(255)).reshape(plain.shape)
    moves = by_pixels(plain[:pairs], private[:pairs])
    assert moves is not None
    assert (moves(private[pairs:]) == plain[pairs:]).mean() > 0.95
    values = by_moves(plain[:1], private[:1], 8)
    assert values is not None
    assert (values(private[1:]) == plain[1:]).mean() < 0.1


@pytest.mark.parametrize(("key", "whole"), [("pixel-shuffle", True), ("etc", True), ("privconv", False), ("le", False)])
def test_one_pair_is_enough_where_pixels_move_whole(key: str, whole: bool) -> None:
    images = pictures(30, tint=60)  # of many colours: few pixels are alike
    private = PEERS[key].protection(4).transform(images)
    decipher, how = learn(images[:1], private[:1])
    assert decipher is not None
    assert how.startswith("pixels") == whole
    found = correlations(grey(decipher(private[1:])), grey(images[1:])).mean()
    assert (found > 0.9) == whole


def test_sets_share_neither_pictures_nor_keys() -> None:
    under = evidence("etc").material
    for pairs, count in ((1, 9), (4, 8), (32, 3)):
        found = list(sets_of(under, pairs))
        assert len(found) == count <= SETS
        plain = np.concatenate([part for one in found for part in (one.pairs[0], one.plain)])
        assert len(np.unique(plain.reshape(len(plain), -1), axis=0)) == count * (pairs + PICTURES)
        private = [np.concatenate([one.pairs[1], one.private]) for one in found]
        assert np.array_equal(private[0], under.private[: pairs + PICTURES])
        decipher, _ = learn(found[0].pairs[0], found[0].pairs[1])
        assert decipher is not None
        for one, stored in zip(found, private, strict=True):
            assert stored.shape == (pairs + PICTURES, 32, 32, 3)
            assert np.array_equal(_folded(stored), _folded(one.pairs[0], one.plain))
        alike = [correlations(grey(decipher(one.private)), grey(one.plain)).mean() > 0.5 for one in found]
        assert alike == [True] + [False] * (count - 1)


def _folded(*parts: np.ndarray) -> np.ndarray:
    """All samples or their negatives, in the order of their values."""
    images = np.concatenate(parts)
    return np.sort(np.minimum(images, ~images), axis=None)


def attempted(*correlation: float) -> Attempt:
    blank = np.zeros((len(correlation), 2, 2, 3), np.uint8)
    return Attempt(blank, blank, blank, np.array(correlation), "luck")


def test_one_lucky_set_of_pairs_does_not_break_a_step() -> None:
    generator = np.random.default_rng(0)
    luck = tuple(attempted(*(value + 0.01 * np.arange(-2, 3))) for value in (0.95, 0.9, 0.92, 0.55, 0.1))
    whole = Step(1, luck)
    assert Step(1, luck[:1]).interval(generator).low > 0.5
    assert Step(1, luck[:3]).interval(generator).low > 0.5
    assert whole.score == pytest.approx(0.684)
    assert whole.interval(generator).low < 0.5
    assert "mean of 5 sets" in whole.told


@pytest.mark.parametrize("middle", [-0.03, 0.0, 0.04, -1.0, 1.0])
def test_correlations_that_are_negative_by_chance_have_an_interval(middle: float) -> None:
    for spread in (0.0, 0.01):
        sets = tuple(attempted(value) for value in np.clip(middle + spread * np.arange(-2, 3), -1, 1))
        found, score = Step(2, sets).interval(np.random.default_rng(0)), Step(2, sets).score
        assert -1 <= found.low <= score <= found.high <= 1
        assert (found.high - found.low > 0.01) == (spread > 0)
        assert abs(score - middle) < 0.01


def test_the_least_number_is_of_sets_and_the_finding_says_so() -> None:
    under = evidence("pixel-shuffle")
    found = run(known_plaintext.PEER_ATTACK, under)
    assert found.smallest_breaking == 1
    assert found.note.count(" sets)") == len(known_plaintext.PAIRS)
    assert len(step(under.material.first(60), 32).sets) == 1
