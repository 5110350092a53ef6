"""The rule for codes, on codecs fitted to made-up documents: of the same kind, of another, with a broken codebook."""

import json
import math
from dataclasses import asdict, replace

import numpy as np
import pytest

from nearfar.cli.show import json_line
from nearfar.compress.codec import Sample
from nearfar.compress.health import distortions, health
from nearfar.compress.registry import fit, kind_of
from nearfar.diagnose.codebooks import Coded, Look, Usage, diagnose, kept


def documents(count, place=0, seed=0):
    """Unit vectors (count, 32) near six directions of a place's own, and a little of everywhere."""
    generator = np.random.default_rng([seed, place])
    directions = np.random.default_rng([7, place]).normal(size=(6, 32))
    found = generator.normal(size=(count, 6)) @ directions + 0.3 * generator.normal(size=(count, 32))
    return (found / np.linalg.norm(found, axis=1, keepdims=True)).astype(np.float32)


def look(codec, name, vectors, queries):
    texts = [f"text {row}" for row in range(len(vectors))]
    codes = codec.encode(vectors)
    usage = None
    if kind_of(name).codebooks:
        usage = Usage(*asdict(health(codes)).values(), centroids=256, codes=len(codes))
    return Look(
        [f"d{row}" for row in range(len(vectors))],
        texts,
        vectors,
        codes,
        distortions(codec, vectors, codes),
        queries,
        usage,
    )


def coded(name, size, fitted_to=4000):
    own = documents(fitted_to)
    codec = fit(name, Sample(own, own[:0]), size)
    seen = look(codec, name, own, documents(100, seed=1))
    error = float(distortions(codec, own, seen.codes).mean())
    return Coded("run", name, size, codec.score, fitted_to, seen, None, seen.usage, error), codec


def given(codec, name, place, seed=5):
    return look(codec, name, documents(1500, place, seed), documents(100, place, seed + 1))


CASES = [("pq", 8), ("opq", 8), ("rq", 4)]


@pytest.mark.parametrize(("name", "size"), [*CASES, ("binary", 4), ("int8", 32), ("rabitq", 12)])
def test_codes_of_their_own_documents_are_healthy(name, size):
    found = diagnose(coded(name, size)[0])
    assert found.verdict == "ok", found.summary
    assert found.figures["residual_drift"] == pytest.approx(1, abs=1e-3)
    assert found.examples == ()
    assert f"{name}, {size} bytes" in found.summary


@pytest.mark.parametrize(("name", "size"), [("pq", 8), ("opq", 8), ("binary", 4), ("int8", 32)])
def test_so_are_those_of_new_documents_of_the_same_kind(name, size):
    codes, codec = coded(name, size)
    found = diagnose(replace(codes, given=given(codec, name, place=0)))
    assert found.verdict == "ok", found.summary
    assert abs(found.figures["neighbours_lost"]) < 0.1


@pytest.mark.parametrize(("name", "size"), CASES)
def test_documents_from_elsewhere_are_drift_and_the_worst_are_shown(name, size):
    codes, codec = coded(name, size)
    there = given(codec, name, place=1)
    found = diagnose(replace(codes, given=there))
    assert found.verdict == "fail", found.summary
    assert "residual drift" in found.summary
    errors = distortions(codec, there.vectors, there.codes)
    assert found.figures["residual_drift"] == pytest.approx(errors.mean() / codes.fitted_error, rel=1e-2)
    assert [example["id"] for example in found.examples] == [f"d{row}" for row in np.argsort(-errors)[:10]]
    assert found.examples[0]["error"] == pytest.approx(errors.max(), rel=1e-4)
    assert f"nearfar compress run --codec {name} --bytes {size} --overwrite" in found.fix.advice
    assert json.loads(json_line(asdict(found)))["verdict"] == "fail"


def test_neighbours_are_counted_one_by_one():
    codes, codec = coded("pq", 4)
    own = codes.own
    exact, ours = own.queries @ own.vectors[:2000].T, own.queries @ codec.decode(own.codes[:2000]).T
    shares = [len(set(np.argsort(-a)[:10]) & set(np.argsort(-b)[:10])) / 10 for a, b in zip(exact, ours, strict=True)]
    assert kept(codes, own) == pytest.approx(np.mean(shares), abs=0.002)


def test_a_codec_that_knows_its_few_documents_by_heart_needs_more():
    codes, codec = coded("rq", 8, fitted_to=300)
    found = diagnose(replace(codes, given=given(codec, "rq", place=0)))
    assert found.verdict == "fail"
    assert "300 documents are few for this codec" in found.fix.advice


@pytest.mark.parametrize(("used", "verdict", "figure"), [(240, "watch", "dead"), (150, "fail", "dead"),
                                                         (6, "fail", "perplexity_share")])  # fmt: skip
def test_centroids_without_use_are_told(used, verdict, figure):
    codes = coded("pq", 8)[0]
    broken = health(np.random.default_rng(0).integers(0, used, (4000, 8)).astype(np.uint8))
    found = diagnose(replace(codes, usage=Usage(*asdict(broken).values(), centroids=256, codes=4000)))
    assert found.verdict == verdict
    assert figure.replace("_", " ") in found.summary
    assert "codec without codebooks" in found.fix.advice


def test_one_dead_codebook_among_many_is_told():
    codes = coded("pq", 8)[0]
    named = codes.own.codes.copy()
    named[:, 3] = 7
    broken = health(named)
    found = diagnose(replace(codes, usage=Usage(*asdict(broken).values(), centroids=256, codes=4000)))
    assert found.verdict == "fail"
    assert "least perplexity share 0.00391 is at or below 0.02" in found.summary


def test_without_the_error_at_fitting_drift_is_unknown_and_the_rest_judged():
    codes, codec = coded("pq", 8)
    found = diagnose(replace(codes, fitted_error=math.nan, given=given(codec, "pq", place=1)))
    assert "residual_drift" not in found.figures
    assert "drift unknown" in found.summary
    assert found.figures["neighbours_kept"] < found.figures["neighbours_kept_own"]


def test_codes_of_an_index_written_again_fail_and_say_how_far_they_are_off():
    codes, codec = coded("pq", 8)
    found = diagnose(replace(codes, own=None, given=given(codec, "pq", place=0)))
    assert found.verdict == "fail"
    assert "the index holds other documents than were fitted to" in found.summary
    assert found.figures["residual_drift"] < 1.6
    assert "fit to the documents that are there now: nearfar compress run" in found.fix.advice


def test_too_few_documents_are_no_verdict():
    codes, codec = coded("pq", 8)
    few = look(codec, "pq", documents(99), documents(5))
    found = diagnose(replace(codes, given=few))
    assert (found.verdict, "found 99 documents" in found.summary) == ("unknown", True)
