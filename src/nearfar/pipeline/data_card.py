"""The data card of a run: where its data came from, what they hold, and what in them to beware of."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from nearfar.data.check import Counts, check
from nearfar.data.config import DataConfig
from nearfar.data.dataset import Dataset
from nearfar.data.hub import is_hub_name
from nearfar.report.markdown import escaped

CARD = "CARD.md"  # in a run's folder of data
UNKNOWN = "not stated (data.licence)"
DONE = "\nDone to them when they were read:\n"  # what follows may quote rows


def data_card(dataset: Dataset, config: DataConfig) -> str:
    """The card as Markdown: origin, licence, digest, counts by split and source, lengths, leaks and other problems."""
    report = check(dataset)
    facts = {
        "origin": escaped(_origin(config.source)),
        "licence": escaped(config.licence or UNKNOWN),
        "digest": f"`{dataset.digest()}`",
        "queries": f"{report.queries:,}",
        "documents": f"{report.documents:,}, {report.unjudged_documents.count:,} of them not judged",
        "groups": f"{report.groups:,}",
        "words of a query": _lengths(report.query_lengths.words),
        "words of a document": _lengths(report.document_lengths.words),
    }
    leaks = {"queries in more than one split": report.leaked_queries,
             "relevant documents in more than one split": report.leaked_documents,
             "queries with the text of another": report.duplicate_queries,
             "documents with the text of another": report.duplicate_documents,
             "queries copied from their document": report.copied_queries}  # fmt: skip
    return "\n".join([
        f"# Data: {escaped(dataset.name)}", "",
        *(f"- {name}: {value}" for name, value in facts.items()), "",
        *_table("split", report.splits),
        *(_table("source", report.sources) if report.sources else []),
        *(f"- {name}: {found.count:,}" for name, found in leaks.items()),
        *([DONE, *(f"- {escaped(line)}" for line in dataset.notices)] if dataset.notices else []),
        "",
    ])  # fmt: skip


def without_rows(card: str) -> str:
    """The card without what may quote rows of the data."""
    return card.partition(DONE)[0]


def write_card(dataset: Dataset, config: DataConfig, folder: Path) -> None:
    """Write the card into a run's folder of data."""
    own = config.source is not None and Path(config.source).is_relative_to(folder)  # written there to go on from
    card = data_card(dataset, config.model_copy(update={"source": None}) if own else config)
    (folder / CARD).write_text(card, encoding="utf-8", errors="replace")


def _origin(source: str | None) -> str:
    """A name on the hub, or that of a file or folder; run.json has its path."""
    if source is None:
        return "given in memory"
    return source if is_hub_name(source) and not Path(source).exists() else Path(source).name


def _lengths(words: Mapping[str, int]) -> str:
    return f"{words['p50']:,} (median), {words['p5']:,} to {words['p95']:,} (nine in ten)"


def _table(title: str, counts: Mapping[str, Counts]) -> list[str]:
    rows = [f"| {escaped(name) or '(none)'} | {of.queries:,} | {of.relevant:,} | {of.negatives:,} |"
            for name, of in counts.items()]  # fmt: skip
    return [f"| {title} | queries | relevant pairs | negative pairs |", "|---|---|---|---|", *rows, ""]
