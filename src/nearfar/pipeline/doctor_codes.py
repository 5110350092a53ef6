"""`diagnose_codes`: whether the codes of a run still stand for its documents, and whether they would for others."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nearfar.compress.codec import Codec
from nearfar.compress.health import distortions, health
from nearfar.compress.registry import kind_of
from nearfar.core.artifact import identity, read_meta
from nearfar.core.errors import BadInput
from nearfar.data.config import DataConfig
from nearfar.data.dataset import Dataset
from nearfar.data.read import as_dataset
from nearfar.diagnose import codebooks
from nearfar.diagnose.codebooks import NAME, Coded, Look, Usage
from nearfar.diagnose.evidence import Evidence
from nearfar.diagnose.finding import unknown
from nearfar.encoder.encode import open_store
from nearfar.encoder.load import load_encoder
from nearfar.encoder.precision import choose_policy
from nearfar.index.codes import KIND, CodedIndex, codes_path, made_sizes, open_codes, open_codes_of
from nearfar.index.exact import check_space
from nearfar.index.generation import KIND as INDEX_KIND
from nearfar.index.generation import Generation, open_index
from nearfar.pipeline.doctor import Diagnosis, own_data
from nearfar.pipeline.evaluate import Space, texts_of, with_split
from nearfar.pipeline.place import Place
from nearfar.pipeline.progress import Reporter, Silent
from nearfar.pipeline.stored import known_items

MOST_OWN = 10_000  # documents of the index
MOST_GIVEN = 2000  # others, which must be encoded
MOST_QUERIES = 500


def diagnose_codes(
    run: str | Path,
    sizes: Sequence[int] = (),
    *,
    data: Any = None,
    config: DataConfig | None = None,
    reporter: Reporter | None = None,
) -> Diagnosis:
    """Look at the codes of a run's documents: a finding for each size.

    Args:
        sizes: bytes a vector; left out, all that were made.
        data: other documents, as `fit` takes them, that the codes are to stand for, with test queries if there are any.
        config: how to read data.

    Raises:
        BadInput: there is no run, or no such codes, or they or the data cannot be read.
        FingerprintMismatch: codes or index are of another model.
    """
    bench = _Bench.open(Path(run), data, config or DataConfig(), reporter or Silent())
    findings = [codebooks.diagnose(bench.coded(size)) for size in dict.fromkeys(sizes or made_sizes(bench.place))]
    if not findings:
        findings = [unknown(NAME, f"codes: nearfar compress {run}")]
    return Diagnosis(str(run), tuple(findings), Evidence())


@dataclass(frozen=True)
class _Texts:
    """Documents and queries with their vectors."""

    ids: Sequence[str]
    texts: Sequence[str]
    vectors: NDArray[np.float32]  # (n, d)
    queries: NDArray[np.float32]  # (Q, d)

    def coded(self, codec: Codec, codes: NDArray[np.uint8], usage: Usage | None = None) -> Look:
        errors = distortions(codec, self.vectors, codes)
        return Look(self.ids, self.texts, self.vectors, codes, errors, self.queries, usage)


@dataclass(frozen=True)
class _Bench:
    """A run's index, and what all sizes are held against."""

    run: Path
    index: Generation
    rows: NDArray[np.int64]  # of `own` in the index
    own: _Texts
    given: _Texts | None

    @property
    def place(self) -> Path:
        return self.run / "index"

    @classmethod
    def open(cls, run: Path, data: Any, config: DataConfig, reporter: Reporter) -> _Bench:
        index = open_index(run / "index")
        encoder = load_encoder(run / "model", choose_policy().device)
        check_space(index.fingerprint, encoder.fingerprint())
        space = Space(encoder, choose_policy(), open_store(encoder), reporter)
        rows = _drawn(len(index.ids), MOST_OWN)
        texts = [index.texts[row] for row in rows]
        queries = space.vectors(_queries(own_data(Place.of(run), reporter), texts), "query", "queries")
        own = _Texts([index.ids[row] for row in rows], texts, np.asarray(index.vectors[rows]), queries)
        given = None if data is None else _given(with_split(as_dataset(data, config), "test", config), space)
        return cls(run, index, rows, own, given)

    def coded(self, size: int) -> Coded:
        """The codes of so many bytes, also of another state of the index."""
        path = codes_path(self.place, size)
        coded = open_codes(path) if path.is_dir() else open_codes_of(self.place, size)
        check_space(coded.fingerprint, self.index.fingerprint)
        meta, stale = read_meta(path, KIND), coded.index != identity(self.place, INDEX_KIND)
        own = None if stale else self.own.coded(coded.codec, coded.codes[self.rows])
        texts = self.given or (self.own if stale else None)
        given = None if texts is None else _encoded(texts, coded)
        return Coded(str(self.run), coded.name, size, coded.codec.score, meta["documents"], own,
                     given, _usage(coded, coded.codes), meta.get("error", math.nan))  # fmt: skip


def _encoded(texts: _Texts, coded: CodedIndex) -> Look:
    codes = coded.codec.encode(texts.vectors)
    return texts.coded(coded.codec, codes, _usage(coded, codes))


def _usage(coded: CodedIndex, codes: NDArray[np.uint8]) -> Usage | None:
    kind = kind_of(coded.name)
    if not kind.codebooks:
        return None
    found = health(codes, kind.bits)
    return Usage(found.used, found.perplexity, found.least, 1 << kind.bits, len(codes))


def _given(dataset: Dataset, space: Space) -> _Texts:
    rows = _drawn(len(dataset.documents.texts), MOST_GIVEN)
    if not len(rows):
        raise BadInput.at(dataset.name, expected="documents to look at", found="none", do="give others with --data")
    ids, texts = ([held[row] for row in rows] for held in (dataset.documents.ids, dataset.documents.texts))
    vectors = space.vectors(texts, "document", "documents")
    return _Texts(ids, texts, vectors, space.vectors(_queries(dataset, texts), "query", "queries"))


def _queries(dataset: Dataset | None, documents: Sequence[str]) -> list[str]:
    """Test queries, or the first words of documents where there are none."""
    if dataset is not None and "test" in dataset.splits and len(judged := dataset.judged("test").queries):
        return texts_of(dataset.queries, judged[_drawn(len(judged), MOST_QUERIES)])
    return list(known_items(documents).queries[:MOST_QUERIES])


def _drawn(count: int, most: int) -> NDArray[np.int64]:
    """Rows of at most so many, drawn at random, the same ones each time."""
    return np.random.default_rng(0).permutation(count)[:most]
