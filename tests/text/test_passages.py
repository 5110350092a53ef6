"""Passages: nothing lost, nothing too long, cut where the structure is, in linear time."""

import ast
import email
import re
import sysconfig
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from nearfar.text.kinds import KIND_OF_SUFFIX, kind_of
from nearfar.text.passages import PassageConfig, count_words, passages
from tiling import SHAPES, check, parts

KINDS = [None, *sorted(set(KIND_OF_SUFFIX.values()))]
# Strings that mean something to one of the readers, so that random texts get into every branch.
TOKENS = ["# ", "## ", "===", "---", "```", "~~~", "- ", "1. ", "| a |", "def f(x):", "class A:", "    ", "\t", "\n",
          "\n\n", "\r\n", "\r", "{", "}", "fn a() {", "if a:", "else:", "return 1", "@x", "// c", "a b", "x" * 40, ". ",
          "。", "؟ ", "مرحبا", "你好", "\0", "\ufeff", "\u2028", "\x0c", "\ud800", "e\u0301", '"""', "("]  # fmt: skip
TEXTS = st.lists(st.sampled_from(TOKENS) | st.text(max_size=5), max_size=60).map("".join)
CONFIGS = st.builds(PassageConfig, limit=st.integers(1, 30), context=st.integers(0, 12), neighbours=st.integers(0, 2))


def count_letters(texts):
    """Every character but white space: another measure than words, and one that adds up."""
    return [len(re.sub(r"\s", "", text)) for text in texts]


@given(TEXTS, st.text(max_size=20), st.sampled_from(KINDS), CONFIGS, st.sampled_from([count_words, count_letters]))
@example("a\r\n\r\nb", "", None, PassageConfig(limit=1), count_words)
@example("", "title", None, PassageConfig(), count_words)
@settings(max_examples=400, deadline=None)
def test_any_text_is_tiled_within_the_limits(text, title, kind, config, count):
    found = passages(text, title=title, kind=kind, config=config, count=count)
    check(text, found, config, count)
    assert found
    assert found == passages(text, title=title, kind=kind, config=config, count=count)


@given(TEXTS, st.sampled_from(KINDS))
@settings(deadline=None)
def test_a_text_that_fits_stays_whole(text, kind):
    (passage,) = passages(text, kind=kind, config=PassageConfig(limit=10_000))
    assert passage.own(text) == text.strip()


def real_files():
    packages = Path(sysconfig.get_path("purelib"))
    prose = sorted(path for suffix in ("md", "rst", "txt") for path in packages.glob(f"*/**/*.{suffix}"))
    return [*sorted(Path(email.__file__).parent.rglob("*.py")), *sorted(packages.glob("*.dist-info/METADATA"))[:60],
            *[path for path in prose if path.stat().st_size < 200_000][:60]]  # fmt: skip


@pytest.mark.parametrize("limit", [20, 128])
def test_real_files_are_tiled_along_whole_lines(limit):
    config = PassageConfig(limit=limit, neighbours=1)
    files = real_files()
    assert len(files) > 60
    for path in files:
        text = path.read_text(encoding="utf-8", errors="replace")
        found = passages(text, title=path.name, kind=kind_of(path.name), config=config)
        check(text, found, config)
        assert len(found) <= 2.5 * sum(count_words([text])) / limit + 40, path


def test_python_files_are_cut_between_statements():
    """No passage begins inside a line or, where a function fits, inside a function."""
    config = PassageConfig(limit=128)
    functions = 0
    for path in sorted(Path(email.__file__).parent.rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        lines = [line + "\n" for line in text.split("\n")]  # as Python counts them: a form feed ends none
        starts = [sum(map(len, lines[:n])) for n in range(len(lines) + 1)]
        found = passages(text, kind="python", config=config)
        assert all(not text[text.rfind("\n", 0, p.start) + 1 : p.start].strip() for p in found)
        for function in [node for node in ast.parse(text).body if isinstance(node, ast.FunctionDef)]:
            start, end = starts[function.lineno - 1], starts[function.end_lineno]
            if sum(count_words([text[start:end]])) <= 100:  # with room for the comments above it
                assert sum(p.start < end and start < p.end for p in found) == 1, (path, function.name)
                functions += 1
    assert functions > 20


def test_headings_of_markdown_and_their_paths():
    text = "# Guide\n\nOne two.\n\n## Start\n\nThree four.\n\n### Deep\n\nFive.\n\n## End\n\nSix seven.\n"
    assert parts(text, 4) == [
        (("Guide",), "# Guide\n\nOne two."),
        (("Guide", "Start"), "## Start\n\nThree four."),
        (("Guide", "Start", "Deep"), "### Deep\n\nFive."),
        (("Guide", "End"), "## End\n\nSix seven."),
    ]


def test_headings_of_restructuredtext():
    text = "=====\nGuide\n=====\n\nOne two.\n\nStart\n-----\n\nThree four.\n\nMore\n~~~~\n\nFive.\n\nEnd\n---\n\nSix.\n"
    assert [heading for heading, _ in parts(text, 6)] == [
        ("Guide",), ("Guide", "Start"), ("Guide", "Start", "More"), ("Guide", "End")]  # fmt: skip


def test_small_sections_are_joined_under_their_common_heading():
    text = "# A\n\nfirst.\n\n## B\n\none.\n\n## C\n\ntwo.\n\n## D\n\n" + "word " * 20
    (path, own), *_ = parts(text, 14)
    assert path == ("A",)
    assert own == "# A\n\nfirst.\n\n## B\n\none.\n\n## C\n\ntwo."


def test_a_heading_stays_with_what_is_below():
    text = "# A\n\n## B\n\n" + "\n\n".join(["one two three four."] * 4)
    assert parts(text, 8)[0][1].startswith("# A\n\n## B\n\none two three")
    assert all(own.count("#") != len(own.split()) // 2 for _, own in parts(text, 8))


def test_hashes_in_fenced_code_are_no_headings_and_the_code_stays_whole():
    code = "```python\n# not a heading\n\nx = 1\n```"
    text = f"# A\n\none two three. four five six.\n\n{code}\n\nseven eight nine ten."
    found = parts(text, 10)
    assert (("A",), code) in found
    assert {path for path, _ in found} == {("A",)}


def test_lists_and_tables_are_cut_between_their_lines():
    text = (
        "".join(f"- item {n} of a. list here\n" for n in range(9))
        + "\n"
        + "".join(f"| a. {n} | B |\n" for n in range(9))
    )
    for _, own in parts(text, 14):
        assert all(line in text.split("\n") for line in own.split("\n"))


def test_sentences_then_words_then_characters():
    text = "One two three. Four five six e.g. seven. 你好。再见。 " + "word " * 7 + "y" * 100
    assert parts("One two three. Four five e.g. six. Seven.", 4) == [
        ((), "One two three."), ((), "Four five e.g. six."), ((), "Seven.")]  # fmt: skip
    assert "".join(own for _, own in parts(text, 2)).replace(" ", "") == text.replace(" ", "")
    assert len(parts("y" * 100, 2)) > 3


def test_context_is_what_the_passage_does_not_contain():
    found = passages(SHAPES, kind="python", title="shapes", config=PassageConfig(limit=14, context=3))
    assert [p.context[1:] for p in found] == [
        (),
        (),
        ("Circle",),
        ("Circle", "area"),
        ("Circle",),
        ("Circle", "move"),
        (),
    ]
    assert {p.context[0] for p in found} == {"shapes"}
    assert found[2].embedded(SHAPES).startswith("shapes\nCircle\n# how large")
    tight = passages(SHAPES, kind="python", title="shapes", config=PassageConfig(limit=14, context=2))
    assert tight[5].context == ("shapes", "move")  # the innermost first
    none = passages(SHAPES, kind="python", title="shapes", config=PassageConfig(limit=14, context=0))
    assert all(p.embedded(SHAPES) == p.own(SHAPES) for p in none)


def test_a_title_that_the_text_begins_with_is_not_said_twice():
    text = "Keys\n\n" + "They are at the desk. " * 3
    first, *rest = passages(text, title="Keys", config=PassageConfig(limit=6))
    assert first.context == ()
    assert all(p.context == ("Keys",) for p in rest)


def test_a_long_title_is_shortened():
    (passage,) = passages("text", title="one two three four", config=PassageConfig(context=2))
    assert passage.context == ("one two",)


def test_neighbours_stay_in_the_section_and_in_the_budget():
    text = "# A\n\nOne one one. Two two two. Three three three.\n\n# B\n\nFour four four."
    config = PassageConfig(limit=5, context=8, neighbours=1)
    windows = [text[slice(*p.window)].strip() for p in passages(text, config=config, kind="prose")]
    assert windows == [
        "# A\n\nOne one one. Two two two.",
        "One one one. Two two two. Three three three.",
        "Two two two. Three three three.",
        "# B\n\nFour four four.",
    ]
