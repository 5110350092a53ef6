"""From a diagnosis to what its page shows: the map of the texts, the spectrum, the similarities, the sentence."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nearfar.diagnose.evidence import Evidence, Subject, Vectors
from nearfar.diagnose.finding import SEVERITY, Finding
from nearfar.diagnose.geometry import sample, unit
from nearfar.pipeline.doctor import Diagnosis
from nearfar.report import kept
from nearfar.report.doctor_contents import DiagnosisData, Kind, Place, Point
from nearfar.report.doctor_figures import ANSWERED, PLAIN, UNANSWERED
from nearfar.report.html import write_diagnosis
from nearfar.report.vega import Sides

PAGE = "doctor.html"  # in a run folder
MOST_DOCUMENTS, MOST_QUERIES = 2000, 500  # on the map
MOST_PAIRS = 4000  # of the histograms
FEWEST = 50  # points that UMAP is asked to place
SHOWN = 120  # characters of a text on hover
FEWEST_DRAWN = 3
NEIGHBOURS = 15
SEED = 0


def write_page(found: Diagnosis, path: Path) -> None:
    """Write the page of a diagnosis.

    Raises:
        BadInput: the file cannot be written.
    """
    write_diagnosis(page_data(found), path)


def keep(found: Diagnosis, run: Path, *, own_data: bool = True) -> None:
    """Leave a diagnosis in the folder of the run that it is of, as JSON.

    Args:
        own_data: whether it was made with the run's data, whose ids are those of the run's index.

    Raises:
        BadInput: the file cannot be written.
    """
    named = {"named": _in_examples(found)} if own_data else {}
    model = found.evidence.model
    kept.keep(run / kept.FINDINGS, {"fingerprint": model.fingerprint if model else "", **found.record(), **named})


def _in_examples(found: Diagnosis) -> dict[str, dict[str, list[str]]]:
    """Ids of the documents, and the queries, that are in examples of each failure."""
    evidence = found.evidence
    ids = dict(zip(evidence.documents, evidence.ids, strict=False))
    queries = {*evidence.test.queries, *evidence.train.queries, *evidence.training_queries, *evidence.live.queries}
    texts = {finding.failure: dict.fromkeys(value for example in finding.examples for value in example.values())
             for finding in found.findings}  # fmt: skip
    return {failure: {"documents": [ids[text] for text in values if text in ids],
                      "queries": [text for text in values if text in queries and text not in ids]}
            for failure, values in texts.items()}  # fmt: skip


def page_data(found: Diagnosis) -> DiagnosisData:
    """What the page of a diagnosis shows."""
    evidence = found.evidence
    subjects = {"base": evidence.base, "model": evidence.model}
    present = {name: subject for name, subject in subjects.items() if subject is not None}
    seen = evidence.model or evidence.base
    return DiagnosisData(
        title=f"Diagnosis of {found.subject}",
        verdict=sentence(found.findings),
        findings=found.findings,
        place=_place(evidence, seen, found.findings) if seen else None,
        spectra={name: spectrum(subject.documents) for name, subject in present.items() if len(subject.documents)},
        similarities=_similarities(evidence, present),
        facts=_facts(evidence),
    )


def sentence(findings: Sequence[Finding]) -> str:
    """All verdicts in one sentence."""
    kinds = {"found": "fail", "to be watched": "watch", "cannot be told": "unknown"}
    named = {words: [finding.failure.replace("_", " ") for finding in findings if finding.verdict == verdict]
             for words, verdict in kinds.items()}  # fmt: skip
    parts = [f"{words}: {', '.join(failures)}" for words, failures in named.items() if failures]
    return "; ".join(parts if named["found"] else ["none of the failures was found", *parts])


def spectrum(documents: Vectors) -> NDArray[np.float64]:
    """Singular values of the unit vectors (n, d) of a sample, largest first; (min(n, d),)."""
    values: NDArray[np.float64] = np.linalg.svd(unit(sample(documents)).astype(np.float64), compute_uv=False)
    return values


def _place(evidence: Evidence, subject: Subject, findings: Sequence[Finding]) -> Place | None:
    documents, queries = Placed(evidence.documents, subject.documents), Placed(evidence.test.queries, subject.test)
    return place_of(documents, queries, subject.ndcg > 0, findings)


@dataclass(frozen=True)
class Placed:
    """Texts and where the model puts them."""

    texts: Sequence[str]
    vectors: Vectors  # (n, d)


def place_of(
    documents: Placed, queries: Placed, answered: NDArray[np.bool_], findings: Sequence[Finding]
) -> Place | None:
    """A sample of the texts on a plane; what was found is drawn last, on top. None where there are too few."""
    named = _named(findings)
    rows, asked = _chosen(documents.texts, named, MOST_DOCUMENTS), _chosen(queries.texts, named, MOST_QUERIES)
    if len(rows) + len(asked) < FEWEST_DRAWN:
        return None
    places, method = flat(np.concatenate([documents.vectors[rows], queries.vectors[asked]]))
    points = [_point(xy, "document", documents.texts[row], named, PLAIN)
              for xy, row in zip(places, rows, strict=False)]  # fmt: skip
    points += [_point(xy, "query", queries.texts[row], named, ANSWERED if answered[row] else UNANSWERED)
               for xy, row in zip(places[len(rows) :], asked, strict=True)]  # fmt: skip
    points.sort(key=lambda point: (point.label in named.values(), point.kind == "query"))
    return Place(_title(answered), tuple(points), method)


def _title(answered: NDArray[np.bool_]) -> str:
    if not len(answered):
        return "Where the model puts the documents"
    missed = int((~answered).sum())
    return f"{missed:,} of {len(answered):,} queries have no relevant document among the ten nearest"


def _point(xy: NDArray[np.float32], kind: Kind, text: str, named: Mapping[str, str], label: str) -> Point:
    failure = named.get(text)
    heading = f"{label}, in an example of {failure.replace('_', ' ')}" if failure else label
    return Point(round(float(xy[0]), 3), round(float(xy[1]), 3), kind, failure or label, heading, shown(text))


def _named(findings: Sequence[Finding]) -> dict[str, str]:
    """Text → the failure that it is an example of; of several, the worst one's."""
    worst_last = sorted(findings, key=lambda finding: ("unknown", *SEVERITY).index(finding.verdict))
    return {value: finding.failure for finding in worst_last for example in finding.examples
            for value in example.values() if isinstance(value, str)}  # fmt: skip


def _chosen(texts: Sequence[str], named: Mapping[str, str], most: int) -> NDArray[np.int64]:
    """Rows of the texts that are examples, and of others drawn at random."""
    first = [row for row, text in enumerate(texts) if text in named]
    others = np.random.default_rng(SEED).permutation(len(texts))
    return np.array(list(dict.fromkeys([*first, *others.tolist()]))[:most], dtype=np.int64)


def flat(vectors: Vectors) -> tuple[NDArray[np.float32], str]:
    """Places (n, 2) for the vectors (n, d), and how: by UMAP over cosines, by PCA where there are few."""
    rows = unit(vectors)
    places = _components(rows)
    if len(rows) < FEWEST:
        return places, "Principal components"
    from umap import UMAP  # takes seconds to import

    start = 10 * places / max(float(np.abs(places).max()), 1e-9)
    start += np.random.default_rng(SEED).normal(scale=1e-3, size=start.shape)  # all in one place would be NaN
    layout = UMAP(metric="precomputed", init=start, random_state=SEED, n_jobs=1, n_neighbors=NEIGHBOURS)
    distances = np.maximum(1 - rows @ rows.T, 0)  # its own cosine takes a call of Python for each pair
    np.fill_diagonal(distances, 0)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "using precomputed metric")  # says that it has no inverse
        return layout.fit_transform(distances), "UMAP"


def _components(rows: Vectors) -> NDArray[np.float32]:
    """The first two principal components, zeros where there are fewer; (n, 2)."""
    left, values, _ = np.linalg.svd(rows - rows.mean(axis=0), full_matrices=False)
    found = (left * values)[:, :2].astype(np.float32)
    return np.pad(found, ((0, 0), (0, 2 - found.shape[1])))


def shown(text: str) -> str:
    """A text on one line, its beginning where it is long."""
    line = " ".join(text.split())
    return line if len(line) <= SHOWN else line[: SHOWN - 2].rstrip() + " …"


def _similarities(evidence: Evidence, subjects: Mapping[str, Subject]) -> Sides:
    """Cosines of judged test queries with a relevant document and with a random one, under each model."""
    relevant, rng = evidence.test.relevant, np.random.default_rng(SEED)
    if not len(relevant.values) or len(evidence.documents) < 2:
        return {}
    pick = rng.permutation(len(relevant.values))[:MOST_PAIRS]
    queries, documents = relevant.row_of_value()[pick], relevant.values[pick]
    others = rng.integers(len(evidence.documents), size=len(pick))
    others = np.where(others == documents, (others + 1) % len(evidence.documents), others)
    return {name: (_cosines(subject, queries, documents), _cosines(subject, queries, others))
            for name, subject in subjects.items()}  # fmt: skip


def _cosines(subject: Subject, queries: NDArray[Any], documents: NDArray[Any]) -> NDArray[np.float32]:
    products: NDArray[np.float32] = (unit(subject.test[queries]) * unit(subject.documents[documents])).sum(axis=1)
    return products


def _facts(evidence: Evidence) -> dict[str, str]:
    named = {"model": evidence.model, "base": evidence.base}
    return {name: subject.name for name, subject in named.items() if subject} | {
        "documents looked at": f"{len(evidence.documents):,}",
        "judged test queries": f"{len(evidence.test):,}",
        "training queries": f"{evidence.training_size:,}",
    }
