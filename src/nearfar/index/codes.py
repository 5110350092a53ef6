"""Search over the codes of an index: small, and as near to exact search as the codec is good."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nearfar.compress.codec import Codec, Codes, Vectors
from nearfar.core.artifact import identity, read_manifest, read_meta, writing
from nearfar.core.errors import BadInput, FingerprintMismatch
from nearfar.core.facts import check_facts
from nearfar.core.plain_arrays import mapped_array
from nearfar.index.codec_folder import open_codec, save_codec
from nearfar.index.exact import best, check_space, highest
from nearfar.index.generation import KIND as INDEX_KIND

KIND = "codes"
FOLDER = "codes"  # beside the index, with a folder for each size in it
CODEC, FILE = "codec", "codes.npy"  # in that folder

Read = Callable[[NDArray[np.int32]], Vectors]


@dataclass(frozen=True)
class CodedIndex:
    """The codes of an index's documents, row by row, and the codec that made them."""

    name: str  # of the codec
    codec: Codec
    codes: Codes  # (D, size_bytes), memory-mapped where they were opened
    fingerprint: str  # of the model
    index: str  # identity of the index

    @property
    def codec_bytes(self) -> int:
        """Bytes of the codec, which are needed once, however many the documents."""
        return sum(array.nbytes for array in self.codec.state().values())

    def search(
        self, queries: Vectors, k: int, fingerprint: str, allowed: NDArray[np.bool_] | None = None
    ) -> tuple[NDArray[np.int32], Vectors]:
        """Return rows and scores of the k best documents of each query (Q, d), both (Q, k), best first.

        Args:
            allowed: (n,) documents that may be found; where they are fewer than k, there are as few places.

        Raises:
            FingerprintMismatch: the queries come from another embedding space.
            DimensionMismatch: the queries have another d than the codec's vectors.
        """
        check_space(self.fingerprint, fingerprint)
        places = None if allowed is None else np.flatnonzero(allowed)
        codes = self.codes if places is None else self.codes[places]
        score = lambda part, rows: self.codec.score(queries[part], codes[rows])  # noqa: E731
        found, scores = best(score, len(queries), len(codes), k)
        return found if places is None else places[found].astype(np.int32), scores


@dataclass(frozen=True)
class Rescored:
    """Codes that choose candidates, and full vectors that rank them (binary codes: BPR, Yamada et al., 2021)."""

    coded: CodedIndex
    read: Read  # of the index: only the candidates' vectors are read
    candidates: int  # of each query; k where that is more

    def search(
        self, queries: Vectors, k: int, fingerprint: str, allowed: NDArray[np.bool_] | None = None
    ) -> tuple[NDArray[np.int32], Vectors]:
        """Return rows and exact scores of the k best candidates of each query (Q, d), both (Q, k), best first.

        Raises:
            FingerprintMismatch, DimensionMismatch: as of `CodedIndex.search`.
        """
        found, _ = self.coded.search(queries, max(k, self.candidates), fingerprint, allowed)
        return rescored(queries, found, self.read, k)


def rescored(queries: Vectors, found: NDArray[np.int32], read: Read, k: int) -> tuple[NDArray[np.int32], Vectors]:
    """Rows and inner products of the k best of the found rows (Q, k') of documents, ties by lower row; two (Q, k).

    Args:
        read: rows (k',) → their vectors (k', d).
    """
    rows = np.sort(found, axis=1)  # ties stay in order, and the disk is read forwards
    scores = np.empty(rows.shape, np.float32)
    for number, query in enumerate(queries):
        scores[number] = read(rows[number]) @ query
    order, values = highest(scores, k)
    return np.take_along_axis(rows, order, axis=1), values


def codes_path(index: Path, size_bytes: int) -> Path:
    """Where the codes of so many bytes of an index folder are."""
    return index.parent / FOLDER / str(size_bytes)


def write_codes(path: Path, coded: CodedIndex, facts: Mapping[str, Any], *, overwrite: bool = False) -> None:
    """Write a folder of codes.

    Args:
        facts: what else its manifest is to hold.

    Raises:
        BadInput: the folder exists and is not to be replaced, or the disk cannot take it.
    """
    rows, size = coded.codes.shape
    meta = {**facts, "codec": coded.name, "bytes": size, "documents": rows, "fingerprint": coded.fingerprint,
            "index": coded.index}  # fmt: skip
    with writing(path, KIND, meta, overwrite=overwrite) as folder:
        save_codec(folder / CODEC, coded.name, coded.codec, coded.fingerprint)
        np.save(folder / FILE, coded.codes)


def open_codes(path: Path, index: Path | None = None) -> CodedIndex:
    """Open a folder of codes.

    Args:
        index: the index folder whose documents they are to stand for.

    Raises:
        BadInput: there are none, they are damaged, or they stand for the documents of another index.
        FingerprintMismatch: the index is of another model.
    """
    meta = read_manifest(path, KIND)
    if index is not None:
        check_index(path, index)
    check_facts(path, meta, {"codec": str, "fingerprint": str, "documents": int, "index": str})
    codes, codec = mapped_array(path / FILE), open_codec(path / CODEC, meta["fingerprint"])
    if codes.dtype != np.uint8 or codes.shape != (meta["documents"], codec.size_bytes):
        expected = f"{codec.size_bytes} bytes for each of {meta['documents']} documents"
        raise BadInput.at(path / FILE, expected=expected, found=f"{codes.dtype} {codes.shape}",
                          do="make them again: nearfar compress --overwrite")  # fmt: skip
    return CodedIndex(meta["codec"], codec, codes, meta["fingerprint"], meta["index"])


def open_codes_of(index: Path, size_bytes: int) -> CodedIndex:
    """Open the codes of so many bytes that were made of an index folder.

    Raises:
        BadInput, FingerprintMismatch: as of `open_codes`; where there are none, the verb that makes them is named.
    """
    path = codes_path(index, size_bytes)
    if not path.is_dir():
        sizes = ", ".join(map(str, made_sizes(index)))
        raise BadInput.at(path, expected=f"codes of {size_bytes} bytes", found=f"those of {sizes}" if sizes else "none",
                          do=f"make them: nearfar compress {index.parent} --bytes {size_bytes}")  # fmt: skip
    return open_codes(path, index)


def made_sizes(index: Path) -> list[int]:
    """Bytes of the codes that were made of an index folder, rising."""
    return sorted(int(path.name) for path in (index.parent / FOLDER).glob("*") if path.name.isdecimal())


def check_index(path: Path, index: Path) -> None:
    """Refuse codes that stand for the documents of another index than this one.

    Raises:
        FingerprintMismatch: it is of another model.
        BadInput: it holds other documents.
    """
    meta, model = read_meta(path, KIND), read_meta(index, INDEX_KIND)["fingerprint"]
    do = "make them again: nearfar compress with --overwrite"
    if meta["fingerprint"] != model:
        raise FingerprintMismatch(f"{path}: expected codes of model {model}, found those of model "
                                  f"{meta['fingerprint']}; {do}")  # fmt: skip
    if meta["documents"] != (rows := read_meta(index, INDEX_KIND)["documents"]):
        raise BadInput.at(path, expected=f"codes of {rows} documents", found=str(meta["documents"]), do=do)
    if meta["index"] != (own := identity(index, INDEX_KIND)):
        raise BadInput.at(path, expected=f"codes of the index {own}", found=f"those of another, {meta['index']}", do=do)
