"""The report on a data set, against findings planted by hand."""

import json
from dataclasses import asdict, astuple

from nearfar.cli.show import data_report
from nearfar.data.check import check
from nearfar.data.config import DataConfig
from nearfar.data.dataset import Dataset, Pairs, Texts
from nearfar.data.read import from_records
from nearfar.data.split import ensure_splits

COPY = "how does one copy a whole sentence"


def planted():
    queries = Texts(["q1", "q2", "q3", "q4"], ["Same  question", "same question", COPY, "short"], ["g", "", "h", "g"])
    documents = Texts(["d1", "d2", "d3", "d4"], ["first", f"Yes: {COPY.upper()}.", "first", "a short one"])
    splits = {
        "train": Pairs.of([(0, 0, 1), (2, 1, 1), (2, 0, 0)]),
        "test": Pairs.of([(1, 0, 1), (3, 2, 1), (3, 0, 1)]),
    }
    return Dataset("planted", queries, documents, splits)


def test_every_finding_is_counted_with_examples():
    report = check(planted())
    found = {
        name: value["count"] for name, value in asdict(report).items() if isinstance(value, dict) and "count" in value
    }
    assert found == {
        "duplicate_queries": 1,
        "duplicate_documents": 1,
        "leaked_queries": 1,
        "leaked_documents": 1,
        "copied_queries": 1,
        "unjudged_documents": 1,
    }
    assert report.duplicate_queries.examples == ("q2: 'same question'",)
    assert report.leaked_documents.examples == ("train and test: 'first'",)
    assert report.copied_queries.examples == (f"q3: '{COPY}'",)
    assert report.unjudged_documents.examples == ("d4",)


def test_counts_and_lengths():
    report = check(planted())
    assert asdict(report.splits["train"]) == {"queries": 2, "relevant": 2, "negatives": 1}
    assert asdict(report.splits["test"]) == {"queries": 2, "relevant": 3, "negatives": 0}
    assert (report.most_positives, report.groups, report.queries, report.documents) == (2, 2, 4, 4)
    assert report.query_lengths.words["p100"] == 7
    assert report.document_lengths.characters["p100"] == len(COPY) + 6


def test_problems_are_lines_and_make_a_set_unhealthy():
    report = check(planted())
    assert not report.healthy
    assert len(report.problems()) == 5
    assert not any("\n" in line for line in report.problems())


def test_a_split_set_is_healthy_and_json():
    report = check(ensure_splits(from_records([(f"q{i}", f"d{i}") for i in range(50)]), DataConfig()))
    assert report.healthy
    assert json.loads(json.dumps(asdict(report)))["splits"]["train"]["queries"] == 40


def test_sharing_few_documents_between_splits_is_no_problem():
    pairs = [(i, i % 2, 1) for i in range(20)]
    texts = Texts([f"q{i}" for i in range(20)], [f"question {i}" for i in range(20)])
    splits = {"train": Pairs.of(pairs[:10]), "test": Pairs.of(pairs[10:])}
    report = check(Dataset("intents", texts, Texts(["a", "b"], ["yes", "no"]), splits))
    assert report.leaked_documents.count == 2
    assert report.healthy


def test_an_empty_set_has_a_report():
    assert check(Dataset("none", Texts([], []), Texts([], []), {"train": Pairs.of([])})).healthy


def test_counts_by_source_and_task():
    rows = [
        {"query": "a", "positive": ["b", "c"], "source": "wiki"},
        {"query": "d", "positive": "e", "negative": "b", "source": "faq"},
        {"query": "f", "positive": "g", "source": "wiki"},
        {"query": "h", "positive": "i"},
    ]
    report = check(from_records(rows))
    counts = {name: astuple(value) for name, value in report.sources.items()}
    assert counts == {"wiki": (2, 3, 0), "faq": (1, 1, 1), "": (1, 1, 0)}
    assert report.tasks == {}
    lines = data_report(report, ()).splitlines()
    assert "  source wiki: 2 queries, 3 relevant, 0 negative" in lines
    assert "  source (none): 1 queries, 1 relevant, 0 negative" in lines
