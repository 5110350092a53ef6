"""Passages of long and strange texts: in linear time, and nothing is lost."""

import time

import pytest

from nearfar.text.passages import PassageConfig, passages
from tiling import check

LONG = {
    "a word": "x" * 1_000_000,
    "a line": "ab " * 300_000,
    "prose": "One two three four. Five six.\n\n" * 30_000,
    "headings": "\n\n".join(f"{'#' * (1 + n % 6)} H {n}\n\nbody" for n in range(60_000)),
    "underlines": "\n\n".join(f"Head\n{'=-~^+'[n % 5] * 9}\n\nbody" for n in range(40_000)),
    "newlines": "\n" * 1_000_000,
    "spaces": " " * 1_000_000 + "x",
    "fences": "```\n" * 200_000,
    "dots": ". " * 400_000,
    "closing brackets": "." + ")" * 1_000_000,
    "rules": "=" * 1_000_000 + "\n" + "-" * 1_000_000,
    "nulls": "\0" * 1_000_000,
}
CODE = {
    "braces": "{\n" * 250_000,
    "open brackets": "(" * 400_000,
    "minus": "-" * 400_000 + "1",
    "chain": "a" + ".b" * 200_000,
    "elif": "if a:\n  b\n" + "elif c:\n  d\n" * 10_000,
    "deep": "\n".join(" " * n + "x {" for n in range(1_500)),
    "functions": "".join(f"def f{n}(a):\n    return a + {n}\n\n" for n in range(20_000)),
}


CASES = {name: (text, "prose") for name, text in LONG.items()} | {
    f"{name} {kind}": (text, kind) for name, text in CODE.items() for kind in ("python", "code", "c")
}


@pytest.mark.parametrize("name", CASES)
def test_long_and_strange_texts_take_seconds(name):
    text, kind = CASES[name]
    config = PassageConfig(neighbours=1)
    started = time.process_time()
    found = passages(text, title="A title", kind=kind, config=config)
    assert time.process_time() - started < 12  # each takes 0.1 to 3 s; a quadratic step takes minutes
    check(text, found, config)
