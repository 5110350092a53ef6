"""Index files with flipped bits and cut short, opened."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from index_faults import State, asked, named, wrong
from nearfar.core.artifact import MANIFEST
from nearfar.core.errors import BadInput
from nearfar.index.generation import open_index


@dataclass(frozen=True)
class Damaged:
    """What became of an index of which one file was damaged."""

    file: str
    damage: str
    named: bool  # by the manifest
    outcome: str  # "told", "right" answers, or what is wrong


def damaged(path: Path, count: int, seed: int = 0) -> Iterator[Damaged]:
    """Flip bits in the files of an index, and cut them short, one file after the other, each at a random place."""
    draw = random.Random(seed)
    expected, whole = asked(open_index(path)), State.of(path)
    known = named(path)
    files = sorted(file for file in path.rglob("*") if file.is_file() and file.stat().st_size)
    for number in range(count):
        file = files[number % len(files)]
        before = file.read_bytes()
        place, flip = draw.randrange(len(before)), draw.random() < 0.5
        bit = bytes([before[place] ^ (1 << draw.randrange(8))])
        after = before[:place] + bit + before[place + 1 :] if flip else before[:place]
        file.write_bytes(after)
        outcome = _opened(path, file, expected, whole)
        file.write_bytes(before)
        if file.name == MANIFEST and _says_the_same(before, after):
            outcome = "told" if outcome == "right" else outcome  # a lost end of line says nothing else
        yield Damaged(str(file.relative_to(path)), f"{'bit' if flip else 'cut'} at {place}", file in known, outcome)


def _opened(path: Path, file: Path, expected: tuple[Any, Any], whole: State | None) -> str:
    try:
        opened = open_index(path)
    except BadInput as error:
        return "told" if str(error).startswith(f"{file}: ") and "\n" not in str(error) else f"another line: {error}"
    except Exception as error:
        return repr(error)
    bad = wrong(opened, expected)
    return "wrong answers" if bad or State.of(path) != whole else "right"


def _says_the_same(before: bytes, after: bytes) -> bool:
    try:
        return bool(json.loads(before) == json.loads(after))
    except ValueError:
        return False
