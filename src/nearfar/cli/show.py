"""Results as text for people."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from textwrap import shorten
from typing import TYPE_CHECKING, Any

import yaml

from nearfar.core.unicode import escaped

if TYPE_CHECKING:
    from nearfar.data.check import Counts, DataReport
    from nearfar.diagnose.finding import Finding
    from nearfar.pipeline.certify import Certificate
    from nearfar.pipeline.compare import Compared
    from nearfar.pipeline.doctor import Diagnosis
    from nearfar.pipeline.listing import Entry
    from nearfar.pipeline.mine import Suspect
    from nearfar.pipeline.mteb_tasks import MtebResult
    from nearfar.pipeline.slices import Slice

SUSPECTS_SHOWN = 5
EXAMPLES_SHOWN = 3
PROBES_SHOWN = 20
WIDTH = 100  # characters of a text on one line
LEFT_OUT = {
    "positive": "known positives, or of the query's own text or group",
    "skipped": "above rank_from",
    "margin": "over a margin or the highest score",
    "filter": "refused by the second model",
}


def json_line(value: Any) -> str:
    """One JSON object; a number that is not finite is null, because JSON has no word for it."""
    return escaped(json.dumps(_finite(value), ensure_ascii=False, allow_nan=False, default=str))


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _finite(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(entry) for entry in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def data_report(report: DataReport, notices: Sequence[str]) -> str:
    """What `nearfar data check` found."""
    lines = [f"{report.name}: {report.queries:,} queries, {report.documents:,} documents"]
    for split, counts in report.splits.items():
        lines.append(f"  {split}: {_counted(counts)}")
    for kind, labels in (("source", report.sources), ("task", report.tasks)):
        for label, counts in labels.items():
            lines.append(f"  {kind} {label or '(none)'}: {_counted(counts)}")
    for what, lengths in (("queries", report.query_lengths), ("documents", report.document_lengths)):
        lines.append(f"  words in {what}: " + ", ".join(f"{name} {value:,}" for name, value in lengths.words.items()))
    lines += [f"  note: {notice}" for notice in notices]
    problems = report.problems()
    return "\n".join([*lines, *(f"  problem: {problem}" for problem in problems or ["none found"])])


def _counted(counts: Counts) -> str:
    return f"{counts.queries:,} queries, {counts.relevant:,} relevant, {counts.negatives:,} negative"


def certificate(found: Certificate) -> str:
    """Table of differences from the plain step, and one sentence."""
    lines = [_row("loss", "step", "dropout", "accumulation", "gradient", "loss value", "")]
    for check in found.checks:
        marks = ("on" if check.dropout else "off", "on" if check.accumulation else "off")
        differences = (f"{check.difference:.1e}", f"{check.loss_difference:.1e}")
        lines.append(_row(check.loss, check.variant, *marks, *differences, "ok" if check.ok else "DIFFERS"))
    wrong = sum(not check.ok for check in found.checks)
    verdict = f"{wrong} of {len(found.checks)} differ from" if wrong else f"all {len(found.checks)} agree with"
    dropout = "" if found.dropout else "; the model has no dropout"
    batch = f"{found.pairs} pairs in {found.micro_batches} micro-batches{dropout}"
    return "\n".join([*lines, "", f"{verdict} the plain step to {found.limit:g}: {found.base}, {batch}"])


def _row(*cells: str) -> str:
    return "{:<24}{:<12}{:<9}{:<14}{:>8}{:>12}  {}".format(*cells).rstrip()


def summary(record: Mapping[str, Any], path: Path) -> str:
    """Table of metrics, verdict, and where things are."""
    metrics = record["metrics"]
    names = list(metrics["model"])
    lines = ["".join(f"{name:>12}" for name in ["", *names])]
    lines += [f"{name:>12}" + "".join(f"{metrics[name][m]:>12.3f}" for m in names) for name in metrics]
    where = f"model: {path / 'model'}   report: {path / 'report.html'}   trained in {record['train_seconds']:.0f} s"
    return "\n".join([*lines, "", str(record["verdict"]), where])


def techniques(found: Mapping[str, Sequence[Entry]]) -> str:
    """A table for each registry."""
    tables = ["\n".join([f"{kind}:", *map(_technique, entries)]) for kind, entries in found.items()]
    return "\n\n".join(tables)


def _technique(entry: Entry) -> str:
    return f"  {entry.name:<24}{entry.purpose} ({entry.source})"


def negatives(record: Mapping[str, Any], suspects: Sequence[Suspect], path: str) -> str:
    """What `nearfar mine` found, and the first documents that may be answers after all."""
    left = ", ".join(f"{count:,} {LEFT_OUT[reason]}" for reason, count in record["left_out"].items() if count)
    queries = f"{record['queries_with']:,} of {record['queries']:,} queries"
    lines = [
        f"{record['negatives']:,} negatives for {queries}, out of {record['documents']:,} documents",
        f"left out of the candidates: {left or 'none'}",
        f"suspected false negatives: {record['suspected']:,}",
    ]
    for suspect in suspects[:SUSPECTS_SHOWN]:
        lines += [f"  {suspect.score:.3f} against {suspect.positive_score:.3f}  {_line(suspect.query)}",
                  f"         {_line(suspect.document)}"]  # fmt: skip
    more = f"  more of them, worst first: {path}/suspects.jsonl"
    ask = f"train on it: nearfar fit --data {path}"
    return "\n".join([*lines, *([more] if len(suspects) > SUSPECTS_SHOWN else []), ask])


STANDING = {"better": "better than", "worse": "worse than", "cannot tell": "not shown to differ from"}
STAGES = {
    "bm25": "BM25",
    "bi_encoder": "bi-encoder",
    "bm25_reranked": "BM25, reranked",
    "bi_encoder_reranked": "bi-encoder, reranked",
}


def reranker(record: Mapping[str, Any], path: Path) -> str:
    """Accuracy and time of a reranker and of what it reranks."""
    lines = [f"{'':<22}{'ndcg@10':>9}{'ms a query':>12}"]
    for name, shown in STAGES.items():
        metric, time = record["metrics"][name]["ndcg@10"], record["ms_per_query"][name]
        lines.append(f"{shown:<22}{metric:>9.3f}{time:>12.1f}")
    how = f"{record['queries']} test queries, {record['depth']} candidates each"
    ask = f"teach with it: nearfar teach --teachers.models '[{path}]'"
    return "\n".join([*lines, "", str(record["verdict"]), f"{how}; trained in {record['train_seconds']:.0f} s", ask])


def taught(record: Mapping[str, Any], path: Path) -> str:
    """What teachers scored, and how often they agree with the data."""
    lines = [f"{record['pairs']:,} pairs scored, {record['positives']:,} of them positive"]
    for name, scored, right in zip(record["names"], record["scored"], record["ranked_right"], strict=True):
        share = (
            "no query with both" if right is None else f"positives above all negatives for {right:.1%} of the queries"
        )
        lines.append(f"  {name}: {scored:,} scores, {share}")
    return "\n".join([*lines, f"train on it: nearfar fit --data {path}"])


def tuned(record: Mapping[str, Any]) -> str:
    """Table of probes, those on most pairs first, the verdict, and where the chosen values are."""
    probes = sorted(record["probes"], key=lambda probe: (-probe["share"], -probe["ndcg@10"]))
    names = list(record["chosen"])
    lines = ["".join(f"{name:>16}" for name in ["pairs", *names, "dev ndcg@10", "95 % interval", "seconds"])]
    for probe in probes[:PROBES_SHOWN]:
        low, high = probe["interval"]
        cells = [f"1/{round(1 / probe['share'])}" if probe["share"] < 1 else "all", *probe["settings"].values(),
                 f"{probe['ndcg@10']:.3f}", f"{low:.3f} to {high:.3f}", f"{probe['seconds']:.1f}"]  # fmt: skip
        mark = " *" if probe["settings"] == record["chosen"] else ""
        lines.append("".join(f"{cell:>16}" for cell in cells) + mark)
    if len(probes) > PROBES_SHOWN:
        lines.append(f"{'':>10}and {len(probes) - PROBES_SHOWN} more")
    spent = f"{record['seconds']:.0f} s of {record['budget_seconds']:.0f} s; {record['fresh']} probes made now"
    return "\n".join([*lines, "", record["verdict"], f"{spent}; fit with: nearfar fit --config {record['path']}"])


def compared(found: Compared) -> str:
    """Means, a line for every pair, and the queries on which the best two differ most."""
    lines = [f"{name:<40}{found.metric} {value:.4f}" for name, value in found.means.items()]
    lines.append("")
    for duel in found.duels:
        c = duel.comparison
        lines.append(f"{duel.a} is {STANDING[duel.verdict]} {duel.b}: {c.difference:+.4f} (95 % interval {c.low:+.4f} "
                     f"to {c.high:+.4f}), p = {duel.corrected:.4f}")  # fmt: skip
        lines.append(f"  {c.wins} wins, {c.losses} losses, {c.ties} ties")
        if duel.verdict == "cannot tell":
            lines.append(f"  with {found.queries} queries you cannot see less than {duel.detectable:.3f}")
    first = found.duels[0]
    for title, queries in ((f"won by {first.a}", first.won), (f"won by {first.b}", first.lost)):
        lines += ["", f"{title}:", *(f"  {gain:+.3f}  {_line(query)}" for query, gain in queries)]
    return "\n".join(lines)


def slices(found: Sequence[Slice]) -> list[str]:
    """A line for each slice of the queries, under the name of what they are cut by."""
    if not found:
        return ["", "the queries are too few, or too much alike, to be cut into slices"]
    lines: list[str] = []
    for number, one in enumerate(found):
        if not number or found[number - 1].by != one.by:
            lines += ["", f"by {one.by}"]
        lines.append(f"  {one.name:<28}{one.mean:.4f}  ({one.low:.4f} to {one.high:.4f}, {one.queries} queries)")
    return lines


def probed(record: Mapping[str, Any]) -> str:
    """Metrics of a probe with their intervals, the same of a base where there is one, and the difference of both."""
    lines = _measured(record)
    if "base" in record:
        lines += ["", "base", *_measured(record["base"])]
    if "difference" in record:
        found, first = record["difference"], next(iter(record["metrics"]))
        lines += ["", f"{first} {found['difference']:+.4f} (95 % interval {found['low']:+.4f} to {found['high']:+.4f})"]
    return "\n".join(lines)


def _measured(record: Mapping[str, Any]) -> list[str]:
    intervals = record.get("intervals", {})
    ends = {name: f"  ({low:.4f} to {high:.4f})" for name, (low, high) in intervals.items()}
    lines = [f"{name:<12}{value:.4f}{ends.get(name, '')}" for name, value in record["metrics"].items()]
    counts = [f"{name.replace('_', ' ')} {value:,}" for name, value in record.items() if isinstance(value, int)]
    return [*lines, ", ".join(counts)]


def mteb(found: MtebResult) -> str:
    """The main score of a task, and of each split and subset where there are several."""
    lines = [f"{found.main_metric:<20}{found.main_score:.4f}"]
    parts = [(f"{split} {subset}", scores) for split, of in found.scores.items() for subset, scores in of.items()]
    if len(parts) > 1:
        lines += [f"  {name:<18}{scores['main_score']:.4f}" for name, scores in parts]
    return "\n".join([*lines, f"{found.task} ({found.kind}), mteb {found.version}"])


def diagnosis(found: Diagnosis) -> str:
    """A line for each failure, and below them examples and fixes of those that were found."""
    lines = [f"{finding.failure:<18}{finding.verdict:<9}{finding.summary}" for finding in found.findings]
    details = [_detail(finding) for finding in found.findings if finding.verdict in {"watch", "fail"}]
    return "\n\n".join(["\n".join([str(found.subject), *lines]), *details])


def _detail(finding: Finding) -> str:
    lines = [f"{finding.failure}:"]
    for example in finding.examples[:EXAMPLES_SHOWN]:
        lines += [f"  {key}: {_line(value) if isinstance(value, str) else f'{value:.4g}'}"
                  for key, value in example.items()]  # fmt: skip
        lines.append("")
    if finding.fix.advice:
        lines.append(f"  fix: {finding.fix.advice}")
    if finding.fix.patch:
        lines += [f"    {line}" for line in yaml.safe_dump(dict(finding.fix.patch), sort_keys=False).splitlines()]
    return "\n".join(lines)


def _line(text: str) -> str:
    return shorten(text, WIDTH, placeholder=" …")
