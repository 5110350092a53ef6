"""`diagnose`: everything the rules of the five failures look at, gathered from a run, its data and its base."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nearfar.core.errors import BadInput, excerpt
from nearfar.core.ragged import Ragged
from nearfar.data.check import leaked_queries
from nearfar.data.config import DataConfig
from nearfar.data.dataset import Dataset, Judged
from nearfar.data.paraphrase import paraphrase
from nearfar.data.read import as_dataset
from nearfar.data.split import ensure_splits
from nearfar.diagnose.evidence import Course, Evidence, Questions, Subject, Vectors
from nearfar.diagnose.finding import Finding
from nearfar.diagnose.registry import FAILURES
from nearfar.encoder.encode import open_store
from nearfar.encoder.load import FRESH, load_encoder
from nearfar.encoder.precision import Policy, choose_policy
from nearfar.evaluate.run import Run as Ranking
from nearfar.index.exact import top_k
from nearfar.pipeline.config import MAIN_METRIC, FitConfig
from nearfar.pipeline.evaluate import Space, scored
from nearfar.pipeline.progress import Reporter, Silent
from nearfar.pipeline.run import RECORD, Run

MOST_QUERIES = 1000  # of a split
MOST_DOCUMENTS = 20_000


@dataclass(frozen=True)
class Diagnosis:
    """All findings, in the order of the registry, and what they were made from."""

    subject: str
    findings: tuple[Finding, ...]
    evidence: Evidence

    @property
    def failed(self) -> bool:
        """Whether any failure was found."""
        return any(finding.verdict == "fail" for finding in self.findings)

    def record(self) -> dict[str, Any]:
        """The findings as JSON."""
        return {"subject": self.subject, "findings": [asdict(finding) for finding in self.findings]}


def diagnose(
    model: str | Path | None = None,
    *,
    data: Any = None,
    base: str | Path | None = None,
    config: DataConfig | None = None,
    reporter: Reporter | None = None,
) -> Diagnosis:
    """Look for the five failures of contrastive training in a model, its data, or both.

    Args:
        model: a run, a model folder or a base's name; without one, the data alone are looked at.
        data: a data set as `fit` takes it; left out, the run's own.
        base: what training started from; left out, what the run says.

    Raises:
        BadInput: there is nothing to look at, or it cannot be read.
    """
    reporter = reporter or Silent()
    record = _record_of(model)
    settings = FitConfig.parse(record["config"], "run") if record else None
    dataset = _data(model, data, config or (settings.data if settings else DataConfig()))
    evidence, sampled = _texts(dataset)
    if settings and record:
        course = Course(record["steps"], record["best_step"], tuple(record["losses"]),
                        tuple((int(step), float(value)) for step, value in record["dev"]))  # fmt: skip
        evidence = replace(evidence, course=course, settings=settings.train.model_dump(mode="json"),
                           stages=[stage.model_dump(mode="json", exclude_unset=True) | {"kind": stage.kind}
                                   for stage in settings.plan])  # fmt: skip
    base = base or (settings.base if settings and settings.base != FRESH else None)
    look = partial(_subject, evidence=evidence, judged=sampled, reporter=reporter, policy=choose_policy())
    evidence = replace(evidence, model=look(model) if model else None, base=look(base) if base else None)
    findings = tuple(failure.diagnose(evidence) for failure in FAILURES.values())
    return Diagnosis(str(model or dataset.name), findings, evidence)


def _record_of(model: str | Path | None) -> dict[str, Any] | None:
    return Run.open(model).record if model is not None and (Path(model) / RECORD).exists() else None


def _data(model: str | Path | None, data: Any, config: DataConfig) -> Dataset:
    if data is None and model is not None and (own := Path(model) / "data" / "beir").exists():
        data = own
    source = data if data is not None else config.source
    if source is None:
        raise BadInput.at("data", expected="a data set to look at the model with", found="none",
                          do="give --data FILE_OR_FOLDER")  # fmt: skip
    return ensure_splits(as_dataset(source, config), config)


def _texts(dataset: Dataset) -> tuple[Evidence, Judged]:
    """Texts and judgments, at most so many of each; and the judgments in the numbering of the evidence."""
    rng = np.random.default_rng(0)
    test, train = (_drawn(dataset.judged(split), rng) for split in ("test", "train"))
    rows = _documents(len(dataset.documents), [test, train], rng)
    within = [Ragged(part.documents.offsets, np.searchsorted(rows, part.documents.values).astype(np.int32))
              for part in (test, train)]  # fmt: skip
    questions = [Questions([dataset.queries.texts[row] for row in part.queries], relevant)
                 for part, relevant in zip((test, train), within, strict=True)]  # fmt: skip
    documents = dataset.documents.rows(rows.tolist())
    evidence = Evidence(documents.texts, documents.groups, test=questions[0], train=questions[1],
                        leaked=leaked_queries(dataset),
                        training_size=len(dataset.judged("train").queries),
                        paraphrase=lambda query: paraphrase(query, (), np.random.default_rng(0)))  # fmt: skip
    return evidence, Judged(np.arange(len(test.queries), dtype=np.int32), within[0], test.gains)


def _drawn(judged: Judged, rng: np.random.Generator) -> Judged:
    """At most so many of the judged queries."""
    rows = np.sort(rng.permutation(len(judged.queries))[:MOST_QUERIES])
    spans = [slice(*judged.documents.offsets[row : row + 2]) for row in rows]
    gains = np.concatenate([judged.gains[span] for span in spans]) if spans else judged.gains[:0]
    return Judged(judged.queries[rows], judged.documents.take(rows), gains)


def _documents(count: int, parts: Sequence[Judged], rng: np.random.Generator) -> NDArray[np.int64]:
    """Rows of the relevant documents and of others, ascending, at most so many but for the relevant ones."""
    needed = np.unique(np.concatenate([part.documents.values for part in parts]))
    others = np.setdiff1d(rng.permutation(count)[:MOST_DOCUMENTS], needed)
    return np.sort(np.concatenate([needed, others[: max(0, MOST_DOCUMENTS - len(needed))]])).astype(np.int64)


def _subject(name: str | Path, *, evidence: Evidence, judged: Judged, reporter: Reporter, policy: Policy) -> Subject:
    """A model over the evidence's texts."""
    encoder = load_encoder(name, policy.device)
    space = Space(encoder, policy, open_store(encoder), reporter)

    def encode(texts: Sequence[str], role: Any, title: str = "encoding") -> Vectors:
        found = space.vectors(list(texts), role, title)
        if len(bad := np.flatnonzero(~np.isfinite(found).all(axis=1))):
            raise BadInput.at(f"{role} {excerpt(texts[bad[0]])}", expected="a finite vector",
                              found="NaN or infinity", do="check the model")  # fmt: skip
        return found

    documents = encode(evidence.documents, "document", f"documents by {name}")
    test, train = encode(evidence.test.queries, "query"), encode(evidence.train.queries, "query")
    ranking = Ranking.ranked(*top_k(test, documents, 10))
    return Subject(str(name), test, train, documents, scored(ranking, judged, [MAIN_METRIC]).per_query[MAIN_METRIC],
                   encode)  # fmt: skip
