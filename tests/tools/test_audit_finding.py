"""Verdicts, intervals, and findings as JSON."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import binom

from audit.appearance import Appearance
from audit.attack import Attack, DoesNotApplyError, refusals
from audit.finding import Finding, Interval, Scale, Stand, Verdict, judge, worst_first
from audit.intervals import few_shares_interval, mean_interval, share_interval, with_spread
from audit.png import png_text
from audit.policy_jobs import PolicyAudit
from audit.report import NotRun
from audit.scenes import Source
from audit.store import Store
from audit.subjects import subject
from keyvault.errors import InputError, OutputError, PolicyError, PrivcamError
from measure import environment

SCALE = Scale("share", 0.1, 0.5)


#: Of findings with each verdict: interval, and whether the control broke.
FIGURES = {
    Verdict.FAIL: (Interval(0.6, 0.9, 0.55), True),
    Verdict.WARN: (Interval(0.2, 0.9, 0.15), True),
    Verdict.INCONCLUSIVE: (Interval(0.2, 0.9, 0.15), False),
    Verdict.PASS: (Interval(0.05, 0.3, 0.02), True),
}


PICTURE = np.arange(12, dtype=np.uint8).reshape(2, 2, 3)


def finding(verdict: Verdict) -> Finding:
    pictures = {"grey": PICTURE[..., 0], "colour": PICTURE}
    figures = FIGURES[verdict]
    return Finding("x", Stand.FILE, "p", 0.3, "share", 0.1, 0.5, *figures, verdict, 5, pictures=pictures)


@pytest.mark.parametrize(
    ("sure", "low", "high", "broke", "verdict"),
    [
        (0.55, 0.6, 1, True, "fail"),
        (0.4, 0.6, 1, True, "fail"),
        (0.15, 0.2, 1, True, "warn"),
        (0.15, 0.2, 0.3, True, "warn"),
        (0.1, 0.11, 0.3, True, "pass"),
        (0.0, 0.1, 0.4, True, "pass"),
        (0.0, 0.02, 0.05, True, "pass"),
        (0.05, 0.1, 0.5, True, "inconclusive"),
        (0.0, 0.6, 1, True, "inconclusive"),
        (0.55, 0.6, 1, False, "inconclusive"),
        (0.0, 0.0, 0.4, False, "inconclusive"),
    ],
)
def test_one_rule_for_verdicts(sure: float, low: float, high: float, broke: bool, verdict: str) -> None:
    assert judge(SCALE, Interval(low, high, sure), broke) == verdict


@pytest.mark.parametrize(
    ("chance", "trials", "tries"),
    [(0.1, 400, 1), (1e-3, 1000, 1), (0.3, 50, 1), (1 / 10400, 400, 1), (1 / 1400, 400, 1), (1 / 11000, 1000, 5)],
)
@pytest.mark.parametrize("fail", [0.5, 1e-4])
def test_of_a_thousand_attacks_that_find_nothing_one_leaks_at_most(
    chance: float, trials: int, tries: int, fail: float
) -> None:
    leaks = 0.0
    for hits in range(trials + 1):
        found = judge(Scale("share", chance, fail), share_interval(hits, trials, tries), control_broke=True)
        leaks += binom.pmf(hits, trials, chance) * (found in (Verdict.FAIL, Verdict.WARN))
    assert 0 < leaks <= 1e-3


def test_the_luck_that_all_values_share_leaks_as_rarely() -> None:
    rng = np.random.default_rng(0)
    leaks = blindly = 0
    for lucks in rng.normal(0, 0.02, (4000, 16, 31)).max(axis=1):  # the best of 16 views, of 30 examples and the score
        own, by_luck = lucks[0] + rng.normal(0, 0.006), lucks[1:]
        interval = Interval(own - 1.96 * 0.006, own + 1.96 * 0.006, own - 3.09 * 0.006)
        scale = Scale("correlation", float(by_luck.mean()), 0.5)
        leaks += judge(scale, with_spread(interval, own, by_luck), control_broke=True) is Verdict.WARN
        blindly += judge(scale, interval, control_broke=True) is Verdict.WARN
    assert leaks < 6
    assert blindly > 200


def test_few_sets_that_find_nothing_leak_as_rarely() -> None:
    sets = np.random.default_rng(0).normal(0.3, 0.02, (5000, 3))
    verdicts = [judge(Scale("share", 0.3, 0.5), few_shares_interval(shares), control_broke=True) for shares in sets]
    assert 0 < verdicts.count(Verdict.WARN) < 15


@pytest.mark.parametrize(
    ("hits", "trials", "chance", "fail", "verdict"),
    [
        (1, 12, 0.0, 0.25, "warn"),
        (3, 400, 1e-4, 0.01, "warn"),
        (20, 400, 1e-4, 0.01, "fail"),
        (0, 400, 1e-4, 0.01, "pass"),
    ],
)
def test_few_hits_count_where_none_are_to_be_expected(
    hits: int, trials: int, chance: float, fail: float, verdict: str
) -> None:
    assert judge(Scale("share", chance, fail), share_interval(hits, trials), control_broke=True) == verdict


def test_a_verdict_follows_from_what_is_written_of_a_finding() -> None:
    interval = share_interval(65, 100)
    said = Finding.judged(
        SCALE, interval, attack="x", stand=Stand.FILE, policy="p", score=0.65, control_broke=True, frames=5
    ).to_json()
    scale = Scale(said["unit"], said["chance"], said["level"])
    assert judge(scale, Interval(*said["interval"], said["sure"]), said["control_broke"]) == said["verdict"] == "fail"


@pytest.mark.parametrize(("sure", "verdict"), [(0.02, "pass"), (0.3, "pass"), (0.31, "fail")])
def test_nothing_fails_below_chance(sure: float, verdict: str) -> None:
    scale = Scale("share", chance=0.3, fail=0.01)
    assert judge(scale, Interval(0.4, 1, sure), control_broke=True) == verdict


def test_pictures_survive_json() -> None:
    again = Finding.from_json(json.loads(json.dumps(finding(Verdict.PASS).to_json()))).pictures
    assert np.array_equal(again["grey"], PICTURE[..., 0])
    assert np.array_equal(again["colour"], PICTURE)


def test_findings_survive_json_and_come_worst_first() -> None:
    for verdict in Verdict:
        one = finding(verdict)
        assert Finding.from_json(one.to_json()).to_json() == one.to_json()
        other = next(v for v in Verdict if v is not verdict)
        with pytest.raises(InputError, match="does not follow from its figures"):
            Finding.from_json(replace(one, verdict=other).to_json())
    assert [f.verdict for f in worst_first([finding(v) for v in reversed(Verdict)])] == list(Verdict)


@pytest.mark.parametrize(
    ("member", "value"),
    [
        *(("score", value) for value in ("high", True, None, float("nan"))),
        *(("level", float("inf")), ("control_broke", 1)),
        *(("interval", value) for value in ([0, "x"], [1, 0], [0], 3)),
        *(("sure", value) for value in ("x", 0.7, float("nan"))),
        *(("pictures", value) for value in ("x", {"a": 3})),
        *(("pictures", {"a": text}) for text in ("AAAA", "UEsDBA==", png_text(PICTURE)[:40])),
        ("score", 10**400),
        *(("frames", 2.5), ("smallest_breaking", "1"), ("verdict", "good"), ("stand", 1), ("note", 1), ("more", 1)),
    ],
)
def test_what_is_no_finding_is_refused(member: str, value: Any) -> None:
    with pytest.raises(InputError, match="not a finding"):
        Finding.from_json(finding(Verdict.FAIL).to_json() | {member: value})
    with pytest.raises(InputError, match="not a finding"):
        Finding.from_json({name: one for name, one in finding(Verdict.FAIL).to_json().items() if name != "score"})


LOOKS = Appearance("p", 20, 0.02, 0.987, 0.31, 7.5, 8)


@pytest.mark.parametrize(
    "value",
    [
        *(3, None),
        *(LOOKS.to_json() | more for more in ({"ssim": "x"}, {"bits": 2.5}, {"npcr": float("inf")}, {"a": 1})),
        LOOKS.to_json() | {"uaci": 10**400},
    ],
)
def test_what_is_no_appearance_is_refused(value: Any) -> None:
    assert Appearance.from_json(LOOKS.to_json()) == LOOKS
    with pytest.raises(InputError, match="not the appearance"):
        Appearance.from_json(value)


def fails(error: Exception) -> Any:
    raise error


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store.open(tmp_path, "p", {"seed": 1})


def in_a_file(result: dict[str, Any]) -> str:
    return json.dumps({"environment": environment(), "result": result})


def kept(store: Store, made: Finding | Exception) -> Finding | NotRun:
    return store.kept("x", Stand.FILE, lambda: made if isinstance(made, Finding) else fails(made))


def test_results_are_kept_and_so_is_that_an_attack_does_not_apply(store: Store) -> None:
    one = finding(Verdict.FAIL)
    assert kept(store, one) is one
    again = kept(store, AssertionError("made again"))
    assert isinstance(again, Finding)
    assert again.to_json() == one.to_json()
    (made, read) = store.made_on
    assert made["date"] == read["date"]
    left = store.kept("y", Stand.FILE, lambda: fails(DoesNotApplyError("too few", hint="more")))
    assert left == NotRun("y", Stand.FILE, "p", "too few; more")
    assert store.kept("y", Stand.FILE, lambda: fails(AssertionError("made again"))) == left


@pytest.mark.parametrize("error", [InputError("damaged data"), PolicyError("no"), PrivcamError("any")])
def test_what_went_wrong_is_not_kept(store: Store, error: PrivcamError) -> None:
    with pytest.raises(type(error)):
        kept(store, error)
    assert isinstance(kept(store, finding(Verdict.PASS)), Finding)


def test_only_what_an_attack_refuses_of_its_evidence_does_not_apply() -> None:
    for error in (InputError("too few", hint="more"), PolicyError("no mosaic", hint="more")):
        with pytest.raises(DoesNotApplyError, match=str(error)) as raised, refusals():
            raise error
        assert raised.value.hint == "more"
    with pytest.raises(OutputError), refusals():
        raise OutputError("no space")
    attack = Attack("x", "X", (Stand.FILE,), 0, lambda *given: finding(Verdict.PASS))
    damaged = InputError("damaged data")
    audited = PolicyAudit(subject("default"), Source(Path(), 1, 1, ""), 1, lambda: fails(damaged))
    with pytest.raises(InputError) as raised_by_evidence:
        audited.attack(attack, Stand.FILE)
    assert raised_by_evidence.value is damaged


@pytest.mark.parametrize(
    "content",
    [
        *("", "3", "[]", '{"reason": 3}', '{"attack": "x"}', '{"score": "high"}'),
        in_a_file({"attack": "x", "stand": "file", "policy": "p", "reason": 3}),
        in_a_file({"attack": "x", "stand": "file", "policy": "other", "reason": "too few"}),
        in_a_file(finding(Verdict.PASS).to_json() | {"score": "high"}),
        json.dumps(finding(Verdict.PASS).to_json()),
        in_a_file(replace(finding(Verdict.PASS), attack="y").to_json()),
        "[" * 100_000,
        in_a_file(replace(finding(Verdict.PASS), frames=10**400).to_json() | {"score": 10**400}),
    ],
)
def test_damaged_results_are_refused_with_the_file_to_delete(store: Store, tmp_path: Path, content: str) -> None:
    for name, read in (
        ("x-file.json", lambda: kept(store, finding(Verdict.PASS))),
        ("appearance.json", lambda: store.kept_appearance(lambda: LOOKS)),
        ("options.json", lambda: Store.open(tmp_path, "p", {"seed": 1})),
    ):
        path = store.folder / name
        path.write_text(content)
        with pytest.raises((InputError, OutputError)) as raised:
            read()
        if isinstance(raised.value, InputError):
            assert str(raised.value).startswith(f"{path} is damaged")
            assert raised.value.hint == f"delete {path} and audit again"
        else:
            assert name == "options.json"
            assert "was made with seed None" in str(raised.value)


def test_intervals() -> None:
    found = share_interval(7, 10)
    assert (round(found.low, 3), round(found.high, 3)) == (0.397, 0.892)
    assert mean_interval(np.ones(3), np.random.default_rng(0)) == Interval(1, 1, 1)
    with pytest.raises(InputError):
        share_interval(0, 0)


def test_the_interval_of_few_shares_holds_their_mean_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    samples = rng.normal(0.5, 0.1, (2000, 4))
    held = [one.low <= 0.5 <= one.high for one in map(few_shares_interval, samples)]
    assert 0.935 < np.mean(held) < 0.965
    resampled = [one.low <= 0.5 <= one.high for one in (mean_interval(values, rng) for values in samples[:100])]
    assert np.mean(resampled) < 0.9
    assert few_shares_interval(np.array([1.0, 0.9])).high == 1
    assert few_shares_interval(np.array([0.0, 0.1])).low == few_shares_interval(np.array([0.0, 0.1])).sure == 0
    with pytest.raises(InputError):
        few_shares_interval(np.ones(1))
