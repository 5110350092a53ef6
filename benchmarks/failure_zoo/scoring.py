"""How often the doctor was right: sensitivity and false alarms of each failure, as it is and on a set left out."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from cases import HEALTHY

import measure

if TYPE_CHECKING:  # imports torch, which reads the allocator's setting when it starts
    from nearfar.diagnose.finding import Finding, Threshold

UNKNOWN = -1e9  # severity, less than any
REPAIRED = 0.01  # nDCG under the twin's up to which a run is repaired
MEETING = 0.25
TOLERATED = 0.05  # false alarms
Row = Mapping[str, Any]


def severity(finding: Finding) -> float | None:
    """How far a finding's figures are on the way to a verdict: 0.5 at `watch`, 1 at `fail`; None where it is unknown.

    The highest of any threshold, but of a shortcut the milder of what the pairs and what the model say.
    """
    if finding.verdict == "unknown":
        return None
    by_rule = {rule.figure: _on_the_way(rule, finding.figures[rule.figure]) for rule in finding.thresholds
               if rule.figure in finding.figures}  # fmt: skip
    if finding.failure == "shortcut":
        of_model = by_rule.pop("masked_drop", math.inf)
        return min(max(by_rule.values(), default=0.0), of_model)
    return max(by_rule.values(), default=0.0)


def _on_the_way(rule: Threshold, value: float) -> float:
    if rule.fail == rule.watch:
        return 1.0 if value >= rule.fail else 0.0
    return 0.5 + 0.5 * (value - rule.watch) / (rule.fail - rule.watch)


def severe(run: Row, failure: str) -> float:
    """The severity of a failure in a run; of what is unknown less than any."""
    found = run["severity"][failure]
    return UNKNOWN if found is None else float(found)


def scored(runs: Sequence[Row]) -> dict[str, Any]:
    """Of each failure: failing runs found and healthy runs accused, with Wilson intervals; repairs; ROC; alarms."""
    seen = [run for run in runs if "verdicts" in run]
    well = [run for run in seen if run["failure"] == HEALTHY]
    failures = dict.fromkeys(run["failure"] for run in seen if run["failure"] != HEALTHY)
    return {failure: _of(failure, [run for run in seen if run["failure"] == failure], well) for failure in failures}


def _of(failure: str, induced: Sequence[Row], well: Sequence[Row]) -> dict[str, Any]:
    ill = [run for run in induced if run["failing"]]
    judged = [run for run in well if run["verdicts"].get(failure, "unknown") != "unknown"]
    fixed = [run for run in ill if "fixed" in run]
    alarmed = [run for run in ill if any(alarmed_by == failure for _, alarmed_by, _ in run.get("alarms", ()))]
    return {
        "induced": len(induced),
        "sensitivity": _share([run["verdicts"].get(failure) == "fail" for run in ill]),
        "noticed": _share([run["verdicts"].get(failure) in ("watch", "fail") for run in ill]),
        "false_alarms": _share([run["verdicts"][failure] == "fail" for run in judged]),
        "left_out": _left_out(failure, ill, judged),
        "repaired": _share([_is_repaired(run) for run in fixed]),
        "auc": _auc(*([severe(run, failure) for run in part] for part in (ill, judged))),
        "alarms": {
            "found": _share([run in alarmed for run in ill]),
            "false": _share([bool(run.get("alarms")) for run in well]),
            "passed": sorted(round(_first(run, failure) / run["steps"], 4) for run in alarmed),
        },
        "by_set": {name: _of_set(failure, *([run for run in part if run["set"] == name] for part in (ill, judged)))
                   for name in dict.fromkeys(run["set"] for run in well)},
    }  # fmt: skip


def _of_set(failure: str, ill: Sequence[Row], well: Sequence[Row]) -> dict[str, Any]:
    return {name: _share([run["verdicts"][failure] == "fail" for run in part])
            for name, part in (("sensitivity", ill), ("false_alarms", well))}  # fmt: skip


def _first(run: Row, failure: str) -> int:
    return min(step for step, found, _ in run["alarms"] if found == failure)


def _is_repaired(run: Row) -> bool:
    return run["fixed"]["ndcg"] >= run["twin"] - REPAIRED and run["fixed"].get("meeting", 0.0) < MEETING


def _left_out(failure: str, ill: Sequence[Row], well: Sequence[Row]) -> dict[str, Any]:
    """Each data set judged by the limit of severity that suits the others: the highest that misses fewest of them."""
    found, accused, limits = [], [], {}
    for name in dict.fromkeys(run["set"] for run in well):
        inside = [[severe(run, failure) for run in part if run["set"] != name] for part in (ill, well)]
        if not all(inside):
            continue
        limits[name] = limit = limit_of(*inside)
        found += [severe(run, failure) >= limit for run in ill if run["set"] == name]
        accused += [severe(run, failure) >= limit for run in well if run["set"] == name]
    return {"sensitivity": _share(found), "false_alarms": _share(accused), "limits": limits}


def limit_of(ill: Sequence[float], well: Sequence[float]) -> float:
    """The limit at which most failing runs are found and no more healthy ones accused than are tolerated.

    In the middle of the gap below it, so that it does not lie at the edge of what was seen.
    """

    def rates(limit: float) -> tuple[float, float]:
        return sum(x >= limit for x in ill) / len(ill), sum(x >= limit for x in well) / len(well)

    limits = sorted({*ill, *well})
    allowed = [limit for limit in limits if rates(limit)[1] <= TOLERATED] or [limits[-1]]
    best = max(allowed, key=lambda limit: (rates(limit)[0] - rates(limit)[1], limit))
    below = max((x for x in limits if x < best), default=best)
    return (best + below) / 2


def _auc(ill: Sequence[float], well: Sequence[float]) -> float | None:
    """Area under the ROC curve: how often a failing run is more severe than a healthy one."""
    from sklearn.metrics import roc_auc_score

    if not ill or not well:
        return None
    return float(roc_auc_score([1] * len(ill) + [0] * len(well), [*ill, *well]))


def _share(found: Sequence[bool]) -> dict[str, Any]:
    """How many, of how many, and the 95 % Wilson interval of the share."""
    from scipy.stats import binomtest

    if not found:
        return {"found": 0, "of": 0}
    interval = binomtest(sum(found), len(found)).proportion_ci(method="wilson")
    return {"found": sum(found), "of": len(found), "share": sum(found) / len(found), "low": interval.low,
            "high": interval.high}  # fmt: skip


def show(result: Mapping[str, Any]) -> None:
    """Print a row for each failure."""
    rows = [
        {
            "failure": failure,
            "induced": row["induced"],
            "failing runs found": _text(row["sensitivity"]),
            "healthy runs accused": _text(row["false_alarms"]),
            "found, set left out": _text(row["left_out"]["sensitivity"]),
            "accused, set left out": _text(row["left_out"]["false_alarms"]),
            "repaired by the fix": _text(row["repaired"]),
        }
        for failure, row in result.items()
    ]
    if rows:
        measure.show("The failure zoo", rows)


def _text(share: Mapping[str, Any]) -> str:
    if not share["of"]:
        return "–"
    return f"{share['found']} of {share['of']} ({share['low']:.0%} to {share['high']:.0%})"
