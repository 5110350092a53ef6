"""Every codec by its name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from nearfar.compress.binary import BINARY
from nearfar.compress.check import as_vectors, check_vectors
from nearfar.compress.codec import Codec, Kind, Sample
from nearfar.compress.float16 import FLOAT16
from nearfar.compress.four_bits import PQ4, PQ4_P
from nearfar.compress.infomax import INFOMAX
from nearfar.compress.int8 import INT8
from nearfar.compress.key_value import KEY_VALUE
from nearfar.compress.labels import labelled
from nearfar.compress.learned_binary import LEARNED_BINARY
from nearfar.compress.learned_cascade import LEARNED_CASCADE
from nearfar.compress.learned_product import LEARNED_PRODUCT
from nearfar.compress.learned_residual import LEARNED_RESIDUAL
from nearfar.compress.optimized import OPQ, OPQ_P
from nearfar.compress.pca import PCA
from nearfar.compress.product import PQ
from nearfar.compress.rabitq import RABITQ
from nearfar.compress.residual import RQ
from nearfar.compress.truncate import TRUNCATE
from nearfar.core.config import nearest
from nearfar.core.errors import BadInput, DimensionMismatch, excerpt

CODECS: dict[str, Kind] = {
    "float16": FLOAT16,
    "int8": INT8,
    "binary": BINARY,
    "truncate": TRUNCATE,
    "pca": PCA,
    "pq": PQ,
    "opq": OPQ,
    "opq_p": OPQ_P,
    "pq4": PQ4,
    "pq4_p": PQ4_P,
    "rq": RQ,
    "rabitq": RABITQ,
    "infomax": INFOMAX,
    "key_value": KEY_VALUE,
    "learned_binary": LEARNED_BINARY,
    "learned_product": LEARNED_PRODUCT,
    "learned_residual": LEARNED_RESIDUAL,
    "learned_cascade": LEARNED_CASCADE,
}


def kind_of(name: str) -> Kind:
    """The codec of that name.

    Raises:
        BadInput: there is none; the nearest right name is given.
    """
    if name not in CODECS:
        raise BadInput.at("codec", expected="a known one", found=excerpt(name), do=nearest(name, list(CODECS)))
    return CODECS[name]


def fit(name: str, sample: Sample, size_bytes: int) -> Codec:
    """Fit the codec of that name to the sample, with `size_bytes` a vector.

    Raises:
        BadInput: it is unknown or has no such size, or the sample is too small, lacks the labels that it learns from,
            or has a vector of NaN, infinity or 0.
        DimensionMismatch: the sample's queries and documents differ in d.
    """
    kind = kind_of(name)
    _check(sample)
    check_labels(name, found=len(labelled(sample).queries) > 0)
    dimension = sample.vectors.shape[1]
    check_size(name, size_bytes, dimension=dimension, documents=len(sample.vectors))
    return kind.fit(replace(sample, vectors=as_vectors(sample.vectors, dimension)), size_bytes)


def check_size(name: str, size_bytes: int, *, dimension: int, documents: int) -> None:
    """Refuse, before any work, a size that this codec cannot be fitted to on so many documents.

    Raises:
        BadInput: so; the nearest sizes, or the documents needed, are given.
    """
    kind = kind_of(name)
    _check_size(f"codec '{name}'", kind.sizes(dimension), size_bytes, dimension)
    _check_count(f"codec '{name}'", documents, max(1, kind.fewest(size_bytes)), size_bytes)


def check_labels(name: str, *, found: bool) -> None:
    """Refuse, before any work, a codec that is learnt from labels where there are none.

    Raises:
        BadInput: so.
    """
    if kind_of(name).labelled and not found:
        raise BadInput.at(f"codec '{name}'", expected="queries labelled with their documents", found="none",
                          do="give training queries, without --unlabelled, or choose a codec that learns "
                          "from documents alone, such as learned_residual")  # fmt: skip


def _check(sample: Sample) -> None:
    shape = sample.vectors.shape
    if len(shape) != 2:
        raise BadInput.at("sample", expected="vectors (n, d)", found=f"shape {shape}", do="stack them by rows")
    check_vectors(sample.vectors)
    if len(sample.queries):
        if sample.queries.shape[1:] != shape[1:]:
            raise DimensionMismatch(
                f"sample: expected {shape[1]}-d queries as its documents are, found shape {sample.queries.shape}; "
                f"encode both with one model"
            )
        check_vectors(sample.queries, noun="query")


def _check_size(where: str, sizes: Sequence[int], size_bytes: int, dimension: int) -> None:
    if size_bytes in sizes:
        return
    below = [size for size in sizes if size < size_bytes][-1:]
    near = [*below, *[size for size in sizes if size > size_bytes][:1]]
    do = f"choose {' or '.join(map(str, near))}" if near else "choose another codec"
    raise BadInput.at(where, expected=f"a size that it has for {dimension} dimensions",
                      found=f"{size_bytes} bytes", do=do)  # fmt: skip


def _check_count(where: str, found: int, fewest: int, size_bytes: int) -> None:
    if found < fewest:
        do = "give more, or choose a codec that needs fewer, such as int8"
        raise BadInput.at(where, expected=f"at least {fewest} documents to fit {size_bytes} bytes to",
                          found=str(found), do=do)  # fmt: skip
