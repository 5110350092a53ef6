"""Real pairs that every user has: the documented functions of the running interpreter's standard library."""

from __future__ import annotations

import platform
import sysconfig
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path

from nearfar.core.folding import folded
from nearfar.data.dataset import Dataset, Pairs, Texts
from nearfar.data.split import partition
from nearfar.text.code_units import CodeUnit, code_units, python_files

TESTS = frozenset({"site-packages", "dist-packages", "test", "tests", "idle_test", "__pycache__"})
# what newer Pythons removed or distributions package apart: without it, the set is nearly the same on every machine
NOT_EVERYWHERE = frozenset({"distutils", "ensurepip", "idlelib", "lib2to3", "tkinter", "turtle", "turtledemo"})
WORDS_NEEDED = 3
SIZES = {"test": 800, "dev": 300}


def stdlib_dataset(seed: int = 0) -> Dataset:
    """Docstrings' first paragraphs as queries, the code of their functions as documents; about 4,400 pairs."""
    return units_dataset(stdlib_units(), f"python-{platform.python_version()}-stdlib", seed)


def stdlib_units() -> Iterator[CodeUnit]:
    """The documented functions of the standard library, without its tests and the parts not found everywhere."""
    root = Path(sysconfig.get_path("stdlib"))
    return chain.from_iterable(code_units(path, module) for path, module in python_files(root, TESTS | NOT_EVERYWHERE))


def units_dataset(units: Iterable[CodeUnit], name: str, seed: int) -> Dataset:
    """A data set of one pair for each unit that does and says something, split into train, dev and test."""
    kept = list(_different(unit for unit in units if not unit.trivial and len(unit.summary.split()) >= WORDS_NEEDED))
    rows = {code: row for row, code in enumerate(dict.fromkeys(unit.code for unit in kept))}
    first = {unit.code: unit for unit in reversed(kept)}  # the unit that gives equal code its id
    names = dict(zip(map(id, kept), _unique([unit.name for unit in kept]), strict=True))
    queries = Texts([names[id(unit)] for unit in kept], [unit.summary for unit in kept])
    documents = Texts([names[id(first[code])] for code in rows], list(rows))
    pairs = Pairs.of([(row, rows[unit.code], 1.0) for row, unit in enumerate(kept)])
    return partition(Dataset(name, queries, documents, {"train": pairs}), SIZES, seed)


def _different(units: Iterable[CodeUnit]) -> Iterator[CodeUnit]:
    """The first unit of each summary: a query with several unrelated answers cannot be judged."""
    seen: set[str] = set()
    for unit in units:
        key = folded(unit.summary)
        if key not in seen and folded(unit.code) != key:
            seen.add(key)
            yield unit


def _unique(names: list[str]) -> list[str]:
    """Tell apart functions of one name (setters, branches of an if): the second becomes `name:2`."""
    counts: dict[str, int] = {}
    unique = []
    for name in names:
        counts[name] = counts.get(name, 0) + 1
        unique.append(name if counts[name] == 1 else f"{name}:{counts[name]}")
    return unique
