"""Changes of an index against a plain dictionary and exact search."""

import shutil
import subprocess
import sys

import lance
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nearfar.core.artifact import read_meta
from nearfar.core.errors import BadInput
from nearfar.index.config import IndexConfig
from nearfar.index.exact import top_k
from nearfar.index.generation import KIND, Documents, open_index, write_index
from nearfar.index.location import TABLE
from nearfar.index.table import column_of, schema_of
from nearfar.index.writer import changing, collect
from words_at_once import words_at_once

D = 16
CONFIG = IndexConfig(size_bytes=4, exact_below=300, documents_per_cell=20, scanned=10**6, candidates=10**6)
EXACT = IndexConfig()


def vectors(count, seed):
    return np.random.default_rng(seed).standard_normal((count, D), np.float32)


def batch(documents):
    """Documents, id → vector, as the columns of an index."""
    ids = list(documents)
    columns = [
        pa.array(ids),
        pa.array([f"text of {key}" for key in ids]),
        column_of(np.stack(list(documents.values()))),
    ]
    return pa.table(columns, schema=schema_of(D))


def build(path, count, config=CONFIG):
    made = vectors(count, 0)
    ids = [f"d{i}" for i in range(count)]
    texts = [f"text of {key}" for key in ids]
    write_index(path, Documents(ids, texts, made), fingerprint="f", similarity="dot", config=config)
    return dict(zip(ids, made, strict=True))


def check(path, expected):
    """What an index holds and answers is what a dictionary and exact search say."""
    opened = open_index(path)
    assert sorted(opened.ids) == sorted(expected)
    assert list(opened.texts) == [f"text of {key}" for key in opened.ids]
    own = np.stack([expected[key] for key in opened.ids]) if expected else np.empty((0, D), np.float32)
    np.testing.assert_array_equal(opened.vectors, own)
    queries = vectors(5, 99)
    scores = opened.search(queries, 10, "f")[1]
    np.testing.assert_allclose(scores, top_k(queries, own, 10)[1], atol=1e-5)
    if expected:  # the words are those of an index that was made at once
        asked = [f"text {key} of" for key in list(expected)[:: max(1, len(expected) // 20)]]
        own = words_at_once(opened.texts).search(asked, 5)
        for ours, theirs in zip(opened.lexicon.bm25.search(asked, 5), own, strict=True):
            np.testing.assert_array_equal(ours, theirs)
    assert read_meta(path, KIND)["documents"] == len(expected)
    return opened


@pytest.fixture(scope="module", params=[EXACT, CONFIG], ids=["exact", "codes"])
def start(request, tmp_path_factory):
    path = tmp_path_factory.mktemp("start") / "index"
    return path, build(path, 600, request.param)


@pytest.fixture
def copied(start, tmp_path):
    shutil.copytree(start[0], tmp_path / "index")
    return tmp_path / "index", dict(start[1])


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("put"), st.lists(st.integers(0, 900), min_size=1, max_size=60, unique=True)),
        st.tuples(st.just("delete"), st.lists(st.integers(0, 900), min_size=1, max_size=300, unique=True)),
        st.tuples(st.sampled_from(["compact", "collect", "crash"]), st.just([])),
    ),
    max_size=6,
)


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(steps=STEPS)
def test_any_changes_leave_what_a_dictionary_holds(start, tmp_path_factory, steps):
    path = tmp_path_factory.mktemp("changed") / "index"
    shutil.copytree(start[0], path)
    expected = dict(start[1])
    for number, (what, keys) in enumerate(steps):
        documents = dict(zip([f"d{key}" for key in keys], vectors(len(keys), number + 1), strict=True))
        if what == "collect":
            collect(path)
        elif what == "crash":  # changes that were never made visible
            writer = lance.dataset(path / TABLE)
            writer.delete("id = 'd1'")
        else:
            with changing(path) as writer:
                if what == "put":
                    there = len(documents.keys() & expected.keys())
                    done = writer.put(batch(documents))
                    assert (done.added, done.replaced) == (len(documents) - there, there)
                    expected |= documents
                elif what == "delete":
                    there = [key for key in documents if key in expected]
                    assert writer.delete(list(documents)) == len(there)
                    for key in there:
                        del expected[key]
                else:
                    writer.compact()
    check(path, expected)


def _change_and_fail(writer):
    writer.put(batch({"new": vectors(1, 5)[0]}))
    writer.delete(["d1", "d2"])
    writer.put(batch({"d3": np.full(D, np.inf, np.float32)}))


def test_what_raises_changes_nothing(copied):
    path, expected = copied
    before = open_index(path)
    with pytest.raises(BadInput, match="a finite vector"), changing(path) as writer:
        _change_and_fail(writer)
    assert check(path, expected).number == before.number
    with changing(path) as writer:
        writer.put(batch({"new": vectors(1, 6)[0]}))
    check(path, expected | {"new": vectors(1, 6)[0]})


def test_many_changes_are_merged(copied):
    path, expected = copied
    for number in range(12):
        with changing(path) as writer:
            writer.put(batch({f"new{number}": vectors(1, number)[0]}))
            writer.delete([f"d{number}"])
    left = {key: vector for key, vector in expected.items() if key not in {f"d{number}" for number in range(12)}}
    opened = check(path, left | {f"new{number}": vectors(1, number)[0] for number in range(12)})
    assert 1 <= len(opened.lexicon.segments) <= 8


def test_an_open_index_answers_as_it_was(copied):
    path, expected = copied
    opened = open_index(path)
    with changing(path) as writer:
        writer.delete([f"d{i}" for i in range(300)])
        writer.put(batch({"d400": vectors(1, 3)[0]}))
    assert len(opened) == 600
    own = np.stack(list(expected.values()))
    scores = opened.search(vectors(3, 98), 10, "f")[1]
    np.testing.assert_allclose(scores, top_k(vectors(3, 98), own, 10)[1], atol=1e-5)


def test_nothing_is_left_after_collecting(copied):
    path, expected = copied
    for number in range(3):
        with changing(path) as writer:
            writer.put(batch({f"d{number}": vectors(1, number)[0]}))
    lance.dataset(path / TABLE).delete("id = 'd9'")  # of a process that was stopped
    (path / "generations" / "77").mkdir()
    assert collect(path) > 0
    check(path, expected | {f"d{number}": vectors(1, number)[0] for number in range(3)})
    named = set(__import__("json").loads((path / "manifest.json").read_text())["files"])
    there = {file.relative_to(path).as_posix() for file in path.rglob("*") if file.is_file()}
    assert there - named == {"manifest.json", ".lock"}
    assert collect(path) == 0


HOLDING = """
import sys, time
from pathlib import Path
from nearfar.index.writer import changing
with changing(Path(sys.argv[1])):
    print("holds", flush=True)
    time.sleep(60)
"""


def test_the_second_writer_is_told_so(copied):
    path, expected = copied
    with subprocess.Popen([sys.executable, "-c", HOLDING, str(path)], stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout.readline() == "holds\n"
        with pytest.raises(BadInput, match="an index that nobody else is changing"), changing(path):
            pass
        assert len(open_index(path)) == 600
        other.kill()
    with changing(path) as writer:
        writer.delete(["d0"])
    expected.pop("d0")
    check(path, expected)


def test_ids_that_come_twice_and_vectors_that_are_no_numbers_are_named(copied):
    path, expected = copied
    twice = pa.concat_tables([batch({"a": vectors(1, 1)[0]})] * 2)
    with pytest.raises(BadInput, match="document 'a': expected each id once"), changing(path) as writer:
        writer.put(twice)
    with pytest.raises(BadInput, match="document 'b': expected a finite vector"), changing(path) as writer:
        writer.put(batch({"b": np.full(D, np.nan, np.float32)}))
    check(path, expected)


def test_hostile_ids_are_only_ids(copied):
    path, expected = copied
    names = ["it's", "') or true --", '"', "\\", "%", "日本", ""]
    new = dict(zip(names, vectors(len(names), 7), strict=True))
    with changing(path) as writer:
        assert writer.put(batch(new)).added == len(names)
    check(path, expected | new)
    with changing(path) as writer:
        assert writer.delete(names) == len(names)
    check(path, expected)


def test_all_documents_can_go_and_come_again(copied):
    path, expected = copied
    with changing(path) as writer:
        assert writer.delete(list(expected)) == 600
    assert len(open_index(path)) == 0
    assert open_index(path).search(vectors(2, 1), 5, "f")[0].shape == (2, 0)
    with changing(path) as writer:
        writer.put(batch(expected))
    check(path, expected)
