"""The doctor's page: whole, safe with hostile text, with the figures that the findings' numbers can be drawn as."""

import re
from dataclasses import replace

import numpy as np
import pytest

from chromium import dom_of
from nearfar.core.ragged import Ragged
from nearfar.diagnose.evidence import Evidence, Questions, Subject
from nearfar.diagnose.finding import Finding, Fix, Threshold, unknown
from nearfar.pipeline.doctor import Diagnosis
from nearfar.pipeline.doctor_page import flat, keep, page_data, sentence, shown, spectrum, write_page
from nearfar.report import kept
from nearfar.report.doctor_contents import DiagnosisData
from nearfar.report.doctor_figures import figures, of_finding
from nearfar.report.html import render_diagnosis

HOSTILE = "</script><img onerror=\"document.title='owned'\" src=x><!-- <script>document.title='owned'</script>"
LONG = "Lists the files below a folder, newest first, and prints for each of them its size in bytes and its owner. " * 8
TEXTS = [f"find ./folder{i} -name '*.{end}' -mtime +{i}" for i in range(20) for end in ("py", "txt", "log")]


def vectors(rng, count, dimensions=16):
    return rng.normal(size=(count, dimensions)).astype(np.float32)


def evidence(count=60):
    rng = np.random.default_rng(0)
    documents = [HOSTILE, LONG, *TEXTS][:count]
    queries = [f"files that end in {i}" for i in range(20)] + [HOSTILE]
    relevant = Ragged.of([[i % count] for i in range(len(queries))])
    ndcg = np.array([0.0, 0.5, 1.0] * 7)
    subject = Subject("base", vectors(rng, 21), vectors(rng, 0), vectors(rng, count), ndcg, None)
    model = replace(subject, name="run", documents=subject.documents * np.geomspace(1, 0.1, 16, dtype=np.float32))
    return Evidence(documents, test=Questions(queries, relevant), training_size=1234, model=model, base=subject)


@pytest.fixture(scope="module")
def findings():
    rules = (Threshold("spread", 0.6, 0.4, "zoo"), Threshold("mean_cosine", 0.6, 0.8, "zoo"))
    collapse = {"spread": 0.31, "mean_cosine": 0.7, "uniformity": -0.4, "ndcg": 0.21, "last_loss": 0.02}
    shares = {f"met_at_{2**i}": 1 - 0.99 ** (2**i / 32) for i in range(5, 14)}
    shares |= {f"masked_at_{2**i}": (1 - 0.99 ** (2**i / 32)) / 3 for i in range(5, 14)}
    bins = {f"ndcg_bin_{i}": 0.8 - 0.15 * i for i in range(1, 5)} | {"gap": 0.45}
    recalls = {f"recall_{q}_queries_{d}_documents": 0.81 if q == d else 0.07
               for q in ("old", "new") for d in ("old", "new")}  # fmt: skip
    patch = {"train": {"temperature": 0.05, "learning_rate": None, "loss": {"info_nce": 1.0, "anti_collapse": 0.1}}}
    pairs = tuple({"document": TEXTS[i], "other": TEXTS[-i], "cosine": 0.98} for i in range(1, 7))
    triple = {"query": "files that end in 3", "document": TEXTS[3], "distractor": HOSTILE, "score": 0.71}
    return (
        Finding("collapse", "fail", "spread 0.31 is at or below 0.4", collapse, rules, pairs,
                Fix(patch, "train again with a temperature of 0.05 or more")),
        Finding("false_negatives", "watch", "a third of the batches", shares, (), ({"document": LONG, "other": LONG},)),
        Finding("shortcut", "ok", f"nothing {HOSTILE}", {"share": float("nan")}, (), (triple,)),
        Finding("overfit", "watch", "gap 0.45", bins, (), ({"leaked query": "files that end in 7"},)),
        replace(unknown("drift", "an index"), figures=recalls),
    )  # fmt: skip


@pytest.fixture(scope="module")
def found(findings):
    return Diagnosis("run", findings, evidence())


@pytest.fixture(scope="module")
def data(found):
    return page_data(found)


def test_hostile_text_is_never_markup(data, findings):
    hostile = replace(
        findings[0], failure="a</script>", examples=({HOSTILE: HOSTILE},), fix=Fix({HOSTILE: HOSTILE}, HOSTILE)
    )
    page = render_diagnosis(replace(data, title=HOSTILE, verdict=HOSTILE, findings=(*findings, hostile)))
    assert any(HOSTILE[:60] in point.text for point in data.place.points)
    assert HOSTILE not in page
    assert "<img" not in page.split("<script>")[0]
    assert len(re.findall(r"<script\b", page.lower())) == len(re.findall(r"</script>", page.lower())) == 3


def test_nothing_is_loaded_from_anywhere(data):
    own = re.sub(r"<script>.*?</script>", "", render_diagnosis(data), flags=re.DOTALL)
    assert "default-src &#39;none&#39;" in own
    assert not re.search(r"<(link|img|iframe|object|embed)\b|@import|url\(", own)
    assert set(re.findall(r"<a href=\"(.)", own)) == {"#"}


def test_verdicts_come_first_and_in_words(data):
    page = render_diagnosis(data)
    table = page[page.index('<table class="verdicts">') : page.index("</table>")]
    assert re.findall(r'class="badge \w+">([^<]+)<', table) == ["fail", "watch", "ok", "watch", "cannot tell"]
    assert data.verdict == "found: collapse; to be watched: false negatives, overfit; cannot be told: drift"


def test_a_healthy_sentence_says_what_was_not_looked_at():
    assert sentence([Finding("collapse", "ok", "", {})]) == "none of the failures was found"
    assert sentence([unknown("drift", "an index")]) == "none of the failures was found; cannot be told: drift"


def test_figures_are_found_by_their_names(findings):
    drawn = {finding.failure: [figure.name for figure in of_finding(finding)] for finding in findings}
    assert drawn == {"collapse": [], "false_negatives": ["false_negatives-sizes"], "shortcut": [],
                     "overfit": ["overfit-bins"], "drift": ["drift-recall"]}  # fmt: skip


def test_every_cell_of_the_recall_matrix_is_drawn(findings):
    (figure,) = of_finding(findings[-1])
    rows = next(iter(figure.panels[0]["datasets"].values()), None) or figure.panels[0]["data"]["values"]
    assert {(row["queries"], row["documents"]): row["recall"] for row in rows} == {
        ("old queries", "old documents"): 0.81, ("old queries", "new documents"): 0.07,
        ("new queries", "old documents"): 0.07, ("new queries", "new documents"): 0.81}  # fmt: skip
    assert "0.07" in figure.title


def test_two_texts_of_an_example_stand_side_by_side(data):
    page = render_diagnosis(data)
    pairs = [re.split("<details|<p |</section", rest)[0] for rest in page.split('<div class="pair">')[1:]]
    assert {pair.count("<pre>") for pair in pairs} == {2}
    assert len(pairs) == 6 + 1 + 1
    assert "temperature: 0.05\n" in page


def test_points_are_coloured_by_finding(data, found):
    labels = {point.label for point in data.place.points}
    assert labels == {
        "document",
        "query answered",
        "query not answered",
        "collapse",
        "shortcut",
        "overfit",
        "false_negatives",
    }
    (leaked,) = (point for point in data.place.points if point.text == "files that end in 7")
    assert (leaked.kind, leaked.label, leaked.heading) == (
        "query",
        "overfit",
        "query answered, in an example of overfit",
    )
    plain = [point.label in {"document"} for point in data.place.points]
    assert plain == sorted(plain, reverse=True)  # what was found is drawn on top
    assert len(data.place.points) == len(found.evidence.documents) + len(found.evidence.test)
    assert data.place.title.startswith("7 of 21 queries")


def test_what_examples_name_is_kept_by_id_the_worst_last(findings, tmp_path):
    looked = evidence()
    ids = [f"d{row}" for row in range(len(looked.documents))]
    keep(Diagnosis("run", findings, replace(looked, ids=ids)), tmp_path)
    found = kept.named(tmp_path)
    assert list(found) == ["shortcut", "false_negatives", "overfit", "collapse"]
    assert found["false_negatives"] == (("d1",), ())  # LONG, once
    assert found["overfit"] == ((), ("files that end in 7",))
    assert found["shortcut"] == ((f"d{TEXTS.index(TEXTS[3]) + 2}", "d0"), ("files that end in 3",))
    texts = dict(zip(ids, looked.documents, strict=True))
    assert {texts[id_] for id_ in found["collapse"].documents} <= {*TEXTS[1:7], *TEXTS[-6:]}
    assert repr(kept.findings(tmp_path)) == repr(findings)


def test_texts_on_hover_are_short():
    assert shown("a\n  b") == "a b"
    assert len(shown("x" * 1000)) == 120


def test_few_points_are_placed_by_their_components():
    rng = np.random.default_rng(0)
    line = np.outer(np.linspace(-1, 1, 9), rng.normal(size=5)).astype(np.float32) + 3
    places, method = flat(line)
    assert method == "Principal components"
    assert (np.diff(places[:, 0]) > 0).all() or (np.diff(places[:, 0]) < 0).all()
    assert flat(np.ones((4, 1), np.float32))[0].shape == (4, 2)


@pytest.mark.slow
def test_many_points_are_placed_near_their_neighbours_and_the_same_each_time():
    rng = np.random.default_rng(0)
    centres = np.repeat(np.eye(4, 16, dtype=np.float32) * 5, 20, axis=0)
    rows = centres + rng.normal(size=centres.shape).astype(np.float32) * 0.3
    places, method = flat(rows)
    assert method == "UMAP"
    np.testing.assert_array_equal(places, flat(rows)[0])
    apart = np.linalg.norm(places[:, None] - places[None], axis=-1)
    np.fill_diagonal(apart, np.inf)
    assert (apart.argmin(axis=1) // 20 == np.arange(80) // 20).all()
    assert np.isfinite(flat(np.ones((60, 8), np.float32))[0]).all()  # a collapsed model's


def test_spectrum_is_of_unit_vectors():
    values = spectrum(np.eye(6, dtype=np.float32)[[0, 0, 0, 0, 1]] * 7)
    np.testing.assert_allclose(values[:2], [2, 1], atol=1e-6)


def test_parts_without_data_are_left_out(findings):
    bare = page_data(Diagnosis("data", findings[:1], Evidence(documents=TEXTS)))
    assert figures(bare) == []
    assert bare.place is None
    assert "Collapse" in render_diagnosis(bare)
    assert "Facts" not in render_diagnosis(DiagnosisData("t", "v", ()))


@pytest.mark.browser
def test_a_browser_draws_every_figure(found, tmp_path):
    path = tmp_path / "doctor.html"
    write_page(found, path)
    dom = dom_of(path, tmp_path / "profile")
    panels = re.findall(r'<div class="panel[^>]*id="([^"]+)"[^>]*>(.{0,600})', dom, re.DOTALL)
    assert [name for name, body in panels if "<svg" not in body] == []
    assert [name for name, _ in panels] == ["map-0", "spectrum-0", "similarities-0", "similarities-1",
                                            "false_negatives-sizes-0", "overfit-bins-0", "drift-recall-0"]  # fmt: skip
    assert "<title>owned" not in dom


def test_a_figure_that_decides_nothing_alone_has_no_colour(data):
    rules = (Threshold("decided", 0.5, 0.7, "zoo"), Threshold("masked_drop", 0.02, 0.04, "zoo"))
    figures = {"decided": 0.09, "masked_drop": 0.338}
    page = render_diagnosis(replace(data, findings=(Finding("shortcut", "ok", "", figures, rules),)))
    assert re.findall(r'<td class="(\w*)">(0\.\d+)</td>', page) == [("ok", "0.09"), ("", "0.338")]
