import re
from pathlib import Path

import pyarrow as pa
import pytest
from filter_trees import HOSTILE

from nearfar.core.errors import BadInput
from nearfar.index.filter_syntax import CONDITIONS, VALUES
from nearfar.index.filters import compiled

PAGE = (Path(__file__).parents[2] / "docs" / "filters.md").read_text(encoding="utf-8")
SCHEMA = pa.schema(
    {
        "id": pa.string(),
        "text": pa.string(),
        "vector": pa.list_(pa.float32(), 4),
        "_generation": pa.int64(),
        "year": pa.int16(),
        "score": pa.float32(),
        "open": pa.bool_(),
        "published": pa.date32(),
        "seen": pa.timestamp("s"),
        "at": pa.timestamp("ns", tz="UTC"),
        "tags": pa.list_(pa.string()),
        "weights": pa.list_(pa.float32()),
        "meta": pa.struct({"author name": pa.string()}),
        "q`t": pa.string(),
    }.items()
)
OPERATOR = "write one of =, !=, <, <=, >, >=, in, contains, starts with, has, is missing, is present"
NAME = "a condition is a field, an operator and a value"
QUOTES = "put text and dates in quotes, and a name with odd signs in `backticks`"
VALUE = "text and dates are in quotes; a number, true or false is not"
JOINED = "'and', 'or' or the end of the filter"
OWN = "vectors and columns of the index itself have no filters"
FINER = "write fewer decimals, or a year nearer to ours"
ERRORS = [  # the filter, the character, what was expected, what was found, what to do
    ("", 1, "a field's name", "the end", f"{NAME}; {QUOTES}"),
    ("3 < year", 1, "a field's name", "the number 3", f"{NAME}; {QUOTES}"),
    ("year", 5, "an operator", "the end", OPERATOR),
    ("year like 'x'", 6, "an operator", "'like'", OPERATOR),
    ("year not = 1", 10, "an operator", "'='", OPERATOR),
    ("year <> 3", 7, "a value", "'>'", VALUE),
    ("year = x", 8, "a value", "'x'", VALUE),
    ("year in ()", 10, "a value", "')'", VALUE),
    ("year in 3", 9, "'('", "the number 3", "put the values in parentheses, with commas between them"),
    ("year in (1 2)", 12, "',' or ')'", "the number 2", "put a comma between values, and a parenthesis after the last"),
    ("year is null", 9, "'missing' or 'present'", "'null'", "write 'is missing' or 'is present'"),
    ("text starts 'x'", 13, "'with'", "the text 'x'", "write 'starts with'"),
    ("(year = 1", 10, "')'", "the end", "close the parenthesis of character 1"),
    ("year = 1)", 9, JOINED, "')'", QUOTES),
    ("published = 2024-03-01", 17, JOINED, "the number -03", QUOTES),
    ("year = 1; x", 9, "a field, an operator or a value", "';'", QUOTES),
    ('text = "x', 8, 'a second "', "'\"'", r'close the quotes; inside them, write " as \"'),
    ("`text = 'x'", 1, "a second `", "'`'", "close the backticks"),
    (r"text = 'a\d'", 10, r"one of \\ \' \" \n \t", r"'\\d'", r"write \\ for a backslash"),
    ("text = '\ud800'", 9, "text in Unicode", r"'\ud800'", "take that character away"),
    ("Year = 3", 1, "a field of the index", "'Year'", "did you mean 'year'?"),
    ("meta.author = 3", 1, "a field of the index", "'meta.author'", "did you mean 'meta.author name'?"),
    ("vector is missing", 1, "id, text or a field of metadata", "'vector'", OWN),
    ("_generation = 3", 1, "id, text or a field of metadata", "'_generation'", OWN),
    ("text = 3", 8, "a text for the field 'text'", "the number 3", "put it in quotes"),
    ("tags has 3", 10, "a text for the field 'tags'", "the number 3", "put it in quotes"),
    ("open = 1", 8, "true or false for the field 'open'", "the number 1", "write one of them, without quotes"),
    ("score = true", 9, "a number for the field 'score'", "'true'", "write it without quotes"),
    ("score = 1e39", 9, "a number that float can hold for the field 'score'", "the number 1e39", "write a smaller one"),
    ("year = 3.5", 8, "a whole number for the field 'year'", "the number 3.5",
     "write it in digits, without quotes and without a point"),
    ("year = 32768", 8, "a number from -32768 to 32767 for the field 'year'", "the number 32768", "write one of those"),
    ("open < true", 6, "=, !=, in, is missing or is present", "'<'", "use one of those: 'open' holds true or false"),
    ("text has 'x'", 6, "=, !=, <, <=, >, >=, in, contains, starts with, is missing or is present", "'has'",
     "use one of those: 'text' holds text"),
    ("weights has 1", 9, "is missing or is present", "'has'",
     "ask only that: 'weights' is list<item: float>, which filters cannot compare"),
    ("seen > '2024-03-01T10:00Z'", 8, "a time without an offset for the field 'seen'", "the text '2024-03-01T10:00Z'",
     "leave it away: the column has no time zone"),
    ("seen > '2024-03-01T10:00:00.5'", 8, "a time that timestamp[s] can hold for the field 'seen'",
     "the text '2024-03-01T10:00:00.5'", FINER),
    ("at > '3000-01-01'", 6, "a time that timestamp[ns, tz=UTC] can hold for the field 'at'",
     "the text '3000-01-01'", FINER),
    ("(" * 10_000 + "year = 1" + ")" * 10_000, 11, "at most 10 parentheses inside one another", "'('",
     "write the filter flatter"),
    ("not " * 10_000 + "yeer = 1", 40_001, "a field of the index", "'yeer'", "did you mean 'year'?"),
]  # fmt: skip


def error(text):
    with pytest.raises(BadInput) as raised:
        compiled(text, SCHEMA)
    return str(raised.value)


@pytest.mark.parametrize(
    ("text", "at", "expected", "found", "do"), ERRORS, ids=[ascii(case[0][:30]) for case in ERRORS]
)
def test_errors_name_the_character_what_was_found_and_what_to_do(text, at, expected, found, do):
    assert error(text) == f"filter, character {at}: expected {expected}, found {found}; {do}"


def test_the_page_shows_the_errors():
    shown = re.findall(r"^(.+)\n(filter, character .*)$", PAGE, re.MULTILINE)
    assert len(shown) == 4
    assert [error(text) for text, _ in shown] == [line for _, line in shown]


@pytest.mark.parametrize("text", [text for text in HOSTILE if text.strip()], ids=ascii)
def test_hostile_text_as_a_name_or_as_syntax_is_refused(text):
    places = ("{}", "`{}` = 1", "year = 1 {}", "year {} 1", "year = {}", "{} year = 1")
    for expression in [place.replace("{}", text) for place in places]:
        assert re.match(r"filter, character \d+: expected .*, found .*; ", error(expression)), expression


def test_more_than_lance_bears_is_refused():
    assert "at most 2,000 conditions" in error(" or ".join(["year = 1"] * (CONDITIONS + 1)))
    assert "at most 100,000 values" in error(f"year in ({', '.join(['1'] * (VALUES + 1))})")
    assert "from -32768 to 32767" in error("year = " + "9" * 5_000)


def test_a_column_that_lance_cannot_name_is_not_offered():
    assert "q`t" not in error("zzz = 1")
