"""Figures of a cloud of vectors against their formulas, and the verdicts on clouds that collapsed in known ways."""

import math
from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest

from nearfar.core.ragged import Ragged
from nearfar.diagnose.collapse import diagnose
from nearfar.diagnose.evidence import Course, Evidence, Questions, Subject
from nearfar.diagnose.geometry import alignment, effective_rank, mean_cosine, sample, spread, uniformity, unit
from nearfar.pipeline.config import FitConfig

COUNT, WIDTH = 300, 32


def cloud(seed=0, rows=COUNT, width=WIDTH):
    return np.random.default_rng(seed).standard_normal((rows, width)).astype(np.float32)


def evidence(documents, **course):
    queries = unit(documents + 0.1 * cloud(1, *documents.shape))
    subject = Subject("model", queries, queries[:0], unit(documents), np.ones(len(documents)), lambda *_: queries)
    asked = Questions([f"query {i}" for i in range(COUNT)], Ragged.of([[i] for i in range(COUNT)]))
    course = Course(**{"steps": 10} | course)
    return Evidence([f"document {i}" for i in range(COUNT)], test=asked, model=subject, course=course,
                    settings={"batch_size": 64})  # fmt: skip


def test_figures_are_those_of_the_formulas():
    rows = unit(cloud(rows=20))
    pairs = list(combinations(rows.astype(np.float64), 2))
    assert mean_cosine(rows) == pytest.approx(np.mean([a @ b for a, b in pairs]), abs=1e-6)
    energy = np.mean([math.exp(-2 * np.square(a - b).sum()) for a, b in pairs])
    assert uniformity(rows) == pytest.approx(math.log(energy), abs=1e-5)
    other = unit(cloud(1, rows=20))
    assert alignment(rows, other) == pytest.approx(
        np.mean([np.square(a - b).sum() for a, b in zip(rows, other, strict=True)])
    )
    assert spread(rows) == pytest.approx([math.sqrt(WIDTH) * column.std() for column in rows.T], abs=1e-6)


def test_rank_is_the_number_of_equal_directions():
    basis = np.linalg.qr(cloud(rows=WIDTH))[0][:5]
    assert effective_rank(np.repeat(basis, 10, axis=0)) == pytest.approx(5, abs=1e-3)
    assert effective_rank(np.zeros((4, WIDTH), np.float32)) == 0


def test_a_sample_is_the_same_every_time():
    rows = cloud()
    assert len(sample(rows, 50)) == 50
    assert np.array_equal(sample(rows, 50), sample(rows, 50))
    assert sample(rows, COUNT) is rows


def test_a_sphere_is_fine():
    finding = diagnose(evidence(cloud()))
    assert (finding.verdict, finding.examples, finding.fix.patch) == ("ok", (), {})


@pytest.mark.parametrize(
    ("documents", "cause"),
    [
        (cloud() + 5, "cosine gained"),  # one direction beside which the others are small
        (np.pad(cloud(width=4), ((0, 0), (0, WIDTH - 4))), "dead dimensions"),
        (np.ones((COUNT, WIDTH), np.float32), "spread"),
    ],
)
def test_a_collapsed_cloud_fails_and_says_why(documents, cause):
    finding = diagnose(evidence(documents))
    assert finding.verdict == "fail"
    assert cause in finding.summary
    assert finding.fix.patch
    assert 0 < len(finding.examples) <= 10
    assert finding.examples[0]["document"] != finding.examples[0]["other"]


def test_what_the_base_had_is_no_collapse():
    narrow = evidence(cloud() + 2)
    assert diagnose(narrow).verdict == "fail"
    assert diagnose(replace(narrow, base=narrow.model)).verdict == "ok"
    assert diagnose(replace(narrow, course=Course())).verdict == "ok"  # no run: nobody knows what it was


def test_a_loss_that_shot_up_fails():
    assert diagnose(evidence(cloud(), losses=(5.0, 11.0, 1.0))).verdict == "fail"
    assert diagnose(evidence(cloud(), losses=(5.0, 5.5, 1.0))).verdict == "ok"


def test_too_little_to_tell():
    assert "a model" in diagnose(Evidence()).summary
    few = evidence(cloud())
    few = replace(few, model=replace(few.model, documents=few.model.documents[:12]))
    assert "found 12" in diagnose(few).summary


@pytest.mark.parametrize(
    ("settings", "train"),
    [
        ({"temperature": 0.001}, {"temperature": 0.05}),
        ({"temperature": 0.05, "loss": {"alignment": 1.0}}, {"loss": "info_nce"}),  # a sum, which a patch would join
        ({"temperature": 0.05}, {"loss": {"info_nce": 1.0, "anti_collapse": 0.1}}),
    ],
)
def test_the_fix_is_what_the_settings_point_to(settings, train):
    found = diagnose(replace(evidence(np.ones((COUNT, 8), np.float32)), settings=settings))
    assert found.fix.patch == {"train": train}
    FitConfig.parse(found.fix.patch, "fix")
