"""The order of pairs and their weights, against sorting by hand."""

from collections import Counter
from itertools import pairwise

import numpy as np
import pytest

from nearfar.core.errors import BadInput
from nearfar.data.batches import batch_source
from nearfar.data.config import DataConfig
from nearfar.data.curriculum import CurriculumConfig, ease, progressive_weights
from nearfar.data.read import from_records
from nearfar.data.sampler import MixingConfig, sampler


def scored(count, sources=1):
    rows = [{"query": f"q{i}", "positive": f"d{i}", "score": 1 + i, "source": f"s{i % sources}"} for i in range(count)]
    return batch_source(from_records(rows, DataConfig(positive_above=0)))


def overlapping():
    rows = [("red fox jumps high", "red fox jumps high daily"), ("blue whale", "a blue boat"), ("green tree", "house")]
    return batch_source(from_records(rows))


def test_the_score_is_kept_by_pair():
    source = scored(20)
    assert [float(s) for s in source.scores] == [1 + int(source.texts[q][1:]) for q in source.queries]
    assert ease(source, CurriculumConfig(by="score")) == pytest.approx((source.scores - 1) / 19)


def test_overlap_is_the_share_of_the_querys_words():
    source = overlapping()
    ranks = ease(source, CurriculumConfig(by="overlap"))
    by_query = {source.texts[q]: rank for q, rank in zip(source.queries, ranks, strict=True)}
    assert by_query == {"red fox jumps high": 1.0, "blue whale": 0.5, "green tree": 0.0}


@pytest.mark.parametrize("sources", [1, 3])
@pytest.mark.parametrize("stages", [1, 2, 4, 50])
def test_an_epoch_goes_from_easy_to_hard_and_takes_each_pair_once(stages, sources):
    source = scored(203, sources)
    config = CurriculumConfig(by="score", stages=stages, epochs=2)
    made = sampler(source, 10, 0, by="source", curriculum=config)
    flat = sampler(source, 10, 0, by="source")
    for epoch in range(3):
        batches = made.epoch(epoch)
        assert len(batches) == len(made) == len(flat)
        assert Counter(int(p) for batch in batches for p in batch) == Counter(range(203))
        assert max(map(len, batches)) <= 10
        means = [float(source.scores[batch].mean()) for batch in batches]
        half = len(means) // 2
        gap = np.mean(means[:half]) - np.mean(means[half:])
        assert (gap > 60) == (epoch < 2 and stages > 1)


def test_stages_do_not_overlap():
    source = scored(200)
    batches = sampler(source, 10, 0, curriculum=CurriculumConfig(by="score", stages=4)).epoch(0)
    stages = [np.concatenate([source.scores[batch] for batch in batches[i : i + 5]]) for i in range(0, 20, 5)]
    for easy, hard in pairwise(stages):
        assert easy.min() > hard.max()


def test_a_curriculum_and_mixing_keep_the_number_of_batches():
    source = scored(300, 2)
    mixing = MixingConfig(weights={"s0": 3, "s1": 1})
    made = sampler(source, 10, 0, by="source", mixing=mixing, curriculum=CurriculumConfig(by="score"))
    assert [len(made.epoch(epoch)) for epoch in range(3)] == [len(made)] * 3


def test_progressive_weights_turn_round_and_have_mean_one():
    ranks = np.linspace(0, 1, 11)
    start, middle, end = (progressive_weights(ranks, 0.5, done) for done in (0, 0.5, 1))
    assert start[[0, -1]] == pytest.approx([0.5, 1.5])
    assert middle == pytest.approx(np.ones(11))
    assert end == pytest.approx(start[::-1])
    assert start.mean() == pytest.approx(1)


def test_a_query_weighs_the_mean_of_its_pairs():
    rows = [{"query": "a", "positive": ["x", "y"]}, {"query": "b", "positive": "z"}]
    source = batch_source(from_records(rows))
    weights = np.array([1.0, 3.0, 5.0])
    targets = source.batch(np.arange(3), 0, (0,), weights).targets
    names = [source.texts[i] for i in targets.query_texts]
    assert dict(zip(names, targets.weights, strict=True)) == {"a": 2.0, "b": 5.0}
    assert targets.rows(1, 2).weights.tolist() == [5.0]


def test_equally_easy_pairs_make_no_curriculum():
    source = batch_source(from_records([("a", "b"), ("c", "d")]))
    with pytest.raises(BadInput, match=r"train.curriculum.by: expected pairs whose scores differ, found none"):
        sampler(source, 2, 0, curriculum=CurriculumConfig(by="score"))
