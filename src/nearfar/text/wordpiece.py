"""BERT's tokenization of ASCII texts: one compiled pass over their letters, several times as fast as `tokenizers`."""

from __future__ import annotations

import json
import re
import string
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from nearfar.core.ragged import Ragged

Bytes = NDArray[np.uint8]
Numbers = NDArray[np.int32]

ASCII = [chr(code) for code in range(128)]
REMOVED, SPACE, PUNCTUATION, LETTER, DIGIT = range(5)  # a word is of letters, or of digits where these are split off
FIRST, CONTINUING = 0, 1  # nodes that the pieces begin at which begin a word, or go on with it
NONE = -1
BERT = {"type": "BertPreTokenizer"}
BERT_AND_DIGITS = {"type": "Sequence", "pretokenizers": [BERT, {"type": "Digits", "individual_digits": False}]}

kernel = njit(nogil=True, cache=True, error_model="numpy")
inlined = njit(inline="always", error_model="numpy")


class Trie(NamedTuple):
    """The vocabulary's pieces, letter by letter."""

    edges: Numbers  # (a power of two, 2): node · 128 + letter, and the node it leads to; a hash table, empty is NONE
    ids: Numbers  # (nodes,) of the piece that ends there, or NONE


@dataclass(frozen=True)
class WordPiece:
    """Greedy longest match (Devlin et al., 2019) of ASCII texts; the ids are those of `tokenizers`."""

    letters: Bytes  # (2, 128): what each ASCII letter does to a word, and as what it is looked up
    trie: Trie
    unknown: int  # id of a word that no pieces make up
    longest: int  # letters of a word; a longer one is unknown
    special: re.Pattern[str]  # tokens that are found in texts before these are split

    def takes(self, text: str) -> bool:
        """Whether this text is one for `tokenize`."""
        return text.isascii() and not self.special.search(text)

    def tokenize(self, texts: Sequence[str]) -> Ragged:
        """Ids of texts that it takes, without special tokens."""
        joined = np.frombuffer("".join(texts).encode("ascii"), np.uint8)
        ends = np.cumsum(np.fromiter(map(len, texts), np.int64, len(texts)))
        longest = min(self.longest, len(joined))  # a tokenizer may allow for more than there is memory
        return Ragged(*_tokenize(joined, ends, self.letters, *self.trie, self.unknown, longest))


@lru_cache(maxsize=4)
def wordpiece(description: str) -> WordPiece | None:
    """The tokenizer of this description (`Tokenizer.to_str`), or None when it is of another kind."""
    content = json.loads(description)
    model, added, splits = content["model"], content["added_tokens"], content["pre_tokenizer"]
    normalizer = {"type": None, **(content["normalizer"] or {})}
    alike = model["type"] == "WordPiece" and normalizer["type"] == "BertNormalizer" and normalizer["clean_text"]
    if not alike or splits not in (BERT, BERT_AND_DIGITS) or any(token["normalized"] for token in added):
        return None
    vocabulary, unknown = model["vocab"], model["unk_token"]
    if unknown not in vocabulary:
        return None
    kinds = [_kind(letter, digits=splits == BERT_AND_DIGITS) for letter in ASCII]
    folded = [ord(letter.lower() if normalizer["lowercase"] else letter) for letter in ASCII]
    names = [re.escape(token["content"]) for token in added]
    return WordPiece(
        np.array([kinds, folded], np.uint8),
        _trie(vocabulary, model["continuing_subword_prefix"]),
        vocabulary[unknown],
        model["max_input_chars_per_word"],
        re.compile("|".join(names) or "(?!)"),
    )


def _kind(letter: str, *, digits: bool) -> int:
    if letter in " \t\n\r":
        return SPACE
    if letter in string.punctuation:
        return PUNCTUATION
    if digits and letter.isdigit():
        return DIGIT
    return LETTER if letter.isprintable() else REMOVED


def _trie(vocabulary: Mapping[str, int], prefix: str) -> Trie:
    """Of the pieces that words of ASCII letters can have; those inside words begin with `prefix`."""
    first = [(name, FIRST, number) for name, number in vocabulary.items()]
    inner = [(name.removeprefix(prefix), CONTINUING, i) for name, _, i in first if name.startswith(prefix)]
    found = [row for row in first + inner if row[0].isascii() and (row[0].isalnum() or len(row[0]) == 1)]
    pieces, roots, ids = zip(*found, strict=True) if found else ((), (), ())
    joined = np.frombuffer("".join(pieces).encode("ascii"), np.uint8)
    ends = np.cumsum(np.fromiter(map(len, pieces), np.int64, len(pieces)))
    return Trie(*_grow(joined, ends, np.array(roots, np.int32), np.array(ids, np.int32)))


@kernel
def _room(edges: int) -> Numbers:
    """An empty table, at most half of it used by so many edges."""
    size = 1
    while size < 2 * edges:
        size *= 2
    return np.full((size, 2), NONE, np.int32)


@inlined
def _slot(node: Any, letter: Any, edges: Numbers) -> Any:
    """Where the edge from `node` is, or the free place for it."""
    key = np.int64(node) * 128 + letter
    slot = np.int64((np.uint64(key) * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(32)) & (len(edges) - 1)
    while edges[slot, 0] != key and edges[slot, 0] != NONE:
        slot = (slot + 1) & (len(edges) - 1)
    return slot


@kernel
def _grow(joined: Bytes, ends: Any, roots: Numbers, numbers: Numbers) -> tuple[Numbers, Numbers]:
    """Edges and ids of a trie of pieces, which follow each other in `joined`, up to `ends`."""
    edges, ids = _room(len(joined)), np.full(len(joined) + 2, NONE, np.int32)
    nodes, start = 2, 0
    for piece in range(len(ends)):
        node = roots[piece]
        for i in range(start, ends[piece]):
            slot = _slot(node, joined[i], edges)
            if edges[slot, 0] == NONE:
                edges[slot, 0] = node * 128 + joined[i]
                edges[slot, 1] = nodes
                nodes += 1
            node = edges[slot, 1]
        ids[node] = numbers[piece]
        start = ends[piece]
    close = _room(nodes)  # the less memory it takes, the more of it stays in a cache
    for key, node in edges:
        if key != NONE:
            slot = _slot(key // 128, key % 128, close)
            close[slot, 0], close[slot, 1] = key, node
    return close, ids[:nodes].copy()


@inlined
def _add_word(word: Bytes, length: int, edges: Numbers, ids: Numbers, unknown: int, out: Numbers, end: int) -> int:
    """Write the ids of a word, no longer than there is room for one, to out[end:]; where the next word's go."""
    start, here = 0, end
    while start < length:
        node = CONTINUING if start else FIRST
        i, stop = start, start
        while i < length <= len(word):
            node = edges[_slot(node, word[i], edges), 1]
            if node == NONE:
                break
            i += 1
            if ids[node] != NONE:
                stop = i
                out[here] = ids[node]
        if stop == start:
            out[end] = unknown
            here = end + 1
            break
        here += 1
        start = stop
    return here


@kernel
def _tokenize(
    text: Bytes, ends: Any, letters: Bytes, edges: Numbers, ids: Numbers, unknown: int, longest: int
) -> tuple[Any, Numbers]:
    """Offsets and ids of texts that follow each other in `text`, up to `ends`."""
    out = np.empty(len(text), np.int32)  # every piece has a letter
    offsets = np.zeros(len(ends) + 1, np.int64)
    word = np.empty(longest, np.uint8)
    start = end = length = 0
    last = SPACE
    for row in range(len(ends)):
        for i in range(start, ends[row] + 1):
            letter = text[i] if i < ends[row] else np.uint8(ord(" "))  # a text's end is a word's
            kind = letters[0, letter]
            if kind == REMOVED:
                continue
            if kind != last or kind == PUNCTUATION:
                end = _add_word(word, length, edges, ids, unknown, out, end)
                length, last = 0, kind
            if kind != SPACE:
                if length < longest:
                    word[length] = letters[1, letter]
                length += 1
        start = ends[row]
        offsets[row + 1] = end
    return offsets, out[:end].copy()
