"""What a model loses elsewhere, and how it moves the verdict of `shortcut`."""

import math
from dataclasses import replace

import numpy as np
import pytest

from nearfar.diagnose.elsewhere import ADVICE, FEWEST, LOSS, with_elsewhere
from nearfar.diagnose.evidence import Contrast, Evidence, Subject
from nearfar.diagnose.finding import Finding, Fix
from nearfar.evaluate.statistics import compare

NONE = np.zeros((0, 4), np.float32)
SOME = Subject("some", NONE, NONE, NONE, np.zeros(0), lambda texts, role: NONE)
FOUND = {
    "unknown": Finding("shortcut", "unknown", "cannot tell", {}),
    "ok": Finding("shortcut", "ok", "fine", {"decided_by_surface": 0.1}),
    "watch": Finding("shortcut", "watch", "so so", {}, examples=({"query": "q"},) * 10, fix=Fix({"a": 1}, "mask")),
    "fail": Finding("shortcut", "fail", "bad", {}, examples=({"query": "q"},) * 10, fix=Fix({"a": 1}, "mask")),
}


def contrast(name, difference, queries=400, scatter=0.05, seed=0):
    """Scores that differ by exactly `difference` in the mean."""
    noise = np.random.default_rng(seed).normal(scale=scatter, size=queries)
    reference = np.full(queries, 0.5)
    model = reference + difference + noise - noise.mean()
    return Contrast(name, [f"{name} {row}" for row in range(queries)], model, reference)


def evidence(*sets, home=0.05, base=SOME):
    at_home = None if home is None else contrast("home", home)
    return Evidence(elsewhere=sets, at_home=at_home, model=SOME, base=base)


@pytest.mark.parametrize(
    ("loss", "home", "verdict"),
    [
        (0.02, 0.05, "ok"),
        (-0.009, 0.05, "ok"),
        (-0.011, 0.05, "watch"),
        (-0.029, 0.05, "watch"),
        (-0.031, 0.05, "fail"),
        (-0.2, 0.001, "fail"),
        (-0.2, 0.0, "watch"),
        (-0.2, -0.05, "watch"),
        (-0.2, None, "watch"),
    ],
)
def test_a_loss_is_watched_and_fails_beside_a_gain_at_home(loss, home, verdict):
    found = with_elsewhere(FOUND["ok"], evidence(contrast("far", loss), home=home))
    assert found.verdict == verdict
    assert found.figures["elsewhere_gain"] == pytest.approx(loss)
    assert found.figures.get("gain", math.nan) == pytest.approx(math.nan if home is None else home, nan_ok=True)
    assert (len(found.examples), bool(found.fix.advice)) == ((0, False) if verdict == "ok" else (10, True))
    assert found.thresholds == (LOSS,)
    assert "a priori" in LOSS.source


def test_a_loss_whose_interval_holds_0_is_none():
    far = contrast("far", -0.04, queries=40, scatter=0.3)
    found = with_elsewhere(FOUND["ok"], evidence(far))
    assert found.figures["elsewhere_gain_high"] == compare(far.model, far.reference, seed=0).high
    assert found.figures["elsewhere_gain_high"] > 0
    assert found.verdict == "ok"


@pytest.mark.parametrize("before", FOUND)
@pytest.mark.parametrize(("loss", "after"), [(0.0, "ok"), (-0.02, "watch"), (-0.1, "fail")])
def test_it_makes_a_verdict_worse_and_never_better(before, loss, after):
    found = with_elsewhere(FOUND[before], evidence(contrast("far", loss)))
    order = ["ok", "unknown", "watch", "fail"]
    assert found.verdict == max(before, after, key=order.index)
    assert found.summary.startswith(FOUND[before].summary)
    assert dict(found.figures).items() >= dict(FOUND[before].figures).items()
    assert found.fix.patch == FOUND[before].fix.patch
    assert found.fix.advice.startswith(FOUND[before].fix.advice)
    assert (ADVICE in found.fix.advice) == (after != "ok")


def test_the_worst_set_is_named_and_surely_lost_goes_before_much_lost():
    sets = contrast("unsure", -0.05, queries=40, scatter=0.5), contrast("sure", -0.02), contrast("gained", 0.1)
    found = with_elsewhere(FOUND["ok"], evidence(*sets))
    assert found.verdict == "watch"
    assert "sure, the worst of 3 sets, nDCG@10 -0.020" in found.summary
    assert found.examples[0]["query elsewhere"].startswith("sure ")
    assert found.examples[0]["ndcg"] - found.examples[0]["ndcg_base"] == min(sets[1].model - sets[1].reference)


def test_word_search_in_the_place_of_a_base_is_shown_and_not_judged():
    found = with_elsewhere(FOUND["ok"], evidence(contrast("far", -0.3), base=None))
    assert found.verdict == "ok"
    assert found.figures["elsewhere_gain"] == pytest.approx(-0.3)
    assert "against word search, which is not judged" in found.summary
    assert found.thresholds == ()


def test_a_small_set_says_what_it_needs():
    found = with_elsewhere(FOUND["ok"], evidence(contrast("small", -0.5, queries=FEWEST - 1)))
    assert found.verdict == "ok"
    assert "of small it cannot tell: needs at least 30 judged queries, found 29" in found.summary
    assert "elsewhere_gain" not in found.figures
    both = with_elsewhere(FOUND["ok"], evidence(contrast("small", -0.5, queries=9), contrast("far", -0.1)))
    assert both.verdict == "fail"
    assert "of small" in both.summary


def test_the_shortcut_finding_has_it_even_where_surface_cannot_tell():
    from nearfar.diagnose.shortcut import diagnose

    assert diagnose(replace(evidence(), elsewhere=())).verdict == "unknown"
    found = diagnose(evidence(contrast("far", -0.1)))
    assert (found.failure, found.verdict) == ("shortcut", "fail")
    assert found.summary.startswith("cannot tell: needs at least 30 judged queries, found 0; on far nDCG@10 -0.100")
