"""What every failure mode must do, whatever it looks for."""

import json
from dataclasses import asdict

import pytest

from nearfar.cli.show import json_line
from nearfar.diagnose.evidence import Evidence
from nearfar.diagnose.finding import Threshold, judge
from nearfar.diagnose.registry import FAILURES


def test_the_five_in_the_order_of_the_guide():
    assert list(FAILURES) == ["collapse", "false_negatives", "shortcut", "overfit", "drift"]


@pytest.mark.parametrize("name", FAILURES)
def test_without_evidence_it_says_what_it_needs(name):
    finding = FAILURES[name].diagnose(Evidence())
    assert (finding.failure, finding.verdict) == (name, "unknown")
    assert "needs" in finding.summary
    assert json.loads(json_line(asdict(finding)))["failure"] == name


def test_the_worst_threshold_decides():
    rules = (Threshold("high", 1, 2, ""), Threshold("low", 0.5, 0.2, ""))
    assert judge({"high": 0.9, "low": 0.6}, rules) == ("ok", [])
    assert judge({"high": 1.5, "low": 0.6}, rules)[0] == "watch"
    verdict, causes = judge({"high": 1.5, "low": 0.1}, rules)
    assert verdict == "fail"
    assert causes == ["low 0.1 is at or below 0.2"]
    assert judge({"high": float("nan")}, rules)[0] == "ok"
