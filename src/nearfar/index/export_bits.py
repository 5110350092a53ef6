"""Binary codes as text that PostgreSQL reads into a `bit(n)` column, which pgvector searches by Hamming distance."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from nearfar.compress.binary import Binary
from nearfar.compress.codec import Codec, Codes, Vectors
from nearfar.core.artifact import writing
from nearfar.core.errors import BadInput
from nearfar.index.export_check import EQUAL, KIND, Agreement, Leaving, Rows, agreement
from nearfar.index.export_form import bit_scores, blocks, in_words

FILE = "codes.tsv"  # of `COPY nearfar_codes (id, code) FROM STDIN`
SCHEMA = "schema.sql"
THRESHOLDS = "thresholds.npy"  # (d,): a query's bit is one where its value is above
TABLE = "nearfar_codes"
ESCAPES = str.maketrans({"\\": r"\\", "\t": r"\t", "\n": r"\n", "\r": r"\r"})  # COPY's text format


def write_bits(path: Path, leaving: Leaving, *, overwrite: bool = False) -> Agreement:
    """Write a folder with `schema.sql`, `codes.tsv` and the thresholds of a query's bits; check the text against ours.

    Raises:
        BadInput: the codes are no bits, an id cannot be a PostgreSQL text, or `path` exists.
    """
    codec = check_bits(leaving.name, leaving.codec)
    with writing(path, KIND, {**leaving.meta, "to": "pgvector"}, overwrite=overwrite) as folder:
        bits = leaving.codes.shape[1] * 8
        (folder / SCHEMA).write_text(schema(bits), encoding="utf-8")
        with (folder / FILE).open("w", encoding="utf-8", newline="\n") as file:
            file.writelines(copy_lines(leaving.ids, leaving.codes))
        np.save(folder / THRESHOLDS, codec.median)
        written = _read(folder / FILE, bits)
        search = lambda queries, k: _nearest(bit_scores(codec, queries, written), k)  # noqa: E731
        return agreement(path, leaving, search, lambda queries: bit_scores(codec, queries, leaving.codes), EQUAL)


def check_bits(name: str, codec: Codec) -> Binary:
    """Refuse, before any work, a codec whose codes are no bits, and return it otherwise.

    Raises:
        BadInput: so.
    """
    if not isinstance(codec, Binary):
        raise BadInput.at("to pgvector", expected="binary codes", found=in_words(name, codec),
                          do="compress with the codec binary, or export to faiss or lance")  # fmt: skip
    return codec


def schema(bits: int) -> str:
    """The table, which is to be there before the codes are copied into it."""
    return (
        "CREATE EXTENSION IF NOT EXISTS vector;\n"
        f"CREATE TABLE {TABLE} (id text PRIMARY KEY, code bit({bits}) NOT NULL);\n"
    )


def copy_lines(ids: Iterable[str], codes: Codes) -> Iterator[str]:
    """One line a document: its id, a tab, its bits.

    Raises:
        BadInput: PostgreSQL has no such text as an id.
    """
    rows = iter(ids)
    for block in blocks(len(codes), codes.shape[1] * 8):
        for line, key in zip(bit_texts(codes[block]), rows, strict=False):
            yield f"{_text(key)}\t{line}\n"


def bit_texts(codes: Codes) -> list[str]:
    """Each code (n, bytes) as zeros and ones, the first byte's highest bit first: what `bit(n)` takes."""
    digits = np.unpackbits(codes, axis=1) + np.uint8(ord("0"))
    return [row.tobytes().decode("ascii") for row in digits]


def _text(key: str) -> str:
    if "\0" in key or any("\ud800" <= letter <= "\udfff" for letter in key):
        raise BadInput.at(f"document {key!r}", expected="an id that PostgreSQL can hold",
                          found="a NUL or half a surrogate pair", do="rename the document")  # fmt: skip
    return key.translate(ESCAPES)


def _read(file: Path, bits: int) -> Codes:
    with file.open(encoding="utf-8", newline="\n") as lines:
        packed = b"".join(int(line.rstrip("\n")[-bits:], 2).to_bytes(bits // 8, "big") for line in lines)
    return np.frombuffer(packed, np.uint8).reshape(-1, bits // 8)


def _nearest(similar: Vectors, k: int) -> tuple[Rows, Vectors]:
    rows = np.argsort(-similar, axis=1, kind="stable")[:, :k]
    return rows, np.take_along_axis(similar, rows, axis=1)
