"""The audit's page: all of it is in it, nothing that findings say is taken for markup, and its parts are right."""

from __future__ import annotations

import base64
import re
from dataclasses import replace
from html import escape
from html.parser import HTMLParser

import cv2
import numpy as np
import pytest

from audit.appearance import Appearance, entropy, npcr, uaci
from audit.bars import WIDTH, bar, number
from audit.finding import Finding, Interval, Stand, Verdict
from audit.report import NotRun, Report, anchor, picture_uri, render, standings, summary
from keyvault.errors import InputError
from measure import environment

PICTURE = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
NASTY = "<script>alert('x')</script>"
MADE = Finding(
    *("one", Stand.FILE, "fixed", 0.5, "share", 0.1, 0.35, Interval(0.4, 0.6, 0.35), True, Verdict.FAIL, 9, 3),
    *(NASTY, {NASTY: PICTURE}),
)


@pytest.fixture
def report() -> Report:
    held = replace(MADE, policy="default", verdict=Verdict.PASS, smallest_breaking=None, pictures={})
    return Report(
        audited=["policies"],
        policies={"fixed": "one key", "default": "many keys", NASTY: "odd"},
        titles={"one": "The first", "two": "The second"},
        findings=[held, MADE],
        not_run=[NotRun("two", Stand.MEMORY, "fixed", "it wants 300 frames")],
        appearances=[Appearance("fixed", 20, 0.02, 0.987, 0.31, 7.5, 8)],
        environment=environment(),
        made_on=[environment(), environment() | {"date": "2020-02-20T00:00:00+00:00", "processor": NASTY}],
        command="python tools/privacy_audit.py",
        code="ab",
        seed=1,
    )


class Page(HTMLParser):
    """What a page loads, and what it links to in itself."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.loaded: list[str] = []
        self.links: list[str] = []
        self.names: set[str] = set()
        self.tags: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.tags.add(tag)
        self.names.add(found.get("id") or "")
        self.loaded += [found["src"] or ""] if "src" in found else []
        self.links += [found["href"] or ""] if "href" in found else []


def test_the_page_needs_nothing_and_runs_nothing(report: Report) -> None:
    text = render(report)
    page = Page(text)
    assert page.loaded
    assert all(one.startswith("data:image/png;base64,") for one in page.loaded)
    assert page.links
    assert all(link.startswith("#") and link[1:] in page.names for link in page.links)
    assert "script" not in page.tags
    assert not re.search(r"url\(|@import|https?:", text)


def test_the_page_says_it_all_worst_first(report: Report) -> None:
    text = render(report)
    assert text.index('id="one-file-fixed"') < text.index('id="one-file-default"')
    for said in ("0.4 to 0.6", "it wants 300 frames", "What proves nothing", "98.7 %", "none did", "✗ fail", "✓ pass"):
        assert said in text
    assert "<dt>a fail above</dt><dd>0.35</dd>" in text
    assert text.count("<dd>broken</dd>") == 2


def test_a_fail_whose_frames_were_not_counted_is_not_said_to_be_none(report: Report) -> None:
    text = render(replace(report, findings=[replace(MADE, smallest_breaking=None, control_broke=False)]))
    assert "<dd>not counted</dd>" in text
    assert "<dd>not broken</dd>" in text
    assert "none did" not in text


def test_what_is_the_same_of_every_policy_is_told_once(report: Report) -> None:
    alike = [replace(MADE, policy=policy) for policy in report.policies]
    page = render(replace(report, findings=[*alike, replace(MADE, attack="two")]))
    assert page.count('class="finding"') == 2
    for one in alike:
        assert page.count(f'id="{escape(anchor(one)).replace("&#x27;", "&#39;")}"') == 1


def test_what_was_not_run_is_neither_a_pass_nor_missing(report: Report) -> None:
    rows = summary(report)
    assert [(row.attack, row.stand) for row in rows] == [("one", Stand.FILE), ("two", Stand.MEMORY)]
    assert isinstance(rows[1].cells[0][1], NotRun)
    assert rows[1].cells[1][1] is None
    at_memory = standings(report, "fixed")[1]
    assert (at_memory.stand, at_memory.verdict) == (Stand.MEMORY, None)
    assert report.to_json()["not_run"][0]["reason"] == "it wants 300 frames"


def test_pictures_keep_their_colours() -> None:
    data = base64.b64decode(picture_uri(PICTURE).partition(",")[2])
    stored = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    assert np.array_equal(stored[:, :, ::-1], PICTURE)
    with pytest.raises(InputError):
        picture_uri(np.zeros((4, 4, 2), np.uint8))


@pytest.mark.parametrize(
    ("score", "low", "high", "chance"), [(0.5, 0.4, 0.6, 0.1), (30, 20, 60, 1), (-0.2, -0.4, 0, 0)]
)
def test_bars_keep_order_and_stay_on_the_drawing(score: float, low: float, high: float, chance: float) -> None:
    drawn = bar(replace(MADE, score=score, interval=Interval(low, high, low), chance=chance))
    assert 0 <= drawn.low <= drawn.score <= drawn.high <= WIDTH
    assert (drawn.chance <= drawn.low) == (chance <= low)
    assert drawn.begin <= 0 < drawn.end


@pytest.mark.parametrize(
    ("value", "said"), [(0, "0"), (0.5, "0.5"), (0.12345, "0.123"), (12, "12"), (1000, "1,000"), (1e-5, "1.0e-05")]
)
def test_numbers_for_readers(value: float, said: str) -> None:
    assert number(value) == said


def test_figures_that_prove_nothing() -> None:
    black, white = np.zeros((4, 4), np.uint16), np.full((4, 4), 255, np.uint16)
    assert (npcr(black, white), uaci(black, white, 8), entropy(black)) == (1, 1, 0)
    assert npcr(black, black) == 0
    assert entropy(np.arange(256, dtype=np.uint16)) == 8
