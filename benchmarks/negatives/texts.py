"""Many pairs of short texts with nothing in common: the functions of the Python packages installed here."""

from __future__ import annotations

import ast
import sysconfig
import textwrap
import warnings
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from nearfar.core.folding import folded
from nearfar.data.dataset import Dataset, Pairs, Texts
from nearfar.encoder.load import load_encoder
from nearfar.text.code_units import Function, python_files

TEXT_TOKENS = 30  # of minilm; with its two special ones 32
CHARACTERS = 400  # more than so many tokens of a text, and little enough to tokenise in no time
WORDS_NEEDED = 3  # of a docstring's first paragraph
PAIRS_A_CALL = 4096
HELD_OUT = {"test": 300, "dev": 100}

TextPair = tuple[str, str]


def packages_dataset(pairs: int) -> Dataset:
    """So many training pairs, and the few held out that `fit` asks for; each document answers one query."""
    total = pairs + sum(HELD_OUT.values())
    found = list(islice(_different(_cut(_pairs())), total))
    if len(found) < total:
        raise RuntimeError(f"expected {total:,} different pairs in the installed packages, found {len(found):,}; "
                           "install more, or lower --pairs")  # fmt: skip
    queries, documents = zip(*found, strict=True)
    rows = np.random.default_rng(0).permutation(total).astype(np.int32)
    parts = np.split(rows, np.cumsum(list(HELD_OUT.values())))
    splits = {name: Pairs(part, part, np.ones(len(part), np.float32))
              for name, part in zip((*HELD_OUT, "train"), parts, strict=True)}  # fmt: skip
    ids = [str(row) for row in range(total)]
    return Dataset("packages", Texts(ids, queries), Texts(ids, documents), splits)


def _pairs() -> Iterator[TextPair]:
    """What a function is for, or its module and signature where it does not say → its statements."""
    for path, module in python_files(Path(sysconfig.get_path("purelib")), {"__pycache__"}):
        try:
            source = path.read_text(encoding="utf-8")
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # invalid escapes are not the reader's to mend
                tree = ast.parse(source)
        except (SyntaxError, ValueError):
            continue
        lines = source.split("\n")
        for node in ast.walk(tree):
            if isinstance(node, Function):
                yield from _pair(node, module, lines)


def _pair(function: Function, module: str, lines: list[str]) -> Iterator[TextPair]:
    docstring = ast.get_docstring(function)
    body = function.body[1:] if docstring is not None else function.body
    if not body or body[0].lineno == function.lineno:
        return
    summary = _in_one_line((docstring or "").split("\n\n")[0])
    if len(summary.split()) < WORDS_NEEDED:
        summary = f"{module} {function.name}({ast.unparse(function.args)})"
    code = textwrap.dedent("\n".join(lines[body[0].lineno - 1 : function.end_lineno]))
    yield summary[:CHARACTERS], _in_one_line(code)[:CHARACTERS]


def _in_one_line(text: str) -> str:
    return " ".join(text.encode("utf-8", "replace").decode().replace("\0", " ").split())


def _cut(pairs: Iterable[TextPair]) -> Iterator[TextPair]:
    """The first TEXT_TOKENS tokens of both texts."""
    tokenizer: Any = load_encoder("minilm").tokenizer
    tokenizer.no_padding()
    tokenizer.enable_truncation(TEXT_TOKENS)
    pairs = iter(pairs)
    while several := list(islice(pairs, PAIRS_A_CALL)):
        queries, documents = (_beginnings(tokenizer, list(side)) for side in zip(*several, strict=True))
        yield from zip(queries, documents, strict=True)


def _beginnings(tokenizer: Any, texts: list[str]) -> list[str]:
    encoded = tokenizer.encode_batch(texts, add_special_tokens=False)
    return [text[: found.offsets[-1][1]] if found.ids else "" for text, found in zip(texts, encoded, strict=True)]


def _different(pairs: Iterable[TextPair]) -> Iterator[TextPair]:
    """Pairs of texts that no pair before them has, on either side."""
    seen = {""}
    for query, document in pairs:
        keys = folded(query), folded(document)
        if keys[0] != keys[1] and seen.isdisjoint(keys):
            seen.update(keys)
            yield query, document
