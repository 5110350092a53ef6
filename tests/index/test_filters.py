import json
import math
import re
import threading
from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from filter_trees import HOSTILE, LISTS, ORDER, SCALARS, SCHEMA, holds, rows, table, trees, written
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from nearfar.index.filter_syntax import CONDITIONS, NESTED, VALUES
from nearfar.index.filters import compiled

lance = pytest.importorskip("lance", reason="pylance is not installed")
PAGE = (Path(__file__).parents[2] / "docs" / "filters.md").read_text(encoding="utf-8")
FIELDS = {"id": pa.string(), "title": pa.string(), "status": pa.string(), "year": pa.int16(), "score": pa.float32(),
          "open": pa.bool_(), "published": pa.date32(), "tags": pa.list_(pa.string()),
          "meta": pa.struct({"author name": pa.string()})}  # fmt: skip
ODD = ["a b", "ü", "'", '"', ";--", "\\", "select", "日本", "1a", "a,b", "f(x)", "not", "Id", "null"]
PLAIN = settings(deadline=None, suppress_health_check=list(HealthCheck))


def kept(dataset, text):
    """Ids that a filter keeps, in order."""
    return dataset.to_table(columns=["id"], filter=compiled(text, dataset.schema))["id"].to_pylist()


def nearest(dataset, text):
    """Ids that a search by vector finds under a filter, with room for all."""
    near = {"column": "vector", "q": np.ones(4, np.float32), "k": dataset.count_rows()}
    only = compiled(text, dataset.schema)
    found = dataset.to_table(columns=["id", "_distance"], filter=only, prefilter=True, nearest=near)
    return sorted(found["id"].to_pylist(), key=int)


@settings(PLAIN, max_examples=40)
@given(data=st.data())
def test_any_filter_of_any_rows_keeps_what_a_naive_evaluation_keeps(data, tmp_path_factory):
    drawn = data.draw(rows())
    dataset = lance.write_dataset(table(drawn), tmp_path_factory.mktemp("filters") / "rows")
    for tree in data.draw(st.lists(trees(drawn), min_size=1, max_size=6)):
        text = data.draw(written(tree))
        assert kept(dataset, text) == [str(n) for n, row in enumerate(drawn) if holds(tree, row)], text


EDGES = {
    "large": [-(2**63), -1, 0, 2**63 - 1, None],
    "unsigned": [0, 2**63, 2**64 - 1, None],
    "single": [math.nan, -math.nan, -0.0, 0.0, float(np.float32(0.1)), math.inf, -math.inf, None],
    "double": [math.nan, -math.nan, -0.0, 0.0, 5e-324, math.inf, -math.inf, None],
}


def test_the_ends_of_numbers(tmp_path):
    drawn = [dict.fromkeys((*SCALARS, *LISTS)) | {name: value} for name, values in EDGES.items() for value in values]
    dataset = lance.write_dataset(table(drawn), tmp_path / "edges")
    for name, values in EDGES.items():
        asked = [value for value in (*values, 0.1 if name == "single" else 1) if value is not None]
        asked = [value for value in asked if math.isfinite(value)]
        conditions = [(word, name, [value]) for word in ("=", "!=", "in", *ORDER) for value in asked]
        for tree in [*conditions, ("is missing", name, []), ("is present", name, [])]:
            text = f"`{name}` {tree[0]} {f'({tree[2][0]})' if tree[0] == 'in' else ''.join(map(repr, tree[2]))}"
            for negated in (tree, ("not", tree)):
                expected = [str(n) for n, row in enumerate(drawn) if holds(negated, row)]
                assert kept(dataset, text if negated is tree else f"not {text}") == expected, text


@pytest.fixture(scope="module")
def indexed(tmp_path_factory):
    """Some 200 rows with vectors, and their dataset, with a scalar index over every column."""
    drawn = []

    @seed(0)
    @settings(PLAIN, max_examples=60, database=None, phases=[Phase.generate])
    @given(rows())
    def collect(more):
        drawn.extend(more)

    collect()
    flat = np.random.default_rng(0).standard_normal(len(drawn) * 4).astype(np.float32)
    stored = table(drawn).append_column("vector", pa.FixedSizeListArray.from_arrays(pa.array(flat), 4))
    dataset = lance.write_dataset(stored, tmp_path_factory.mktemp("filters") / "rows")
    kinds = {"tags": "LABEL_LIST", "numbers": "LABEL_LIST", "flag": "BITMAP", "id_": "BITMAP"}
    for name in sorted(set(SCHEMA.names) - {"id", "meta"}):
        dataset.create_scalar_index(name, kinds.get(name, "BTREE"))
    return drawn, dataset


@pytest.mark.filterwarnings("ignore::hypothesis.errors.HypothesisWarning")  # of a long representation of the rows
@settings(PLAIN, max_examples=60, phases=[Phase.generate])  # a smaller filter over 200 rows explains no more
@given(data=st.data())
def test_scalar_indexes_and_searches_by_vector_agree(data, indexed):
    drawn, dataset = indexed
    tree = data.draw(trees(drawn))
    text = data.draw(written(tree))
    expected = [str(n) for n, row in enumerate(drawn) if holds(tree, row)]
    assert sorted(kept(dataset, text), key=int) == nearest(dataset, text) == expected, text


def test_the_page_shows_what_its_filters_keep(tmp_path):
    (block,) = re.findall(r"```jsonl\n(.*?)```", PAGE, re.DOTALL)
    read = [json.loads(line) for line in block.splitlines()]
    for row in read:
        row["published"] = row["published"] and date.fromisoformat(row["published"])
    documents = lance.write_dataset(pa.Table.from_pylist(read, schema=pa.schema(FIELDS.items())), tmp_path / "page")
    shown = re.findall(r"^(\S.*?) +→(.*)$", PAGE, re.MULTILINE)
    assert len(shown) > 30
    assert {text: kept(documents, text) for text, _ in shown} == {text: ids.split() for text, ids in shown}


def test_hostile_text_is_a_value_and_nothing_else(tmp_path):
    stored = pa.table({"id": [str(n) for n in range(len(HOSTILE))], "s": HOSTILE, "l": [[text] for text in HOSTILE]})
    dataset = lance.write_dataset(stored, tmp_path / "hostile")
    for number, text in enumerate(HOSTILE):
        for quote in "'\"":
            value = quote + text.replace("\\", "\\\\").replace(quote, "\\" + quote) + quote
            for asked in (f"s = {value}", f"s in ({value})", f"l has {value}", f"l has any ({value})"):
                assert kept(dataset, asked) == [str(number)], asked
            containing = [str(n) for n, stored in enumerate(HOSTILE) if text.lower() in stored.lower()]
            assert kept(dataset, f"s contains {value}") == containing
            beginning = [str(n) for n, stored in enumerate(HOSTILE) if stored.startswith(text)]
            assert kept(dataset, f"s starts with {value}") == beginning


@pytest.mark.parametrize("name", ODD)
def test_odd_names_of_columns_are_asked_in_backticks(tmp_path, name):
    stored = {"id": ["a", "b", "c"], name: ["x", "y", None], "m": [{name: "x"}, {name: "y"}, None]}
    dataset = lance.write_dataset(pa.table(stored), tmp_path / "odd")
    for column in (name, f"m.{name}"):
        assert kept(dataset, f'`{column}` = "y"') == ["b"]
        assert kept(dataset, f'`{column}` != "y"') == ["a", "c"]
        assert kept(dataset, f"`{column}` is missing") == ["c"]


OTHER_TYPES = {
    "small": (pa.list_(pa.int8()), [-128, 127], "-128"),
    "unsigned": (pa.list_(pa.uint64()), [2**64 - 1, 1], str(2**64 - 1)),
    "least": (pa.large_list(pa.int64()), [-(2**63), 5], str(-(2**63))),
    "large text": (pa.list_(pa.large_string()), ["it's", "x"], '"it\'s"'),
    "flags": (pa.list_(pa.bool_()), [True], "true"),
    "dates": (pa.list_(pa.date64()), [date(2024, 3, 1)], "'2024-03-01'"),
    "times": (pa.list_(pa.timestamp("ns", "UTC")), [datetime(2024, 3, 1, tzinfo=UTC)], "'2024-03-01 01:30+01:30'"),
}


@pytest.mark.parametrize("name", OTHER_TYPES)
def test_lists_of_every_type_that_can_be_asked(tmp_path, name):
    type_, values, literal = OTHER_TYPES[name]
    lists = pa.array([values, [], None, [None]], type_)
    dataset = lance.write_dataset(pa.table({"id": ["a", "b", "c", "d"], "l": lists}), tmp_path / "lists")
    for asked in (f"has {literal}", f"has any ({literal}, {literal})", f"has all ({literal})"):
        assert kept(dataset, f"l {asked}") == ["a"]
        assert kept(dataset, f"l not {asked}") == ["b", "c", "d"]


def test_seconds_nanoseconds_and_dictionaries(tmp_path):
    moments = pa.array([-86_400, 1_709_251_200, None], pa.timestamp("s"))
    texts = pa.array(["ß", "É", None]).dictionary_encode()
    columns = {"s": moments, "ns": moments.cast(pa.timestamp("ns")), "t": texts}
    dataset = lance.write_dataset(pa.table({"id": ["a", "b", "c"], **columns}), tmp_path / "times")
    for name in ("s", "ns"):
        assert kept(dataset, f"{name} >= '2024-03-01T00:00:00'") == ["b"]
        assert kept(dataset, f"{name} < '1970-01-01'") == ["a"]
        assert kept(dataset, f"{name} != '2024-03-01'") == ["a", "c"]
    assert kept(dataset, "t contains 'é' or t = 'ß'") == ["a", "b"]
    assert kept(dataset, "t not in ('ß')") == ["b", "c"]


def nested(inner, *around):
    """`inner` in as many parentheses as there may be, with each of `around` in turn about them."""
    for depth in range(NESTED):
        inner = around[depth % len(around)].format(f"({inner})")
    return inner


LARGEST = {
    "or": " or ".join(f"large = {n}" for n in range(CONDITIONS)),
    "and": " and ".join(f"double != {n}" for n in range(CONDITIONS)),
    "not has": " or ".join(f"tags not has all ('{n}', 'a')" for n in range(CONDITIONS // 10)),
    "many": f"large not in ({', '.join(map(str, range(VALUES)))})",
    "any of many": f"tags not has any ({', '.join(map(repr, map(str, range(VALUES))))})",
    "nested": nested("not double < 3", "small = 1 or double <= 2 and {}"),
    "nested not": nested("tags not has all ('a', 'b')", "small > 1 or not {}", "double < 1 and not {}"),
    "nested and wide": nested("small = 1", " or ".join(["double < 2 and small != 3"] * 90) + " and {}"),
}


def test_what_is_within_the_limits_runs_also_on_a_small_stack(indexed):
    drawn, dataset = indexed
    found = {}

    def ask():
        for name, text in LARGEST.items():
            found[name] = nearest(dataset, text)

    before = threading.stack_size(512 * 1024)  # of a thread on macOS
    thread = threading.Thread(target=ask)
    thread.start()
    threading.stack_size(before)
    thread.join()
    assert found.keys() == LARGEST.keys()
    assert found["or"] == [str(n) for n, row in enumerate(drawn) if row["large"] in range(CONDITIONS)]
    assert found["many"] == [str(n) for n, row in enumerate(drawn) if row["large"] not in range(VALUES)]
