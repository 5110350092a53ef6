"""Terms: identifiers, languages, and the speed that indexing needs."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nearfar.text.words import words


@pytest.mark.parametrize(
    ("text", "terms"),
    [
        ("Reading files quickly", ["read", "file", "quick"]),
        ("the cat is on the mat", ["cat", "mat"]),
        ("getUserName", ["get", "user", "name", "getusernam"]),
        ("get_user_name", ["get", "user", "name", "getusernam"]),
        ("HTTPServerError", ["http", "server", "error", "httpservererror"]),
        ("URLs of APIs", ["url", "api"]),
        ("sha256sum", ["sha", "256", "sum", "sha256sum"]),
        ("__init__", ["init"]),
        ("x = a.b(c)", ["x", "b", "c"]),
        ("STRASSE straße Straße", ["strass", "strass", "strass"]),
        ("Größe GRÖSSE", ["grösse", "grösse"]),
        ("cafe\u0301 café", ["café", "café"]),
        ("ﬁle ＡＢＣ", ["file", "abc"]),
        ("東京都", ["東京", "京都"]),
        ("犬", ["犬"]),
        ("カタカナ", ["カタ", "タカ", "カナ"]),
        ("한국어", ["한국", "국어"]),
        ("日本語bert", ["日本", "本語", "bert"]),
        ("हिन्दी में।", ["हिन्दी", "में"]),
        ("سلام عليكم", ["سلام", "عليكم"]),
        ("co\u00adoperate", ["cooper"]),
        ("", []),
        (" \n\t.,;!? —", []),
        ("\x00\ud800", []),
    ],
)
def test_terms(text, terms):
    assert words(text) == terms


def test_spellings_of_an_identifier_meet():
    for spelling in ("readLines", "read_lines", "ReadLines", "READ_LINES", "read lines", "readlines", "_read_lines"):
        assert set(words(spelling)) & {"read", "line", "readlin"} == set(words(spelling)), spelling
        assert {"readlin"} <= set(words(spelling)) or {"read", "line"} <= set(words(spelling))


def test_unspaced_scripts_give_naive_bigrams():
    text = "我们今天去北京看长城"
    assert words(text) == [text[i] + text[i + 1] for i in range(len(text) - 1)]


@given(st.text(max_size=60))
def test_any_text_gives_clean_terms(text):
    terms = words(text)
    assert all(term and not term.isspace() and "_" not in term for term in terms)
    assert words(text) == terms


@given(st.lists(st.text(st.characters(categories=["Ll", "Lu", "Nd"]), max_size=8), max_size=6))
def test_terms_of_a_text_are_those_of_its_words(parts):
    assert words(" ".join(parts)) == [term for part in parts for term in words(part)]


def test_speed():
    texts = [f"print the {i % 97} largest files in directory number {i % 89}, sorted by size" for i in range(20_000)]
    start = time.perf_counter()
    for text in texts:
        words(text)
    assert len(texts) / (time.perf_counter() - start) > 50_000 / 2  # half: the machine is shared
