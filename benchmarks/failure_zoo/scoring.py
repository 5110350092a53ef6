"""How often the doctor was right: sensitivity and false alarms of each failure, with thresholds as they are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from cases import HEALTHY

import measure

REPAIRED = 0.01  # nDCG under the twin's up to which a run is repaired


def scored(runs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Of each failure: failing runs found, and healthy runs accused, with Wilson intervals; over all, and by set."""
    seen = [run for run in runs if "verdicts" in run]
    well = [run for run in seen if run["failure"] == HEALTHY]
    failures = dict.fromkeys(run["failure"] for run in seen if run["failure"] != HEALTHY)
    result = {}
    for failure in failures:
        ill = [run for run in seen if run["failure"] == failure and run["failing"]]
        sets = dict.fromkeys(run["set"] for run in seen)
        result[failure] = {
            "sensitivity": _share(ill, failure),
            "false_alarms": _share(well, failure),
            "repaired": {"found": sum(run["fixed"] >= run["twin"] - REPAIRED for run in ill if "fixed" in run),
                         "of": sum("fixed" in run for run in ill)},
            "induced": sum(run["failure"] == failure for run in seen),
            "by_set": {name: {"sensitivity": _share([r for r in ill if r["set"] == name], failure),
                              "false_alarms": _share([r for r in well if r["set"] == name], failure)}
                       for name in sets},
        }  # fmt: skip
    return result


def _share(runs: Sequence[Mapping[str, Any]], failure: str) -> dict[str, Any]:
    """Runs with the verdict `fail`, of how many, and the 95 % Wilson interval of the share."""
    from scipy.stats import binomtest

    found = sum(run["verdicts"].get(failure) == "fail" for run in runs)
    if not runs:
        return {"found": 0, "of": 0}
    interval = binomtest(found, len(runs)).proportion_ci(method="wilson")
    return {"found": found, "of": len(runs), "share": found / len(runs), "low": interval.low, "high": interval.high}


def show(result: Mapping[str, Any]) -> None:
    """Print a row for each failure."""
    rows = [
        {
            "failure": failure,
            "induced": row["induced"],
            "failing runs found": _text(row["sensitivity"]),
            "healthy runs accused": _text(row["false_alarms"]),
            "repaired by the fix": f"{row['repaired']['found']} of {row['repaired']['of']}",
        }
        for failure, row in result.items()
    ]
    if rows:
        measure.show("The failure zoo", rows)


def _text(share: Mapping[str, Any]) -> str:
    if not share["of"]:
        return "–"
    return f"{share['found']} of {share['of']} ({share['low']:.0%} to {share['high']:.0%})"
