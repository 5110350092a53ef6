import json
import shutil
from dataclasses import replace

import numpy as np
import pytest

from command_line import nearfar
from nearfar.core.ragged import Ragged
from nearfar.diagnose.drift import diagnose
from nearfar.diagnose.evidence import Evidence, Questions, Stored, Subject
from nearfar.encoder.encode import encode
from nearfar.encoder.precision import Policy
from nearfar.encoder.raw import raw_norm
from nearfar.encoder.save import save_encoder
from nearfar.index.canaries import TEXTS as CANARIES
from nearfar.index.canaries import Canaries
from nearfar.index.generation import Documents, open_index, write_index
from nearfar.pipeline.doctor import diagnose as doctor
from tiny_models import sentences, tiny_static

COUNT, WIDTH = 120, 16


def unit(rows):
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def cloud(seed, width=WIDTH, rows=COUNT):
    return unit(np.random.default_rng(seed).standard_normal((rows, width)))


def near(vectors, distance=0.3, seed=5):
    noise = np.random.default_rng(seed).standard_normal(vectors.shape)
    return unit(vectors + distance * noise / np.sqrt(vectors.shape[1]))


def stored(old, new, *, asked_by="old", queries=COUNT, **changes):
    """An index of `old` vectors asked by a model that would make `new` ones; each query lies near its document."""
    texts = [f"text {i}" for i in range(len(old))]
    questions = Questions([f"query {i}" for i in range(queries)], Ragged.of([[i] for i in range(queries)]))
    known = {"old_queries": near(old)[:queries]} | changes
    return Stored("run/index", "old", 5000, texts, texts, old, "new-run", asked_by, new, questions, near(new)[:queries],
                  seconds=120.0, **known)  # fmt: skip


def found(*arguments, **changes):
    return diagnose(Evidence(stored=stored(*arguments, **changes)))


def test_its_own_model_is_fine():
    finding = found(cloud(0), cloud(0))
    assert (finding.verdict, finding.examples, finding.fix.advice) == ("ok", (), "")
    cells = [value for name, value in finding.figures.items() if name.startswith("recall_") and "queries" in name]
    assert len(cells) == 4
    assert min(cells) > 0.95
    assert finding.figures["cosine"] == pytest.approx(1, abs=1e-5)


def test_rounding_to_bf16_is_fine():
    rounded = (cloud(0).view(np.uint32) & 0xFFFF0000).astype(np.uint32).view(np.float32)
    assert found(cloud(0), rounded).verdict == "ok"


def test_a_foreign_model_fails_and_says_what_is_lost():
    finding = found(cloud(0), cloud(1), asked_by="new")
    assert finding.verdict == "fail"
    assert finding.figures["recall_new_queries_new_documents"] > 0.95
    assert finding.figures["recall_new_queries_old_documents"] < 0.3
    assert finding.figures["recall_lost"] == pytest.approx(
        finding.figures["recall_new_queries_new_documents"] - finding.figures["recall_new_queries_old_documents"]
    )
    assert len(finding.examples) == 10
    assert finding.examples[0]["query"] == "query " + str(finding.examples[0]["document"]).removeprefix("text ")
    assert "nearfar index build --from run/index --model new-run" in finding.fix.advice
    assert "5,000 documents (about 2 minutes, 0.3 MB of vectors)" in finding.fix.advice
    assert finding.fix.patch == {}


def test_a_model_that_moved_a_little_is_watched():
    finding = found(cloud(0), near(cloud(0), 0.05), asked_by="new")
    assert finding.verdict == "watch"
    assert finding.figures["cosine"] > 0.99


def test_a_worse_model_is_told_from_a_stale_index():
    """New queries find in the stored vectors what they find in their own; both less than the old ones did."""
    blurred = unit(cloud(0) * np.r_[np.ones(3), np.zeros(WIDTH - 3)] + 1e-3 * cloud(3))
    finding = found(cloud(0), blurred, asked_by="new")
    assert finding.verdict == "fail"
    assert finding.figures["recall_dropped"] > 0.03
    assert finding.fix.advice.startswith("ask with the index's own model, old, which is better")


def test_other_dimensions_fail_without_a_crash():
    finding = found(cloud(0), cloud(0, 24), asked_by="new", canaries=(cloud(0), cloud(0, 24)))
    assert (finding.verdict, finding.figures["dimensions_differ"]) == ("fail", 1)
    assert "recall_new_queries_old_documents" not in finding.figures
    assert "recall_new_queries_new_documents" in finding.figures
    assert not {"cosine", "canary_cosine"} & set(finding.figures)
    assert 0 < finding.figures["cka"] < 1
    assert "16 dimensions are stored, 24 are asked with" in finding.summary


@pytest.mark.parametrize(("rows", "verdict"), [(1, "watch"), (40, "fail")])
def test_damaged_vectors_of_the_same_model_are_named(rows, verdict):
    damaged = cloud(0).copy()
    damaged[:rows] = np.roll(damaged[:rows] if rows > 1 else -damaged[:rows], 1, axis=0)
    finding = found(damaged, cloud(0), old_queries=near(cloud(0)))
    assert finding.verdict == verdict
    assert finding.figures["changed"] == pytest.approx(rows / COUNT)
    assert {example["document"] for example in finding.examples} <= {f"text {i}" for i in range(rows)}


def test_what_is_no_number_is_named_with_its_text():
    broken = cloud(0).copy()
    broken[7] = np.nan
    finding = found(broken, cloud(0), not_finite=[("id 7", "text 7")])
    assert finding.verdict == "fail"
    assert finding.examples[0] == {"id": "id 7", "stored as no number": "text 7"}
    finding = found(cloud(0), broken)
    assert finding.verdict == "fail"
    assert finding.examples[0] == {"id": "text 7", "encoded as no number": "text 7"}
    assert finding.figures["cosine"] == pytest.approx(1, abs=1e-5)  # of the others


@pytest.mark.parametrize(("distance", "verdict"), [(0.05, "watch"), (2.0, "fail")])
def test_few_queries_leave_cosines_to_judge_by(distance, verdict):
    finding = found(cloud(0), near(cloud(0), distance), asked_by="new", queries=5)
    assert finding.verdict == verdict
    assert {rule.figure for rule in finding.thresholds} >= {"cosine", "canary_cosine"}


def test_all_broken_is_no_crash():
    nothing = np.full((COUNT, WIDTH), np.nan, np.float32)
    finding = found(nothing, nothing, asked_by="new", not_finite=[("a", "b")])
    assert finding.verdict == "fail"


@pytest.mark.parametrize("evidence", [Evidence(), Evidence(stored=stored(cloud(0)[:0], cloud(0)[:0], queries=0))])
def test_without_an_index_nothing_can_be_told(evidence):
    assert diagnose(evidence).verdict == "unknown"


def subject(name, vectors):
    return Subject(name, near(vectors), vectors[:0], vectors, np.ones(COUNT), lambda texts, role: vectors, name)


def test_a_base_is_measured_and_is_no_failure():
    test = Questions([f"query {i}" for i in range(COUNT)], Ragged.of([[i] for i in range(COUNT)]))
    evidence = Evidence([f"text {i}" for i in range(COUNT)], test=test, model=subject("new", cloud(0)),
                        base=subject("old", cloud(1)))  # fmt: skip
    alone = diagnose(evidence)
    assert alone.verdict == "unknown"
    assert alone.figures["base_recall_lost"] > 0.5
    assert "an index made with old would be stale: recall@10 0." in alone.summary
    with_index = diagnose(replace(evidence, stored=stored(cloud(0), cloud(0))))
    assert with_index.verdict == "ok"
    assert with_index.figures["base_recall_lost"] == alone.figures["base_recall_lost"]


TEXTS = sentences(80, 9)


def write(folder, encoder, *, canaries=True, part="index"):
    vectors = encode(encoder, TEXTS, "document", Policy())
    kept = Canaries(CANARIES, encode(encoder, CANARIES, "document", Policy())) if canaries else None
    documents = Documents([f"d{i}" for i in range(len(TEXTS))], TEXTS, vectors, kept)
    write_index(folder / part, documents, fingerprint=encoder.fingerprint(), similarity="cosine")


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A run's model and index, and another model."""
    folder = tmp_path_factory.mktemp("drift")
    save_encoder(tiny_static(), folder / "run" / "model", card="")
    write(folder / "run", tiny_static())
    save_encoder(tiny_static(seed=1), folder / "other", card="")
    shutil.copytree(folder / "run" / "index", folder / "alone")
    write(folder, tiny_static(), canaries=False, part="early")
    return folder


def drift(index, model):
    *others, finding = doctor(model, index=index).findings
    assert all(other.verdict == "unknown" for other in others)
    return finding


def test_canaries_are_kept_with_an_index(runs):
    kept = open_index(runs / "alone").canaries
    assert kept.texts == CANARIES
    np.testing.assert_array_equal(kept.vectors, encode(tiny_static(), CANARIES, "document", Policy()))
    assert open_index(runs / "early").canaries is None


def test_an_index_and_its_model(runs):
    finding = drift(runs / "run", runs / "run")
    assert finding.verdict == "ok"
    assert finding.figures["canary_cosine"] == pytest.approx(1, abs=1e-5)
    assert finding.figures["documents"] == 80
    assert finding.figures["megabytes"] == pytest.approx(80 * tiny_static().dimension * 4 / 1e6)
    assert finding.figures["minutes"] >= 0


@pytest.mark.parametrize(("index", "old"), [("run", True), ("run/index", True), ("alone", False), ("early", False)])
def test_an_index_and_another_model(runs, index, old):
    finding = drift(runs / index, runs / "other")
    assert finding.verdict == "fail"
    assert ("recall_old_queries_old_documents" in finding.figures) is old
    assert ("old_query_norm" in finding.figures) is old
    assert ("canary_cosine" in finding.figures) is (index != "early")


def test_norms_are_those_before_normalisation():
    encoder = tiny_static()
    table = encoder.model[0].embedding.weight.detach().numpy()
    ids = [encoder.tokenizer.encode(text, add_special_tokens=False).ids for text in TEXTS]
    expected = np.mean([np.linalg.norm(table[row].mean(axis=0)) for row in ids])
    assert raw_norm(encoder, TEXTS, "document", Policy()) == pytest.approx(expected, rel=1e-4)
    assert np.isnan(raw_norm(encoder, [], "query", Policy()))


def test_the_verb_and_its_fix(runs, tmp_path):
    done = nearfar("doctor", "index", runs / "run", "--model", runs / "other", "--json", "--strict")
    assert done.code == 1
    finding = json.loads(done.out)["findings"][-1]
    assert (finding["failure"], finding["verdict"]) == ("drift", "fail")
    built = nearfar("index", "build", "--from", runs / "run", "--model", runs / "other", "--out", tmp_path / "new")
    assert built.code == 0
    shown = nearfar("doctor", "index", tmp_path / "new", "--model", runs / "other", "--strict")
    assert shown.code == 0
    assert "drift             ok" in shown.out
    assert open_index(tmp_path / "new").texts == tuple(TEXTS)
    assert (
        nearfar("index", "build", "--from", runs / "run", "--model", runs / "other", "--out", tmp_path / "new").code
        == 2
    )


def write_beir(folder, texts):
    (folder / "qrels").mkdir(parents=True)
    rows = {"queries": [f"which one is {i}" for i in range(len(texts))], "corpus": texts}
    for name, column in rows.items():
        lines = [json.dumps({"_id": str(i), "title": "", "text": text}) for i, text in enumerate(column)]
        (folder / f"{name}.jsonl").write_text("\n".join(lines) + "\n")
    lines = ["query-id\tcorpus-id\tscore", *(f"{i}\t{i}\t1" for i in range(len(texts)))]
    (folder / "qrels" / "test.tsv").write_text("\n".join(lines) + "\n")
    return folder


def test_judged_queries_are_found_by_the_text_of_their_documents(runs, tmp_path):
    """The ids of the data set are others than those of the index, and some of its documents are in no index."""
    data = write_beir(tmp_path / "data", [*reversed(TEXTS), *sentences(9, 77)])
    found = doctor(runs / "run", index=runs / "run", data=data).evidence.stored
    asked = zip(found.questions.queries, found.questions.relevant, strict=True)
    answers = {query: [found.texts[row] for row in rows] for query, rows in asked}
    assert answers == {f"which one is {i}": [text] for i, text in enumerate(reversed(TEXTS))}


def test_too_few_judged_queries_give_way_to_first_words(runs, tmp_path):
    data = write_beir(tmp_path / "data", TEXTS[:9])
    found = doctor(runs / "run", index=runs / "run", data=data).evidence.stored
    assert len(found.questions) == len(TEXTS)
    for query, rows in zip(found.questions.queries, found.questions.relevant, strict=True):
        assert found.texts[rows[0]].startswith(query)
