"""Passages of documents as queries."""

import nearfar
from command_line import SMALL
from nearfar.data.augment import Rewritten, with_rewritten
from nearfar.data.cloze import ClozeConfig, passages, with_passages
from nearfar.data.config import DataConfig
from nearfar.data.read import from_records
from nearfar.data.split import ensure_splits

LONG = " ".join(["word"] * 6)


def dataset(count=40):
    rows = [{"query": f"how is part {i}", "positive": f"part {i} of engine {i} {LONG} stands {i} below {i}",
             "source": "ab"[i % 2]} for i in range(count)]  # fmt: skip
    rows.append({"query": "how is the short one", "positive": "seven words are too few for it", "source": "a"})
    return ensure_splits(from_records(rows), DataConfig())


def test_a_passage_stands_in_its_document_and_is_at_most_half_of_it():
    made = dataset()
    text_of = dict(zip(made.documents.ids, made.documents.texts, strict=True))
    found = passages(made, ClozeConfig(passages=3))
    for one in found:
        size, whole = len(one.text.split()), len(text_of[one.of].split())
        assert f" {one.text} " in f" {text_of[one.of]} "
        assert 4 <= size <= min(16, whole // 2)
    assert len({one.text for one in found}) == len(found)
    asked = {one.of for one in found}
    assert len(asked) >= 39  # but where all passages of one are another's
    assert all("seven words" not in text_of[name] for name in asked)


def test_the_share_and_the_seed_decide():
    made = dataset()
    half = passages(made, ClozeConfig(share=0.5))
    assert 0 < len(half) <= 21
    assert half == passages(made, ClozeConfig(share=0.5))
    assert half != passages(made, ClozeConfig(share=0.5, seed=1))


def test_passages_are_training_queries_for_their_documents_and_nothing_else_changes():
    before = dataset()
    found = passages(before, ClozeConfig())
    after = with_passages(before, found)
    assert after.documents == before.documents
    assert (after.splits["dev"], after.splits["test"]) == (before.splits["dev"], before.splits["test"])
    count = len(before.queries)
    assert list(after.queries.texts[:count]) == list(before.queries.texts)
    assert set(after.queries.sources[count:]) == {"cloze"}
    assert len(set(after.queries.ids)) == len(after.queries)
    pairs = after.splits["train"]
    new = {(after.queries.texts[q], after.documents.ids[d])
           for q, d in zip(pairs.queries.tolist(), pairs.documents.tolist(), strict=True) if q >= count}  # fmt: skip
    assert new == {(one.text, one.of) for one in found}
    assert with_passages(before, ()) is before


def test_passages_take_the_place_of_earlier_ones():
    before = dataset()
    once = with_passages(before, passages(before, ClozeConfig()))
    twice = with_passages(once, passages(once, ClozeConfig(passages=2, seed=1)))
    assert len(set(twice.queries.ids)) == len(twice.queries)
    asked = set(twice.splits["train"].queries.tolist())
    assert asked & set(range(len(before.queries), len(once.queries))) == set()
    assert len(asked) > len(before.queries)
    after = with_passages(twice, passages(twice, ClozeConfig(passages=0)))
    for name, pairs in before.splits.items():
        for column in ("queries", "documents", "scores"):
            assert getattr(after.splits[name], column).tolist() == getattr(pairs, column).tolist()


def test_rewritten_passages_go_with_them():
    before = dataset()
    once = with_passages(before, passages(before, ClozeConfig()))
    name = once.queries.ids[-1]
    more = with_rewritten(once, [Rewritten("in other words", name, "paraphrase")])
    assert len(more.splits["train"]) > len(once.splits["train"])
    assert len(with_passages(more, ()).splits["train"]) == len(before.splits["train"])


def test_queries_of_a_source_of_that_name_stay():
    rows = [{"query": f"how is {i}", "positive": f"part {i} {LONG}", "source": "cloze"} for i in range(40)]
    own = ensure_splits(from_records(rows), DataConfig())
    assert with_passages(own, ()) is own


def test_a_stage_of_a_run(tmp_path):
    stages = [{"kind": "cloze", "passages": 2}, {"kind": "train", "epochs": 1}]
    run = nearfar.fit(dataset(), base="static", out=tmp_path / "run", config={**SMALL, "stages": stages})
    line = run.record["stages"][0]
    lines = (run.path / "stages" / line["folder"] / "queries.jsonl").read_text().splitlines()
    assert len(lines) > 40
    plain = nearfar.fit(dataset(), base="static", out=tmp_path / "plain", config={**SMALL, "stages": stages[1:]})
    assert run.record["steps"] > plain.record["steps"]


def test_training_goes_on_without_them(tmp_path):
    train, without = {"kind": "train", "epochs": 1}, {"kind": "cloze", "passages": 0}
    first = [{"kind": "cloze", "passages": 2}, train]
    steps = [nearfar.fit(dataset(), base="static", out=tmp_path / str(number), config={**SMALL, "stages": stages})
             .record["steps"] for number, stages in enumerate([first, [train], [*first, without, train]])]  # fmt: skip
    assert steps[2] == steps[0] + steps[1]
    assert steps[0] > steps[1]
