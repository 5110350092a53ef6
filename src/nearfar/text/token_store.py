"""Every text tokenised once: token ids in one memory-mapped array, found again by the text's content.

The ids file only grows; the index file beside it is replaced atomically, so a crash while texts are added leaves the
store as it was before.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from nearfar.core.errors import BadInput, excerpt
from nearfar.core.fingerprint import digest, text_keys
from nearfar.core.ragged import Ragged, offsets_of
from nearfar.text.wordpiece import WordPiece, wordpiece

KEY = np.dtype("V16")
TEXTS_A_CALL = 8192  # bounds the memory of the tokenizer's results
COMPILED_TEXTS = 2048  # from so many on, the compiled tokenizer is worth being loaded


class Encoding(Protocol):
    """What the store reads of a tokenised text."""

    @property
    def ids(self) -> list[int]: ...


class Tokenizer(Protocol):
    """The part of `tokenizers.Tokenizer` the store needs."""

    def encode_batch_fast(self, texts: list[str], *, add_special_tokens: bool) -> Sequence[Encoding]: ...

    def no_truncation(self) -> None: ...

    def no_padding(self) -> None: ...

    def to_str(self) -> str: ...

    def get_vocab_size(self) -> int: ...


def tokenizer_digest(tokenizer: Tokenizer) -> str:
    """Fingerprint of a tokenizer's content, without the padding and truncation that callers set and reset on it."""
    content = json.loads(tokenizer.to_str())
    content.pop("padding", None)
    content.pop("truncation", None)
    return digest([json.dumps(content, sort_keys=True)])


@dataclass
class TokenStore:
    """Token ids of texts, without special tokens, at most `limit` a text; in memory, or in a folder if one is given."""

    tokenizer: Tokenizer
    limit: int  # tokens kept of a text, from its start
    folder: Path | None = None
    ids: NDArray[np.int32] = field(default_factory=lambda: np.empty(0, np.int32))
    offsets: NDArray[np.int64] = field(default_factory=lambda: np.zeros(1, np.int64))
    full_lengths: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))  # before the limit
    row_of: dict[bytes, int] = field(default_factory=dict)

    @classmethod
    def open(cls, tokenizer: Tokenizer, limit: int, folder: Path | None = None) -> TokenStore:
        """Open the store of this tokenizer and limit below `folder`, or an empty one in memory."""
        if folder is None:
            return cls(tokenizer, limit)
        place = folder / f"tokens-{tokenizer_digest(tokenizer)}-{limit}"
        store = cls(tokenizer, limit, place)
        if (place / "index.npz").exists():
            store._read(place)
        return store

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def rows(self, texts: Sequence[str]) -> NDArray[np.int64]:
        """Row of each text (len(texts),), tokenising those not seen before."""
        keys = text_keys(texts)
        fresh = {key: text for key, text in zip(keys, texts, strict=True) if key not in self.row_of}
        if fresh:
            self._add(list(fresh), list(fresh.values()))
        return np.fromiter((self.row_of[key] for key in keys), np.int64, len(keys))

    def __getitem__(self, row: int) -> NDArray[np.int32]:
        return self.ids[self.offsets[row] : self.offsets[row + 1]]

    def take(self, rows: NDArray[np.int64], limit: int | NDArray[np.int64]) -> Ragged:
        """Copy the first `limit` tokens of each of these rows, in one pass over the ids."""
        starts = self.offsets[rows]
        offsets = offsets_of(np.minimum(self.offsets[rows + 1] - starts, limit))
        places = np.arange(offsets[-1]) + np.repeat(starts - offsets[:-1], np.diff(offsets))
        return Ragged(offsets, self.ids[places])

    def _add(self, keys: list[bytes], texts: list[str]) -> None:
        self.tokenizer.no_truncation()
        self.tokenizer.no_padding()
        compiled = wordpiece(self.tokenizer.to_str()) if len(texts) >= COMPILED_TEXTS else None
        calls = [texts[start : start + TEXTS_A_CALL] for start in range(0, len(texts), TEXTS_A_CALL)]
        found = [self._tokenize(call, compiled) for call in calls]
        full = np.concatenate([call.lengths for call in found])
        kept = np.minimum(full, self.limit)
        added = np.concatenate([call.values[call.places() < self.limit] for call in found])
        start = len(self)
        self.offsets = np.concatenate([self.offsets, self.offsets[-1] + offsets_of(kept)[1:]])
        self.full_lengths = np.concatenate([self.full_lengths, full])
        self.row_of.update((key, start + i) for i, key in enumerate(keys))
        self.ids = self._append(self.folder, added) if self.folder else np.concatenate([self.ids, added])

    def _tokenize(self, texts: list[str], compiled: WordPiece | None) -> Ragged:
        takes = np.array([compiled is not None and compiled.takes(text) for text in texts])
        others = [text for text, taken in zip(texts, takes, strict=True) if not taken]
        with panics_told():
            encodings = self.tokenizer.encode_batch_fast(others, add_special_tokens=False) if others else ()
        theirs = Ragged.of(encoding.ids for encoding in encodings)
        if compiled is None:
            return theirs
        ours = compiled.tokenize([text for text, taken in zip(texts, takes, strict=True) if taken])
        order = np.argsort(takes, kind="stable")  # theirs first
        return theirs.followed_by(ours).take(np.argsort(order))

    def _append(self, folder: Path, added: NDArray[np.int32]) -> NDArray[np.int32]:
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / "ids.i32").open("ab") as file:
            indexed = 4 * (int(self.offsets[-1]) - len(added))
            if file.tell() < indexed:
                raise BadInput.at(folder / "ids.i32", expected=f"{indexed} bytes", found=f"{file.tell()}",
                                  do="remove the folder; it is made again")  # fmt: skip
            file.truncate(indexed)  # what a crash left behind the index
            added.tofile(file)
        keys = np.frombuffer(b"".join(self.row_of), KEY)
        scratch = folder / ".index.npz"
        np.savez(scratch, offsets=self.offsets, full_lengths=self.full_lengths, keys=keys)
        scratch.replace(folder / "index.npz")
        return self._mapped(folder)

    def _mapped(self, folder: Path) -> NDArray[np.int32]:
        tokens = int(self.offsets[-1])
        if tokens == 0:  # an empty file cannot be mapped
            return np.empty(0, np.int32)
        return np.memmap(folder / "ids.i32", np.int32, mode="r", shape=(tokens,))

    def _read(self, folder: Path) -> None:
        with np.load(folder / "index.npz", allow_pickle=False) as index:
            self.offsets, self.full_lengths = index["offsets"], index["full_lengths"]
            self.row_of = {key.tobytes(): i for i, key in enumerate(index["keys"])}
        self.ids = self._mapped(folder)


@contextmanager
def panics_told() -> Iterator[None]:
    """Tell of a text in which a tokenizer gives up, as where a pattern of its own runs wild.

    Raises:
        BadInput: so.
    """
    try:
        yield
    except BaseException as error:  # the library's panic is none of Exception, and would end a thread
        if type(error).__name__ != "PanicException":
            raise
        raise BadInput.at("text", expected="one that the model's tokenizer can read", found=excerpt(str(error)),
                          do="leave it out, or use another model") from None  # fmt: skip


def truncated_share(full_lengths: Iterable[int], limit: int) -> float:
    """Share of texts with more than `limit` tokens."""
    lengths = np.fromiter(full_lengths, np.int64)
    return float(np.mean(lengths > limit)) if len(lengths) else 0.0
