"""How the failure zoo counts: severity, limits, repairs, against counting by hand."""

import sys
from pathlib import Path

import pytest

from nearfar.diagnose.finding import Finding, Threshold

ZOO = Path(__file__).parents[1] / "benchmarks" / "failure_zoo"


@pytest.fixture
def scoring(monkeypatch):
    for place in (ZOO.parent, ZOO):
        monkeypatch.syspath_prepend(str(place))
    import scoring

    yield scoring
    for name in ("scoring", "cases", "changes", "measure"):
        sys.modules.pop(name, None)


def finding(failure, figures, *rules):
    return Finding(failure, "ok", "", figures, tuple(Threshold(*rule, "test") for rule in rules))


def run(kind, severity, *, name="a", failing=True, **more):
    verdict = "fail" if severity >= 1 else "ok"
    return {"set": name, "failure": kind, "failing": failing, "verdicts": {"collapse": verdict},
            "severity": {"collapse": severity}, "ndcg": 0.4, "twin": 0.5, **more}  # fmt: skip


def test_severity_is_half_at_watch_and_one_at_fail_and_the_worst_decides(scoring):
    rules = ("high", 0.2, 0.4), ("low", 0.8, 0.6)
    assert scoring.severity(finding("collapse", {"high": 0.2, "low": 0.9}, *rules)) == pytest.approx(0.5)
    assert scoring.severity(finding("collapse", {"high": 0.0, "low": 0.6}, *rules)) == pytest.approx(1)
    shortcut = finding("shortcut", {"decided_by_surface": 0.9, "masked_drop": 0.0}, ("decided_by_surface", 0.5, 0.7),
                       ("masked_drop", 0.02, 0.04))  # fmt: skip
    assert scoring.severity(shortcut) == pytest.approx(0)  # the milder of pairs and model


def test_a_limit_finds_most_and_accuses_no_more_than_is_tolerated(scoring):
    assert scoring.limit_of([2.0, 3.0], [0.0, 1.0]) == pytest.approx(1.5)  # in the gap
    well = [0.1] * 19 + [2.5]  # one of twenty may be accused
    assert 0.1 < scoring.limit_of([2.0, 3.0], well) <= 2
    assert scoring.limit_of([2.0, 3.0], well[1:]) > 2.5  # one of nineteen may not


def test_what_is_found_accused_and_repaired(scoring):
    ill = [run("collapse", 2.0, name=name, fixed={"ndcg": ndcg}) for name, ndcg in (("a", 0.495), ("b", 0.48))]
    ill += [run("collapse", 0.7, name="a"), run("collapse", 2.0, name="b", failing=False)]
    well = [run("healthy", value, name=name, failing=False) for name in "ab" for value in (0.1, 0.2)]
    found = scoring.scored([*ill, *well])["collapse"]
    assert (found["sensitivity"]["found"], found["sensitivity"]["of"]) == (2, 3)
    assert (found["false_alarms"]["found"], found["false_alarms"]["of"]) == (0, 4)
    assert (found["repaired"]["found"], found["repaired"]["of"]) == (1, 2)
    assert found["left_out"]["limits"] == {"a": pytest.approx(1.1), "b": pytest.approx(0.45)}
    assert found["left_out"]["sensitivity"]["found"] == 2  # 0.7 is under the limit of the other set
    assert found["auc"] == 1


def test_copies_that_are_still_met_are_no_repair(scoring):
    kept = run("false_negatives", 2.0, fixed={"ndcg": 0.5, "meeting": 0.3})
    assert not scoring._is_repaired(kept)
    assert scoring._is_repaired({**kept, "fixed": {"ndcg": 0.5, "meeting": 0.1}})
