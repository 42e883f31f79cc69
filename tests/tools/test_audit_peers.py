"""The peers of Table 2 under audit: keys fall to known pictures, what a key keeps is kept, and noise is not broken."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

import cifar10
import privacy_audit
from audit import peer_attacks, peer_pairs, peer_subjects
from audit.finding import Verdict
from audit.peer_attacks import correlation, known_plaintext, reidentification, single_frame
from audit.peer_evidence import Images, PeerAttack, PeerEvidence, Protected
from audit.peer_features import OF_VALUES
from audit.peer_subjects import _CONTROLS, ALIKE, CONTROL, INSIDE, PeerSubject, peer_keys, protect
from audit.registry import all_attacks, all_peer_attacks
from audit.scenes import Scenes, Source
from keyvault.errors import InputError
from peers.registry import PEERS, Peer, Protection
from table2.table import verdict_of
from tests.peers_under_audit import NOISE, evidence, pictures, run

INVARIANT = {
    "le": "halves of values or their negatives",
    "ele": "halves of values or their negatives",
    "etc": "values or their negatives",
    "etc-grey": "values or their negatives",
    "privconv": "values or their negatives",
    "pixel-shuffle": "the values of each colour",
}


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(correlation, "PICTURES", (200,))
    correlation._solved_control.cache_clear()
    yield
    correlation._solved_control.cache_clear()


@pytest.mark.parametrize("key", INVARIANT)
def test_what_every_key_leaves_of_the_values(key: str) -> None:
    images, feature = pictures(5), OF_VALUES[INVARIANT[key]]
    private = PEERS[key].protection(7).transform(images)
    assert not np.array_equal(private, images)
    assert np.array_equal(feature(private), feature(images))
    assert not np.allclose(feature(private[1:]), feature(images[:-1]))


def test_a_known_blur_is_taken_off() -> None:
    images = pictures(160)
    images[:, ::5, ::3] //= 2  # edges
    plain = images.mean(axis=3)
    blurred = PEERS["defocus-2"].protection(0).transform(images).mean(axis=3)
    sharp = single_frame.deconvolve(blurred[:20], blurred[20:], plain[20:])
    before, after = (float(((one - plain[:20]) ** 2).mean()) for one in (blurred[:20], sharp))
    assert after < before / 3


@pytest.mark.parametrize("key", ["le", "ele", "privconv"])
def test_blocks_are_put_together_without_a_single_known_picture(key: str) -> None:
    images = pictures(200)
    private = PEERS[key].protection(2).transform(images)
    scenes = Scenes(images, np.zeros(200, np.int64), images[:0], np.zeros(0, np.int64))
    found = correlation.solve(replace(protect(key, PEERS[key], scenes, 2), private=private), 200)
    assert found.pictures.shape == (200, 8, 8)
    assert found.values.mean() > 0.9


def test_a_broken_peer_fails_and_noise_does_not() -> None:
    broken = evidence("etc")
    held = replace(broken, material=evidence("le", NOISE).material)
    for attack in (reidentification.PEER_ATTACK, known_plaintext.PEER_ATTACK, correlation.PEER_ATTACK):
        assert run(attack, broken).verdict is Verdict.FAIL
        found = run(attack, held)
        few = attack is reidentification.PEER_ATTACK  # pictures, so that one in a hundred may be chance
        assert found.verdict in ((Verdict.INCONCLUSIVE,) if few else (Verdict.PASS, Verdict.WARN))
        assert found.smallest_breaking is None


def test_a_whole_audit_finds_scenes_in_enough_pictures_to_tell_chance_from_a_break() -> None:
    for lucky in (0, 1):
        assert reidentification.interval(lucky, reidentification.PICTURES).high < reidentification.BROKEN


@pytest.mark.parametrize("attack", all_peer_attacks().values(), ids=lambda attack: attack.name)
def test_a_control_that_holds_leaves_the_verdict_open(attack: PeerAttack, monkeypatch: pytest.MonkeyPatch) -> None:
    under = evidence("le")
    noise = evidence("le", NOISE).material
    assert run(attack, replace(under, control=noise, inside=noise, alike=noise)).verdict is Verdict.INCONCLUSIVE


def noise_in(*shape: int) -> np.ndarray:
    return np.random.default_rng(shape).random(shape)


#: An attack, a peer, what the attack goes by there, and what takes that away.
WAYS: list[tuple[str, str, str, Any]] = [
    ("correlation", "ele", "block_series", lambda images, _: 255 * noise_in(len(images), 64, 1)),
    ("correlation", "key-nets", "colours_together", lambda series: 255 * noise_in(len(series), 1024, 3)),
    ("known_plaintext", "key-nets", "by_lines", lambda *_: lambda images: images),
    ("single_frame", "le", "from_tiles", lambda protected: (noise_in(len(protected), 32, 32),) * 2),
    ("single_frame", "defocus-1", "deconvolve", lambda private, *_: noise_in(*private.shape)),
    ("reidentification", "le", "thumbnail", lambda images: noise_in(len(images), 3)),
]


@pytest.mark.parametrize(("name", "key", "way", "cut"), WAYS, ids=[f"{one[0]} {one[2]}" for one in WAYS])
def test_an_attack_that_loses_its_way_says_nothing(
    name: str, key: str, way: str, cut: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    attack, under = all_peer_attacks()[name], evidence(key)
    assert run(attack, under).verdict is not Verdict.INCONCLUSIVE
    monkeypatch.setattr(f"audit.peer_attacks.{name}.{way}", cut)
    monkeypatch.setitem(reidentification.FEATURES, reidentification.THUMBNAIL, reidentification.thumbnail)
    correlation._solved_control.cache_clear()
    assert run(attack, evidence(key)).verdict is Verdict.INCONCLUSIVE


def test_the_control_of_lenses_is_one_of_which_something_can_be_taken_off() -> None:
    control = single_frame.control_of(evidence("defocus-4")).each_alone()
    assert np.abs(control.private.astype(int) - control.plain).mean() > 0.5
    rng = np.random.default_rng(0)
    assert single_frame.broke(control, 0.5, rng)
    assert not single_frame.broke(
        replace(control, peer=Peer("no lens", lambda *_: Protection(lambda x: x, None)), private=control.plain),
        0.5,
        rng,
    )


def test_known_pairs_without_a_way_to_halves_say_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peer_pairs, "by_moves", lambda *_: None)
    monkeypatch.setattr(peer_pairs, "_FEWEST_FOR_LINES", 99)
    assert run(known_plaintext.PEER_ATTACK, evidence("ele")).verdict is Verdict.INCONCLUSIVE


def test_what_single_pictures_tell_is_not_the_luck_of_one_key() -> None:
    one = evidence("le").material
    blank = replace(one, plain=np.full_like(one.plain, 0x2D))
    assert len(np.unique(blank.own(blank.plain), axis=0)) == 1
    assert len(np.unique(blank.each_alone().private, axis=0)) == len(blank)


def test_every_scene_that_is_learned_from_has_a_key_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    keys, own = [], Protected.own

    def noted(protected: Protected, images: Images, number: int = 0) -> Images:
        keys.append(number)
        return own(protected, images, number)

    monkeypatch.setattr(Protected, "own", noted)
    single_frame.from_tiles(evidence("le").material)
    assert len(keys) == len(set(keys)) == 160


def test_no_control_gives_an_attack_more_than_the_peer_does() -> None:
    under = evidence("le")
    fewer = replace(under.material, known=under.material.known[:9], known_labels=under.material.known_labels[:9])
    for material in (under.material.first(60), fewer):
        with pytest.raises(InputError, match="differ"):
            replace(under, material=material)


def test_three_hits_of_fifty_that_chance_explains_do_not_break_a_peer(monkeypatch: pytest.MonkeyPatch) -> None:
    found = {reidentification.THUMBNAIL: np.where(np.arange(50) < 3, np.arange(50), -1)}
    images = pictures(60)
    scenes = Scenes(images[:50], np.zeros(50, np.int64), images[50:], np.zeros(10, np.int64))
    peers = {name: protect(name, one, scenes, 3) for name, one in {"etc": PEERS["etc"], **_CONTROLS}.items()}
    under = PeerEvidence("peer:etc", peers["etc"], peers[CONTROL], peers[INSIDE], peers[ALIKE])
    of_control = dict.fromkeys(reidentification.FEATURES, np.arange(50))
    monkeypatch.setattr(reidentification, "found", lambda one: found if one.key == "etc" else of_control)
    judged = run(reidentification.PEER_ATTACK, under)
    assert reidentification.BROKEN < judged.interval.low < judged.chance
    assert (judged.verdict, judged.smallest_breaking) == (Verdict.PASS, None)


def test_a_lens_has_no_key_and_is_attacked_by_one_picture() -> None:
    lens = evidence("defocus-1")
    assert run(single_frame.PEER_ATTACK, lens).verdict is Verdict.FAIL
    for attack, why in ((known_plaintext.PEER_ATTACK, "no key"), (correlation.PEER_ATTACK, "nothing moves")):
        with pytest.raises(InputError, match=why):
            attack.run(lens, np.random.default_rng(0))


def test_no_seed_is_audited_under_a_key_of_the_attackers() -> None:
    drawn: list[int] = []

    def protect_(seed: int, _height: int, _width: int) -> Protection:
        drawn.append(seed)
        return Protection(lambda images: images, None)

    peer, images = Peer("numbers of keys", protect_), pictures(2)
    scenes = Scenes(images, np.zeros(2, np.int64), images[:0], np.zeros(0, np.int64))
    seeds = (*range(40), *range(999_990, 1_000_040), 2**32, 2**64 + 1, 2**128)
    for seed in seeds:
        under = protect("numbers", peer, scenes, seed)
    for number in seeds:
        under.own(images, number)
    assert len(set(drawn)) == 2 * len(seeds)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Test images of CIFAR-10's binary layout."""
    records = [bytes([i % 10]) + image.transpose(2, 0, 1).tobytes() for i, image in enumerate(pictures(260))]
    folder = tmp_path / "scenes"
    folder.mkdir()
    (folder / f"{cifar10.TEST_FILES[0]}.bin").write_bytes(b"".join(records))
    return folder


@pytest.mark.parametrize(("key", "numbers"), [("privconv-224", (20, 30)), ("le", (50, 60))])
def test_controls_have_the_numbers_of_peers_that_scale_pictures_up(
    data: Path, key: str, numbers: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(peer_subjects, "LARGE", (20, 30))
    under = PeerSubject(key, Source.of(data, 50, 60), 1).evidence()
    for one in (under.material, under.control, under.inside, under.alike):
        assert (len(one), len(one.private), len(one.labels), len(one.known), len(one.known_labels)) == (
            *(numbers[0],) * 3,
            *(numbers[1],) * 2,
        )


def audit(data: Path, *more: str) -> Result:
    arguments = ["--scenes", str(data), "-o", str(data.parent / "out"), "--attack", "known_plaintext", *more]
    return CliRunner().invoke(privacy_audit.main, arguments, prog_name="privacy_audit.py")


def test_the_command_fills_the_column_of_table_2(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(privacy_audit, "FULL", (60, 200))
    result = audit(data, "--policy", "peer:etc", "--policy", "peer:defocus-1", "--policy", "peer:etc")
    assert result.exit_code == 0, result.output
    found = json.loads((data.parent / "out" / "findings.json").read_text())
    assert [(one["policy"], one["verdict"]) for one in found["findings"]] == [("peer:etc", "fail")]
    assert [(one["policy"], one["attack"]) for one in found["not_run"]] == [("peer:defocus-1", "known_plaintext")]
    told = verdict_of("etc", found["findings"])
    assert told is not None
    assert told["verdict"] == "fail"
    assert verdict_of("defocus-1", found["findings"]) is None
    assert set(found["policies"]) == {"peer:etc", "peer:defocus-1"}
    other = audit(data, "--policy", "peer:etc", "--seed", "2")
    assert other.exit_code == 4
    assert "was made with" in other.output


def test_peers_by_name(data: Path) -> None:
    assert peer_keys("peer:all") == list(PEERS)
    assert peer_keys("peer:le") == ["le"]
    refused = audit(data, "--policy", "peer:sideways")
    assert (refused.exit_code, refused.output.count("\n")) == (3, 1)
    assert "there is no peer 'sideways'" in refused.output


def test_attacks_are_found_by_the_names_of_their_modules() -> None:
    names = {path.stem for path in Path(peer_attacks.__path__[0]).glob("*.py")} - {"__init__"}
    assert set(all_peer_attacks()) == names
    titles = {name: attack.title for name, attack in all_attacks().items()}
    assert all(titles[name] == attack.title for name, attack in all_peer_attacks().items() if name in titles)
    assert correlation.UNITS.keys() <= PEERS.keys()
