"""Mining against a double loop over queries and ranked documents."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_batches import facts, first_groups

from nearfar.core.errors import BadInput
from nearfar.data import pool as pool_module
from nearfar.data.batches import batch_source
from nearfar.data.dataset import Dataset, Pairs, Texts
from nearfar.data.mine import Judge, MiningConfig, mine
from nearfar.data.pool import pool_of


class Table:
    """Ranks by a table of scores (Q, D)."""

    def __init__(self, scores):
        self.table = scores.astype(np.float32)

    def search(self, queries, k):
        rows = np.argsort(-self.table[queries], axis=1, kind="stable")[:, :k].astype(np.int32)
        return rows, np.take_along_axis(self.table[queries], rows, axis=1)

    def scores(self, queries, documents):
        return self.table[queries, documents]


def named(texts, groups=()):
    return Texts([f"id{i}" for i in range(len(texts))], texts, groups)


def dataset(train, dev=(), queries=5, documents=9, words=("a", "b", "c"), seed=0):
    """Some texts occur as query and document, some documents twice, and some have groups."""
    generator = np.random.default_rng(seed)
    asked = [f"q{i}" if generator.random() < 0.7 else str(generator.choice(words)) for i in range(queries)]
    found = [f"d{i}" if i < 2 or generator.random() < 0.7 else str(generator.choice(words)) for i in range(documents)]
    sides = [named(texts, [str(group) for group in generator.choice(["", "", "x", "y"], len(texts))])
             for texts in (asked, found)]  # fmt: skip
    return Dataset("set", *sides, {"train": Pairs.of(list(train)), "dev": Pairs.of(list(dev))})


@st.composite
def cases(draw):
    rows = st.tuples(st.integers(0, 4), st.integers(0, 8), st.sampled_from([1.0, 1.0, 0.0]))
    made = dataset([(0, 0, 1.0), (1, 1, 1.0), *draw(st.lists(rows, max_size=8))], draw(st.lists(rows, max_size=4)),
                   seed=draw(st.integers(0, 99)))  # fmt: skip
    negatives, rank_from = draw(st.integers(1, 3)), draw(st.integers(0, 3))
    margins = {name: draw(st.sampled_from([None, 0.0, 0.3])) for name in ("absolute_margin", "relative_margin")}
    config = MiningConfig(
        negatives=negatives,
        rank_from=rank_from,
        rank_to=negatives + rank_from + draw(st.integers(0, 4)),
        max_score=draw(st.sampled_from([None, 0.5])),
        **margins,
    )
    return made, config, draw(st.integers(0, 99))


def tables(pool, seed):
    """Scores with ties, some of them below zero."""
    shape = (len(pool.queries), len(pool.documents))
    return [Table(np.random.default_rng([seed, i]).integers(-2, 9, shape) / 8) for i in range(2)]


def answers(score):
    return score > 0


def limit(config, positive):
    limits = [np.float32(np.inf)]
    if config.absolute_margin is not None:
        limits.append(positive - np.float32(config.absolute_margin))
    if config.relative_margin is not None:
        limits.append(positive - np.float32(config.relative_margin) * abs(positive))
    if config.max_score is not None:
        limits.append(np.float32(config.max_score))
    return min(limits)


def by_loops(made, pool, config, ranker, judge=None):
    """(query text, documents kept in order of rank), and counts."""
    texts, train = pool.source.texts, facts(made, "train", answers)
    known, groups = train | facts(made, "dev", answers), first_groups(made)
    kept, counts = {}, dict.fromkeys(("positive", "skipped", "margin", "filter"), 0)
    for q, query in enumerate(texts[i] for i in pool.queries):
        names = [texts[i] for i in pool.documents]
        right = [d for d, name in enumerate(names) if (query, name) in train]
        lowest = min(ranker.table[q, d] for d in right)
        kept[query], rank = [], 0
        for d in sorted(range(len(names)), key=lambda d: (-ranker.table[q, d], d)):
            if rank == config.rank_to:
                break
            barred = (query, names[d]) in known or query == names[d]
            if barred or (groups.get(query) is not None and groups.get(query) == groups.get(names[d])):
                counts["positive"] += 1
                continue
            rank += 1
            over = ranker.table[q, d] > limit(config, lowest)
            refused = judge and judge.ranker.table[q, d] > limit(judge.config, min(judge.ranker.table[q, right]))
            reason = "skipped" if rank <= config.rank_from else "margin" if over else "filter" if refused else ""
            if reason:
                counts[reason] += 1
            else:
                kept[query].append(names[d])
    return kept, counts


def texts_mined(mined):
    pool, texts = mined.pool, mined.pool.source.texts
    return {texts[query]: [texts[pool.documents[d]] for d in row]
            for query, row in zip(pool.queries, mined.by_query(), strict=True)}  # fmt: skip


@given(cases(), st.booleans())
@settings(max_examples=150, deadline=None)
def test_the_best_that_pass_are_those_of_a_double_loop(case, judged):
    made, config, seed = case
    pool = pool_of(made, batch_source(made))
    ranker, second = tables(pool, seed)
    judge = Judge(second, MiningConfig(relative_margin=0.1, max_score=0.9)) if judged else None
    mined = mine(pool, config, ranker, judge)
    kept, counts = by_loops(made, pool, config, ranker, judge)
    assert texts_mined(mined) == {query: names[: config.negatives] for query, names in kept.items()}
    assert mined.left_out == counts
    found = mined.negatives
    assert found.scores.tolist() == ranker.table[found.queries, found.documents].tolist()


@given(cases())
@settings(max_examples=50, deadline=None)
def test_a_draw_is_among_those_that_pass_and_hangs_on_the_seed_alone(case):
    made, config, seed = case
    pool = pool_of(made, batch_source(made))
    ranker, _ = tables(pool, seed)
    config = config.model_copy(update={"sampling": "random", "seed": seed})
    mined = texts_mined(mine(pool, config, ranker))
    for query, names in by_loops(made, pool, config, ranker)[0].items():
        assert set(mined[query]) <= set(names)
        assert len(mined[query]) == min(config.negatives, len(names))
    assert texts_mined(mine(pool, config, ranker)) == mined


def big(queries=60, documents=40):
    pairs = [(i, i % documents, 1.0) for i in range(queries)]
    sides = [f"q {i}" for i in range(queries)], [f"d {i}" for i in range(documents)]
    made = Dataset("set", *map(named, sides), {"train": Pairs.of(pairs)})
    pool = pool_of(made, batch_source(made))
    return made, pool, tables(pool, 3)[0]


@pytest.mark.parametrize("sampling", ["top", "random"])
def test_chunks_do_not_matter_and_are_small(monkeypatch, sampling):
    _, pool, ranker = big()
    config = MiningConfig(sampling=sampling, rank_to=20, seed=5)
    whole = mine(pool, config, ranker)
    asked = []
    search = ranker.search
    monkeypatch.setattr(ranker, "search", lambda queries, k: asked.append(len(queries) * k) or search(queries, k))
    monkeypatch.setattr(pool_module, "CHUNK_CANDIDATES", 100)
    parts = mine(pool, config, ranker)
    assert len(asked) > 10
    assert max(asked) <= 100
    assert texts_mined(parts) == texts_mined(whole)
    assert parts.left_out == whole.left_out


def test_another_seed_draws_others():
    _, pool, ranker = big()
    draws = [texts_mined(mine(pool, MiningConfig(sampling="random", seed=seed), ranker)) for seed in (0, 1)]
    assert draws[0] != draws[1]


def test_suspects_are_what_scores_above_the_positive_worst_first():
    _, pool, ranker = big()
    mined = mine(pool, MiningConfig(rank_to=39), ranker)
    above = {
        (q, d): ranker.table[q, d] - ranker.table[q, right]
        for q in range(len(pool.queries))
        for right in pool.positives[q]
        for d in range(len(pool.documents))
        if ranker.table[q, d] >= ranker.table[q, right] and d != right
    }
    assert mined.suspected == len(above)
    listed = list(zip(mined.suspects.queries.tolist(), mined.suspects.documents.tolist(), strict=True))
    excess = [above[pair] for pair in listed]
    assert excess == sorted(excess, reverse=True)
    assert max(np.bincount(mined.suspects.queries)) <= 3
    assert excess[0] == max(above.values())


def test_negatives_join_those_of_the_data():
    made, _, ranker = big()
    train = made.splits["train"]
    rows = [*zip(train.queries, train.documents, train.scores, strict=True), (0, 39, 0.0)]
    made = replace(made, splits={"train": Pairs.of(rows)})
    pool = pool_of(made, batch_source(made))
    mined = mine(pool, MiningConfig(negatives=2), ranker)
    source = batch_source(mined.added_to(made))
    joined = mined.joined()
    for query, names in texts_mined(mined).items():
        own = ["d 39"] if query == "q 0" else []
        number = source.texts.index(query)
        for found in (source.negatives[number], joined[number]):
            assert sorted(source.texts[i] for i in found) == sorted({*names, *own})
    assert source.texts == pool.source.texts


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"rank_from": 10, "rank_to": 5}, "'rank_to': expected at least rank_from + negatives = 13, found '5'"),
        ({"negatives": 60}, "'rank_to': expected at least rank_from + negatives = 60"),
        ({"relative_margin": 1.5}, "'relative_margin': expected less than 1"),
        ({"absolute_margin": -0.1}, "'absolute_margin': expected greater than or equal to 0"),
        ({"sampling": "best"}, "'sampling': expected 'top' or 'random'"),
    ],
)
def test_settings_that_contradict_are_refused(values, words):
    with pytest.raises(BadInput, match=r".*") as caught:
        MiningConfig.parse(values, "options")
    assert words in str(caught.value)
