"""Queries rewritten by rules: what is taken out or reordered, what is kept, and what never changes."""

import json
import re
from collections import Counter

import numpy as np
import pytest

import nearfar
from command_line import SMALL
from nearfar.core.folding import folded
from nearfar.core.surface import TOKEN
from nearfar.data.augment import (
    AUGMENTATIONS,
    AugmentConfig,
    rewritten,
    with_rewritten,
)
from nearfar.data.batches import batch_source
from nearfar.data.config import DataConfig
from nearfar.data.paraphrase import HEADS, INSIDE, LINKS, paraphrase
from nearfar.data.read import from_records
from nearfar.data.split import ensure_splits

RULES = AugmentConfig(share=1.0)
WRITTEN = {"acme", "and", "what", "routers", "are", "listen", "prices"}  # small in some document


def masked(kind, query, documents):
    return AUGMENTATIONS[kind].rewrite(query, documents, WRITTEN, generator())


def generator(seed=0):
    return np.random.default_rng(seed)


@pytest.mark.parametrize(
    ("query", "document", "expected"),
    [
        ("what does the X200 cost today?", "The X200 costs 3 dollars.", "what does the cost today?"),
        ("what does fuel cost on 2024-01-02 here", "Prices of 2024-01-02", "what does fuel cost on here"),
        ("join parts with os.path.join please", "os.path.join(a, b)", "join parts with please"),
        ("escape text with htmlEscape or html_escape", "htmlEscape html_escape", "escape text with or"),
        ("parse an HTTP header by hand", "def parse(): HTTP", "parse an header by hand"),
        ("open a file (RFC 2616) for reading", "RFC 2616", "open a file for reading"),
        ("list files of '/usr/local' by size", "ls '/usr/local'", "list files of by size"),
        ("show the last 10 .conf files", "tail -n 10", "show the last .conf files"),
        ("sort lines with -n please", "sort -n", "sort lines with please"),
        ("a well-known file", "a well-known file", None),
        ("what does the X200 cost today?", "The X201 costs 3 dollars.", None),  # not shared
        ("what does the router cost today?", "router cost", None),  # words, which carry the meaning
        ("what does the router of Acme cost?", "router cost Acme", None),
        ("price of X200", "X200", None),  # too little would be left
    ],
)
def test_what_query_and_document_share_letter_by_letter_is_taken_out(query, document, expected):
    assert masked("mask", query, [document]) == expected


@pytest.mark.parametrize(
    ("query", "document", "expected"),
    [
        ("what does the router of Acme cost?", "Acme sells routers", "what does the router of cost?"),
        ("Routers are sold by Acme. Prices of Acme change.", "Acme", "Routers are sold by. Prices of change."),
        ("Acme sells routers at what price", "Acme", None),  # a capital at the beginning says nothing
        ("Listen: Acme sells routers", "Acme", None),
        ("what is Pendred syndrome", "Pendred syndrome", None),
    ],
)
def test_names_are_taken_out_when_asked_for(query, document, expected):
    assert masked("names", query, [document]) == expected
    assert "names" not in AugmentConfig().kinds


def test_a_first_word_is_a_name_where_no_document_writes_it_small():
    assert masked("names", "Bakilo sells routers at what price", ["Bakilo"]) == "sells routers at what price"


def test_a_family_alone_is_taken_out():
    query = "since 2024-05-06 what does X200 at port 80 say"
    assert masked("dates", query, [query]) == "since what does X200 at port 80 say"
    assert masked("numbers", query, [query]) == "since 2024-05-06 what does X200 at port say"
    assert masked("identifiers", query, [query]) == "since 2024-05-06 what does at port 80 say"
    assert masked("acronyms", query, [query]) is None


def test_any_of_the_documents_counts():
    assert masked("mask", "compare A1 and B2 models now", ["A1", "B2"]) == "compare and models now"


FUNCTION_WORDS = {word for phrases in (HEADS, INSIDE) for old, new in phrases.items()
                  for phrase in (old, *new) for word in re.findall(r"[\w']+", phrase.lower())}  # fmt: skip
FUNCTION_WORDS |= {*LINKS.split("|"), "if", "when"}
QUESTIONS = [
    "How do I restart the router after a storm?", "what is the capital of France", "Where is the key?",
    "If the router is hot, turn it off.", "turn it off because the router is hot", "can I pay later",
    "I can't open the file unless Anna unlocks it", "I want to know whether it rains in Rome",
    "Is it possible to open two files in order to compare them?", "stone river", "",
]  # fmt: skip


def content(text):
    return Counter(word for word in re.findall(r"[\w']+", text.lower()) if word not in FUNCTION_WORDS)


@pytest.mark.parametrize("query", QUESTIONS)
@pytest.mark.parametrize("seed", range(8))
def test_a_paraphrase_keeps_every_word_that_is_asked_for(query, seed):
    found = paraphrase(query, generator(seed))
    if query in ("stone river", ""):
        assert found is None
        return
    assert folded(found) != folded(query)
    assert content(found) == content(query)
    assert found[0].isupper() == query[0].isupper()
    assert found[-1:] in ".?" if query[-1] in ".?" else found[-1:].isalnum()
    assert paraphrase(query, generator(seed)) == found


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("If the router is hot, turn it off.", "Turn it off if the router is hot."),
        ("Where can I find the key?", {"Where do I find the key?", "Where do I get the key?"}),
        ("the door does not open", "the door doesn't open"),
        ("Anna stays because Ben leaves", {"Anna stays since Ben leaves", "Since Ben leaves, Anna stays",
                                           "Anna stays as Ben leaves", "As Ben leaves, Anna stays",
                                           "Because Ben leaves, Anna stays"}),
    ],
)  # fmt: skip
def test_rules_by_hand(query, expected):
    found = {paraphrase(query, generator(seed)) for seed in range(12)}
    assert found <= ({expected} if isinstance(expected, str) else expected)


def dataset(count=60):
    rows = [{"query": f"how do I find part X{i} of the engine", "positive": f"part X{i} is below the engine {i}",
             "negative": f"part Y{i} is not there", "group": f"g{i}", "source": "ab"[i % 2], "task": "t"}
            for i in range(count)]  # fmt: skip
    return ensure_splits(from_records(rows), DataConfig())


def test_new_queries_are_training_queries_and_nothing_else_changes():
    before = dataset()
    after = with_rewritten(before, rewritten(before, RULES))
    assert after.documents == before.documents
    for split in ("dev", "test"):
        one, other = before.judged(split), after.judged(split)
        assert np.array_equal(one.queries, other.queries)
        assert np.array_equal(one.documents.values, other.documents.values)
    count = len(before.queries)
    assert list(after.queries.texts[:count]) == list(before.queries.texts)
    new = set(after.splits["train"].queries.tolist()) - set(before.splits["train"].queries.tolist())
    assert new == set(range(count, len(after.queries)))
    asked = {before.queries.texts[row] for split in ("dev", "test") for row in before.splits[split].queries}
    held_out = {re.search(r"X\d+", text)[0] for text in asked}
    for row in new:
        assert not any(re.search(rf"{name}\b", after.queries.texts[row]) for name in held_out)


def test_what_the_new_queries_are():
    """Masked, they all say the same, which is made once; paraphrased, each says its own in other words."""
    before = dataset()
    made = rewritten(before, RULES)
    kinds = Counter(one.kind for one in made)
    assert kinds == {"mask": 1, "paraphrase": 48}
    after = with_rewritten(before, made)
    row_of = {name: row for row, name in enumerate(after.queries.ids)}
    assert len(row_of) == len(after.queries)
    pairs = after.splits["train"]
    for one in made:
        new, old = row_of[f"{one.of}+{one.kind}"], row_of[one.of]
        assert after.queries.sources[new] == f"{after.queries.sources[old]}+{one.kind}"
        assert (after.queries.groups[new], after.queries.tasks[new]) == (after.queries.groups[old], "t")
        judged = {row: {(int(d), float(s)) for d, s in zip(pairs.documents[pairs.queries == row],
                                                            pairs.scores[pairs.queries == row], strict=True)}
                  for row in (new, old)}  # fmt: skip
        kept = judged[old] if one.kind == "paraphrase" else {pair for pair in judged[old] if pair[1] > 0}
        assert judged[new] == kept
        assert len(judged[old]) == 2
    assert {"a", "b", "a+paraphrase", "b+paraphrase"} < set(batch_source(after).labels["source"][0])
    assert "rewrote train queries: 1 by mask, 48 by paraphrase" in after.notices


def test_a_text_that_is_known_is_not_made_again():
    """The paraphrase of one query is a test query or a document: it would leak, or answer itself."""
    rows = [("How do I swim", "d1"), ("how can I swim", "d2"), ("is it possible to swim", "d3"), ("Can I swim", "d4"),
            ("d5", "how to swim"), ("d6", "what is the way to swim"), ("am I able to swim", "d7"),
            ("Can I run", "d8")]  # fmt: skip
    made = rewritten(from_records(rows), AugmentConfig(share=1.0, kinds=("paraphrase",)))
    texts = [folded(one.text) for one in made]
    assert texts
    assert not {folded(text) for row in rows for text in row} & set(texts)
    assert len(set(texts)) == len(texts)


def test_the_share_and_the_seed():
    data = dataset(100)
    one = rewritten(data, AugmentConfig(share=0.25, kinds=("paraphrase",)))
    assert len(one) == 20
    assert one == rewritten(data, AugmentConfig(share=0.25, kinds=("paraphrase",)))
    other = rewritten(data, AugmentConfig(share=0.25, kinds=("paraphrase",), seed=1))
    assert {x.of for x in other} != {x.of for x in one}
    both = rewritten(data, AugmentConfig(share=0.25))
    assert [x for x in both if x.kind == "paraphrase"] == list(one)  # a kind does not disturb another


def test_without_labels_the_source_is_the_way_alone():
    data = from_records([(f"how do I find the engine {i}", f"d {i}") for i in range(9)])
    after = with_rewritten(data, rewritten(data, AugmentConfig(share=1.0, kinds=("paraphrase",))))
    assert set(after.queries.sources) == {"", "paraphrase"}
    assert after.queries.groups == ()
    assert with_rewritten(data, ()) is data


def test_every_way_is_explained():
    for name, way in AUGMENTATIONS.items():
        assert way.purpose, name
        assert way.source, name
    assert TOKEN.findall("a b.c 1.2.3-x, (d)") == ["a", "b.c", "1.2.3-x", "d"]


def test_rewritten_queries_may_take_the_place_of_their_own():
    before = dataset()
    made = rewritten(before, AugmentConfig(share=0.5, kinds=("paraphrase",), replace=True))
    after = with_rewritten(before, made, replacing=True)
    text_of = dict(zip(before.queries.ids, before.queries.texts, strict=True))
    for split in ("train", "dev"):
        old, new = (
            {part.queries.texts[row] for row in part.splits[split].queries.tolist()} for part in (before, after)
        )
        assert new - old == {one.text for one in made if one.split == split}
        assert old - new == {text_of[one.of] for one in made if one.split == split}
        assert len(new) == len(old)
    assert {one.split for one in made} == {"train", "dev"}
    assert after.splits["test"] == before.splits["test"]


def test_a_stage_of_a_run(tmp_path):
    rows = [(f"how do I find part X{i} of the engine", f"part X{i} is below the engine {i}") for i in range(60)]
    stages = [{"kind": "augment", "share": 0.5}, {"kind": "mine", "model": "bm25"}, {"kind": "train", "epochs": 1}]
    run = nearfar.fit(rows, base="static", out=tmp_path / "run", config={**SMALL, "stages": stages})
    line = run.record["stages"][0]
    lines = (run.path / "stages" / line["folder"] / "queries.jsonl").read_text().splitlines()
    assert Counter(json.loads(one)["kind"] for one in lines) == {"mask": 1, "paraphrase": 24}
    assert len(run.index) == 60
    assert run.record["data"]["queries"] == {"train": 48, "dev": 6, "test": 6}
    plain = nearfar.fit(rows, base="static", out=tmp_path / "plain", config={**SMALL, "stages": stages[1:]})
    assert plain.record["metrics"]["bm25"] == run.record["metrics"]["bm25"]
    assert run.record["steps"] > plain.record["steps"]
