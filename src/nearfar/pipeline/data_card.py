"""The data card of a run: where its data came from, what they hold, and what in them to beware of."""

from __future__ import annotations

from pathlib import Path

from nearfar.data.check import check
from nearfar.data.config import DataConfig
from nearfar.data.dataset import Dataset

CARD = "CARD.md"  # in a run's folder of data
UNKNOWN = "not stated (data.licence)"


def data_card(dataset: Dataset, config: DataConfig) -> str:
    """The card as Markdown: origin, licence, digest, counts by split, lengths, leaks and other problems."""
    report = check(dataset)
    facts = {
        "origin": config.source or "given in memory",
        "licence": config.licence or UNKNOWN,
        "digest": f"`{dataset.digest()}`",
        "queries": f"{report.queries:,}",
        "documents": f"{report.documents:,}, {report.unjudged_documents.count:,} of them not judged",
        "groups": f"{report.groups:,}",
        "words of a query": f"{report.query_lengths.words['p50']:,} (median)",
        "words of a document": f"{report.document_lengths.words['p50']:,} (median)",
    }
    splits = [f"| {name} | {counts.queries:,} | {counts.relevant:,} | {counts.negatives:,} |"
              for name, counts in report.splits.items()]  # fmt: skip
    leaks = {"queries in more than one split": report.leaked_queries,
             "relevant documents in more than one split": report.leaked_documents,
             "queries with the text of another": report.duplicate_queries,
             "documents with the text of another": report.duplicate_documents,
             "queries copied from their document": report.copied_queries}  # fmt: skip
    return "\n".join([
        f"# Data: {dataset.name}", "",
        *(f"- {name}: {value}" for name, value in facts.items()), "",
        "| split | queries | relevant pairs | negative pairs |", "|---|---|---|---|", *splits, "",
        *(f"- {name}: {found.count:,}" for name, found in leaks.items()),
        *(["", "Done to them when they were read:", "", *(f"- {line}" for line in dataset.notices)]
          if dataset.notices else []),
        "",
    ])  # fmt: skip


def write_card(dataset: Dataset, config: DataConfig, folder: Path) -> None:
    """Write the card into a run's folder of data."""
    own = config.source is not None and Path(config.source).is_relative_to(folder)  # written there to go on from
    card = data_card(dataset, config.model_copy(update={"source": None}) if own else config)
    (folder / CARD).write_text(card, encoding="utf-8", errors="replace")
