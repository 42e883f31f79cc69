"""One picture's own blocks are its thumbnail where they stay and one key is that of all, and nothing elsewhere."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from audit.finding import Finding, Verdict
from audit.peer_attacks import own_blocks
from audit.peer_attacks.own_blocks import BROKEN, alike, luck, thumbnails
from audit.peer_evidence import PeerEvidence
from audit.peer_pictures import grey
from keyvault.errors import InputError
from peers.registry import PEERS
from tests.peers_under_audit import NOISE, evidence, pictures, run


def attacked(under: PeerEvidence) -> Finding:
    return run(own_blocks.PEER_ATTACK, under)


def test_le_falls_and_ele_and_noise_do_not() -> None:
    le = attacked(evidence("le"))
    assert (le.verdict, le.smallest_breaking) == (Verdict.FAIL, 1)
    assert le.score > le.chance + 0.3
    for under in (evidence("ele"), replace(evidence("le"), material=evidence("le", NOISE).material)):
        held = attacked(under)
        assert held.verdict is Verdict.PASS
        assert held.score == pytest.approx(held.chance, abs=0.05)
        assert held.score < 0.2


def test_an_attack_that_does_not_work_is_inconclusive(monkeypatch: pytest.MonkeyPatch) -> None:
    noise = evidence("le", NOISE).material
    assert attacked(replace(evidence("le"), alike=noise)).verdict is Verdict.INCONCLUSIVE
    monkeypatch.setattr(own_blocks, "first_component", lambda entries: np.arange(len(entries)) % 2.0)
    assert attacked(evidence("le")).verdict is Verdict.INCONCLUSIVE


@pytest.mark.parametrize("seed", [1, 2])
def test_one_picture_is_enough_whatever_the_key(seed: int) -> None:
    images = pictures(20)
    together = thumbnails(PEERS["le"].protection(seed).transform(images), 4)
    assert together.shape == (20, 32, 32)
    alone = thumbnails(PEERS["le"].protection(seed).transform(images[7:8]), 4)
    np.testing.assert_allclose(alike(alone, together[7:8]), 1)
    assert alike(together, grey(images)).min() > BROKEN


def test_chance_has_the_same_freedom_of_sign() -> None:
    rng = np.random.default_rng(0)
    guesses, truths = rng.normal(size=(2, 200, 8, 8))
    assert luck(guesses, truths) == pytest.approx(alike(guesses, truths).mean(), abs=0.01)
    assert luck(guesses, truths) == pytest.approx(np.sqrt(2 / (64 * np.pi)), abs=0.01)
    assert luck(truths, -truths) < 0.2
    np.testing.assert_allclose(alike(truths, -truths), 1)


@pytest.mark.parametrize(
    ("key", "why"),
    [
        ("pixel-shuffle", "no blocks"),
        ("key-nets", "no blocks"),
        ("etc-grey", "between colours"),
        ("defocus-1", "no key"),
    ],
)
def test_it_does_not_apply_without_blocks_or_key(key: str, why: str) -> None:
    with pytest.raises(InputError, match=why):
        own_blocks.PEER_ATTACK.run(evidence(key), np.random.default_rng(0))


def test_large_pictures_have_their_own_blocks() -> None:
    images = PEERS["privconv-224"].scale(pictures(3))
    assert thumbnails(images, 16).shape == (3, 224, 224)
    assert alike(thumbnails(images, 16), grey(images)).min() > 0.8
