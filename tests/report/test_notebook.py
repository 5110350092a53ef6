"""What a notebook shows of results: what they say, as text whatever it holds, and readable on light and dark pages."""

import re
from html.parser import HTMLParser
from importlib import resources
from pathlib import Path

import numpy as np
import pytest

from chromium import dom_of
from nearfar.diagnose.evidence import Evidence
from nearfar.diagnose.finding import Finding, Fix, unknown
from nearfar.evaluate.run import Run as Ranking
from nearfar.evaluate.statistics import interval
from nearfar.pipeline.doctor import Diagnosis
from nearfar.pipeline.evaluate import Evaluation
from nearfar.pipeline.run import Run
from nearfar.search.hits import Hit, Hits

HOSTILE = "</pre></style><script>document.title='owned'</script><img src=x onerror=\"alert('owned')\">{{ 7 * 7 }}"
TAGS = set("div style p table thead tbody tr th td span details summary pre ol li b".split())  # noqa: SIM905


class Seen(HTMLParser):
    """Tags, attributes and text of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags, self.attributes, self.text = [], set(), ""
        self.feed(page)

    def handle_starttag(self, tag, attrs) -> None:
        self.tags.append(tag)
        self.attributes |= {name for name, _ in attrs}

    def handle_data(self, data) -> None:
        self.text += data


def run(text: str) -> Run:
    record = {"verdict": text, "metrics": {"base": {"ndcg@10": 0.5}, text: {"ndcg@10": 0.625, "mrr@10": 0.5}},
              "data": {"documents": 1200, "queries": {text: 12}}, "train_seconds": 61.4}  # fmt: skip
    return Run(Path(text), record)


def diagnosis(text: str) -> Diagnosis:
    fix = Fix({"train": {text: 3}}, text)
    found = Finding("false_negatives", "fail", text, {"met": 0.5}, (), ({"query": text, "score": 0.5},), fix)
    return Diagnosis(text, (found, unknown("overfit", text)), Evidence([]))


def hits(text: str) -> Hits:
    return Hits([Hit(text, 0.75, text, {text: text}), Hit("d2", 0.5, "another")])


def evaluation(text: str) -> Evaluation:
    values = {text: np.array([0.0, 0.5, 1.0, 1.0]), "mrr@10": np.ones(4)}
    ranking = Ranking(np.zeros((4, 1), np.int32), np.zeros((4, 1), np.float32))
    return Evaluation({name: float(of.mean()) for name, of in values.items()}, values, ranking, np.arange(4))


EVERY = {"run": run, "diagnosis": diagnosis, "hits": hits, "evaluation": evaluation}


@pytest.mark.parametrize("make", EVERY.values(), ids=EVERY)
def test_texts_stay_texts(make):
    plain, hostile = Seen(make("plain")._repr_html_()), Seen(make(HOSTILE)._repr_html_())
    assert hostile.tags == plain.tags
    assert set(hostile.tags) <= TAGS
    assert hostile.attributes <= {"class", "scope"}
    assert "</script><img src=x onerror=" in hostile.text
    assert "49" not in hostile.text.replace(".49", "")


def test_they_show_what_they_hold():
    shown = Seen(run("better")._repr_html_()).text
    assert all(part in shown for part in ("better", "base", "0.500", "0.625", "1,200 documents", "61 s"))
    shown = Seen(diagnosis("many")._repr_html_()).text
    assert all(part in shown for part in ("false negatives", "fail", "cannot tell", "train:\n  many: 3"))
    shown = Seen(hits("one")._repr_html_()).text
    assert shown.index("0.75") < shown.index("one=one") < shown.index("another")
    shown = Seen(evaluation("ndcg@10")._repr_html_()).text
    low, high = interval(np.array([0.0, 0.5, 1.0, 1.0]), seed=0, resamples=999)
    assert f"{low:.3f}–{high:.3f}" in shown
    assert "4 queries" in shown
    assert "nothing found" in Hits()._repr_html_()
    assert "title=" not in Hits([Hit("d", 1.0, "text", {"title": ""})])._repr_html_()


def test_hits_are_a_list():
    assert hits("a") == list(hits("a"))
    assert isinstance(hits("a"), list)


@pytest.mark.browser
def test_a_browser_runs_nothing_of_them(tmp_path):
    page = tmp_path / "page.html"
    shown = "".join(make(HOSTILE)._repr_html_() for make in EVERY.values())
    page.write_text(f"<!doctype html><meta charset=utf-8><title>mine</title>{shown}", encoding="utf-8")
    dom = dom_of(page, tmp_path / "profile")
    assert "<title>mine</title>" in dom
    assert "<img" not in dom


def luminance(colour: str) -> float:
    """Relative luminance (WCAG 2)."""
    digits = colour if len(colour) == 6 else "".join(2 * digit for digit in colour)
    parts = [int(digits[place : place + 2], 16) / 255 for place in (0, 2, 4)]
    linear = [part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return float(np.dot([0.2126, 0.7152, 0.0722], linear))


def test_badges_can_be_read_on_any_page():
    css = resources.files("nearfar.report").joinpath("notebook.css").read_text()
    pairs = re.findall(r"color: #(\w+); background: #(\w+);", css)
    assert len(pairs) == 4
    for pair in pairs:
        dark, light = sorted(map(luminance, pair))
        assert (light + 0.05) / (dark + 0.05) >= 4.5, pair
    assert not re.findall(r"(?<!background: )(?<!color: )#\w{3,6}", css)
    assert "prefers-color-scheme" not in css  # a notebook has a theme of its own
