"""Charts number the photosites of every sensor, and give away a key that other frames have too."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from test_audit_statistics import STACKED, scenes

from audit.attack import Evidence, control_policy
from audit.attacks import chosen_plaintext
from audit.attacks.chosen_plaintext import attacked, charts, show
from audit.finding import Finding, Stand, Verdict
from audit.material import make_material
from audit.positions import Sensor
from audit.views import known
from keyvault.errors import InputError
from keyvault.policy import Cfa, Policy, Unit

FIXED = control_policy(STACKED)
MOSAIC = control_policy(Policy(32, 32, Cfa.GRBG))


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chosen_plaintext, "READ", 30)


@pytest.mark.parametrize(
    ("policy", "count"),
    [
        (FIXED, 1),
        (MOSAIC, 2),
        (replace(MOSAIC, bits=8, cfa=Cfa.RGGB), 2),
        (replace(MOSAIC, scope="row"), 1),
        (replace(MOSAIC, scope="band:10"), 2),
        (replace(FIXED, scope="band:5"), 1),
        (replace(FIXED, unit=Unit.QUAD), 1),
        (replace(MOSAIC, unit=Unit.QUAD, scope="band:12"), 2),
    ],
)
def test_charts_give_every_position_of_every_sensor(policy: Policy, count: int) -> None:
    shown, chosen = show(policy, scenes(3))
    assert (chosen, len(shown)) == (count, count + 3)
    shares = attacked(shown, chosen, Stand.FILE)
    assert shares.shape == (count, 3)
    assert (shares[-1] == 1).all()
    assert (shares[:-1] < 1).all()


def test_a_green_may_stand_in_its_quads_other_green_place() -> None:
    images = np.random.default_rng(0).integers(0, 256, (6, 16, 16, 3), np.uint8)  # both greens of a quad are equal
    assert (attacked(make_material(images, MOSAIC), 4, Stand.FILE)[-1] == 1).all()


@pytest.mark.parametrize("levels", [2, 5, 256])
@pytest.mark.parametrize("policy", [Policy(320, 240, Cfa.BGGR), Policy(300, 200, Cfa.NONE, 3), Policy(16, 16)])
def test_charts_are_the_fewest_that_give_each_photosite_a_number(
    policy: Policy, levels: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chosen_plaintext, "LEVELS", levels)
    policy = replace(policy, bits=8)
    shown = charts(policy)
    values = known(shown, policy).astype(np.int64)
    codes = np.zeros(policy.photosites, np.int64)
    for chart in values:
        for channel in chart.T:
            codes = codes * levels + channel
    assert len(np.unique(codes)) == policy.photosites
    assert values.max() < levels
    assert levels ** (policy.samples_per_photosite * (len(shown) - 1)) < policy.photosites


def test_scenes_are_what_they_are_on_the_sensor_without_charts() -> None:
    images = scenes(3)
    shown, chosen = show(MOSAIC, images)
    assert np.array_equal(shown.plain[chosen:].reshape(3, -1, 1), known(images, MOSAIC))


def finding(policy: Policy, stand: Stand, images: np.ndarray) -> Finding:
    material = make_material(scenes(1), policy)
    evidence = Evidence("small", material, material, images, np.full(len(images), -1))
    found = chosen_plaintext.run(evidence, stand, np.random.default_rng(0))
    assert Finding.from_json(found.to_json()).to_json() == found.to_json()
    return found


def test_a_fixed_key_fails_by_as_many_charts_as_numbers_have_digits() -> None:
    stacked, mosaic = (finding(policy, Stand.FILE, scenes(30)) for policy in (FIXED, MOSAIC))
    assert (stacked.verdict, stacked.score, stacked.smallest_breaking, stacked.frames) == (Verdict.FAIL, 1, 1, 31)
    assert (mosaic.verdict, mosaic.score, mosaic.smallest_breaking, mosaic.frames) == (Verdict.FAIL, 1, 2, 32)
    assert mosaic.chance == Sensor(MOSAIC).chance() > Sensor(MOSAIC).chance_to_stay()
    assert "green" in mosaic.note
    assert "green" not in stacked.note
    _, scene, seen, found = mosaic.pictures.values()
    assert np.array_equal(found, scene)
    assert not np.array_equal(seen, scene)


@pytest.mark.parametrize(
    ("policy", "stand"),
    [(STACKED, Stand.FILE), (STACKED, Stand.MEMORY), (replace(STACKED, unit=Unit.QUAD), Stand.MEMORY)],
)
def test_frames_with_keys_of_their_own_stay_at_chance(policy: Policy, stand: Stand) -> None:
    found = finding(policy, stand, scenes(30))
    assert found.verdict in (Verdict.PASS, Verdict.WARN)  # keys are new in every run: one in a thousand warns
    assert found.smallest_breaking is None
    assert found.score < 3 * found.chance


def test_a_control_that_holds_makes_it_inconclusive(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chosen_plaintext, "control_policy", lambda policy: STACKED)
    assert finding(FIXED, Stand.FILE, scenes(30)).verdict is Verdict.INCONCLUSIVE


def test_nothing_to_read() -> None:
    with pytest.raises(InputError, match="there are none"):
        finding(FIXED, Stand.FILE, scenes(1)[:0])
