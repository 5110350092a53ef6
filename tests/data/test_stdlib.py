"""Functions read out of Python source, small sources first and then the interpreter's own."""

import ast

import numpy as np
import pytest

from nearfar.data.beir import write_beir
from nearfar.data.check import check
from nearfar.data.config import DataConfig
from nearfar.data.read import load
from nearfar.data.stdlib import stdlib_dataset, units_dataset
from nearfar.text.code_units import CodeUnit, code_units, python_files

SOURCE = '''
"""Module."""
import functools

class Shelf:
    """A shelf."""

    @property
    def length(self):
        """Length of the
        shelf.
BLANK
        In metres: größer.
        """
        # kept
        return self._length * 2

    def label(self): "One line says all."; text = """
left edge"""; return text

if True:
    async def nested():
        "Wait for the inner one."
        def inner():
            """Do the inner thing."""
            work()
        await inner()

def silent():
    return 1 + 1
'''


def units_of(tmp_path, source):
    (tmp_path / "m.py").write_text(source.replace("BLANK", "  "), encoding="utf-8")
    return {unit.name: unit for unit in code_units(tmp_path / "m.py", "m")}


def test_functions_with_docstrings_are_found_wherever_they_stand(tmp_path):
    units = units_of(tmp_path, SOURCE)
    assert list(units) == ["m.Shelf.length", "m.Shelf.label", "m.nested", "m.nested.inner"]
    assert units["m.Shelf.length"].summary == "Length of the shelf."


def test_code_is_dedented_and_without_its_docstring(tmp_path):
    units = units_of(tmp_path, SOURCE)
    assert units["m.Shelf.length"].code == "@property\ndef length(self):\n    # kept\n    return self._length * 2"
    assert units["m.Shelf.label"].code == 'def label(self): text = """\nleft edge"""; return text'
    for unit in units.values():
        assert ast.get_docstring(ast.parse(unit.code).body[0]) is None


@pytest.mark.parametrize(
    ("body", "trivial"),
    [
        ("pass", True),
        ("...", True),
        ("raise NotImplementedError", True),
        ("raise NotImplementedError('x')", True),
        ("return", True),
        ("return None", True),
        ("return x", True),
        ("", True),
        ("return x + 1", False),
        ("raise ValueError", False),
        ("x = 1", False),
    ],
)
def test_trivial_bodies(tmp_path, body, trivial):
    units = units_of(tmp_path, f'def f(x):\n    """Does it."""\n    {body}\n')
    assert units["m.f"].trivial is trivial


def test_unparsable_files_have_no_units(tmp_path):
    assert not units_of(tmp_path, "def f(:")
    (tmp_path / "l.py").write_bytes(b'def f():\n    "caf\xe9"\n')
    assert not list(code_units(tmp_path / "l.py", "l"))


def test_files_come_in_order_and_without_what_is_skipped(tmp_path):
    for name in ("b.py", "a/__init__.py", "a/c.py", "test/d.py", "a/x.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert [module for _, module in python_files(tmp_path, {"test"})] == ["a", "a.c", "b"]


def test_units_become_pairs_without_duplicates():
    units = [CodeUnit(f"m.f{i}", f"say the number {i}", f"def f{i}(): say({i})", trivial=False) for i in range(2000)]
    extra = [
        CodeUnit("m.again", "Say the  number 1", "def other(): ...", trivial=False),
        CodeUnit("m.f5", "another summary here", "def f6(): say(6)", trivial=False),
        CodeUnit("m.g", "does nothing at all", "def g(): pass", trivial=True),
        CodeUnit("m.h", "too short", "def h(): run()", trivial=False),
    ]
    dataset = units_dataset([*units, *extra], "n", seed=0)
    assert (len(dataset.queries), len(dataset.documents)) == (2001, 2000)
    assert dataset.queries.ids[-1] == "m.f5:2"
    assert check(dataset).healthy


@pytest.mark.slow
def test_the_standard_library_gives_a_healthy_set(tmp_path):
    dataset = stdlib_dataset()
    assert 3500 < len(dataset.queries) < 6000
    assert {split: len(pairs) for split, pairs in dataset.splits.items() if split != "train"} == {
        "dev": 300,
        "test": 800,
    }
    report = check(dataset)
    assert report.healthy, report.problems()
    write_beir(dataset, tmp_path / "set")
    again = load(DataConfig(source=str(tmp_path / "set")))
    assert (list(again.queries.texts), list(again.documents.ids)) == (
        list(dataset.queries.texts),
        list(dataset.documents.ids),
    )
    assert all(np.array_equal(again.splits[s].documents, p.documents) for s, p in stdlib_dataset().splits.items())
