"""Codes as a FAISS index that takes the model's queries as they are."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import faiss
import numpy as np

from nearfar.compress.binary import Binary
from nearfar.compress.codec import Codec, Codes, Vectors
from nearfar.core.artifact import writing
from nearfar.index.export_check import EQUAL, EXACT, KIND, Agreement, Leaving, Rows, Rule, agreement
from nearfar.index.export_form import Codebooks, bit_scores, blocks, four_bits_of

FILE = "index.faiss"
PER_LIST = 39  # FAISS warns of k-means on fewer
ROUNDS = 10  # of k-means for the lists
FAST = Rule(tolerance=5e-3, overlap=0.99)  # of fast scan, which rounds a query's tables to 256 steps
CHOSEN = 4  # times as many documents are chosen by fast scan as are returned


@dataclass(frozen=True)
class Lists:
    """How documents are divided, and how many parts a search looks into."""

    count: int | None = None  # None: about the square root of the documents
    probes: int = 16

    def among(self, documents: int) -> int:
        """How many lists there are for so many documents."""
        most = max(1, documents // PER_LIST)
        return min(self.count or round(math.sqrt(documents)), most)


def write_faiss(path: Path, leaving: Leaving, lists: Lists | None = None, *, overwrite: bool = False) -> Agreement:
    """Write a folder with `index.faiss`, whose numbers are rows of `ids.json`, and compare its scores with ours.

    Product and residual codes become an IndexIVFPQ of inner products, with the query's map before it; those of
    four bits an IndexIVFPQFastScan (André et al., 2015) whose candidates are ranked again by exact scores, and bits an
    IndexBinaryIVF of Hamming distances to encoded queries.

    Args:
        lists: of the inverted file; the probes are saved as the index's own, and more can be asked for in a search.

    Raises:
        BadInput: the codec has neither codebooks nor bits, the copy's scores differ from ours, or `path` exists.
    """
    lists = lists or Lists()
    write = _write_bits if isinstance(leaving.codec, Binary) else _write_sums
    with writing(path, KIND, {**leaving.meta, "to": "faiss"}, overwrite=overwrite) as folder:
        leaving.save_ids(folder)
        return write(path, folder / FILE, leaving, lists)


def check_faiss(name: str, codec: Codec) -> None:
    """Refuse, before any work, a codec that FAISS has no index for.

    Raises:
        BadInput: it has neither codebooks nor bits.
    """
    if not isinstance(codec, Binary):
        Codebooks.of(name, codec, "to faiss")


def _write_sums(path: Path, file: Path, leaving: Leaving, lists: Lists) -> Agreement:
    books = Codebooks.of(leaving.name, leaving.codec, "to faiss")
    four = four_bits_of(leaving.codec)
    held = books.codebooks if four is None else four.centroids
    index, inverted = _ivf_pq(books, held, leaving.codes, lists.among(len(leaving.codes)))
    inverted.nprobe = min(lists.probes, inverted.nlist)
    faiss.write_index(index, str(file))
    copy = faiss.read_index(str(file))
    faiss.extract_index_ivf(copy).nprobe = inverted.nlist
    search = lambda queries, k: _searched(copy, queries, k)  # noqa: E731
    return agreement(path, leaving, search, leaving.scores, EXACT if four is None else FAST)


def _searched(index: Any, queries: Vectors, k: int) -> tuple[Rows, Vectors]:
    scores, rows = index.search(np.ascontiguousarray(queries, np.float32), k)
    return rows, scores


def _ivf_pq(books: Codebooks, held: Vectors, codes: Codes, lists: int) -> tuple[Any, Any]:
    """An index of these codes, and the inverted file within it, which is the same where queries need no map.

    Args:
        held: the centroids (M, K, d_sub) that the codes name, which are half as wide as the books' where K is 16.
    """
    many, count, width = held.shape
    coarse, homes = _coarse(books, codes, lists)
    bits = count.bit_length() - 1
    inverted = faiss.IndexIVFPQ(coarse, many * width, lists, many, bits, faiss.METRIC_INNER_PRODUCT)
    inverted.by_residual = False  # residuals to coarse centroids are not what the codebooks were fitted to
    faiss.copy_array_to_vector(held.ravel(), inverted.pq.centroids)
    inverted.is_trained = True
    _fill(inverted, codes, homes)
    if bits == 8:
        return _mapped(inverted, books), inverted
    fast = faiss.IndexIVFPQFastScan(inverted)
    return _mapped(_ranked_again(fast, codes), books), fast


def _ranked_again(fast: Any, codes: Codes) -> Any:
    """Fast scan to choose, and the same codes once more to rank by scores that are not rounded."""
    exact = faiss.IndexPQ(fast.d, fast.pq.M, fast.pq.nbits, faiss.METRIC_INNER_PRODUCT)
    exact.pq, exact.is_trained, exact.ntotal = fast.pq, True, len(codes)
    faiss.copy_array_to_vector(np.ascontiguousarray(codes).ravel(), exact.codes)
    index = faiss.IndexRefine(fast, exact)
    index.k_factor = CHOSEN
    return index


def centroids(books: Codebooks, codes: Codes, lists: int) -> Vectors:
    """Directions (lists, d') that the decoded vectors lie about, by k-means."""
    rows = np.random.default_rng(0).permutation(len(codes))[: 256 * lists]  # FAISS samples no more
    means = faiss.Kmeans(books.dimension, lists, niter=ROUNDS, seed=1, spherical=True, min_points_per_centroid=1)
    means.train(books.decode(codes[np.sort(rows)]))
    return np.asarray(means.centroids, np.float32)


def _coarse(books: Codebooks, codes: Codes, lists: int) -> tuple[Any, Rows]:
    """A quantizer over the centroids, and the list of each document, (n,)."""
    flat = faiss.IndexFlatIP(books.dimension)
    flat.add(centroids(books, codes, lists))
    parts = [flat.search(books.decode(codes[block]), 1)[1][:, 0] for block in blocks(len(codes), books.dimension)]
    homes: Rows = np.concatenate(parts)
    if not books.repeated:
        return flat, homes
    # of the copies of a query the first is enough
    first = _taken(_longer(books), np.arange(books.dimension))
    return faiss.IndexPreTransform(first, flat), homes


def _longer(books: Codebooks) -> int:
    """What a product quantizer takes: all slices side by side."""
    return int(len(books.codebooks) * books.codebooks.shape[2])


def _mapped(inverted: Any, books: Codebooks) -> Any:
    """The index with all that a query goes through before it: its map, then one copy for each codebook."""
    if not books.repeated and books.query_map is None:
        return inverted
    index = faiss.IndexPreTransform(inverted)
    if books.repeated:
        index.prepend_transform(_taken(books.dimension, np.tile(np.arange(books.dimension), len(books.codebooks))))
    if books.query_map is not None:
        linear = faiss.LinearTransform(books.query_map.shape[1], books.dimension)
        faiss.copy_array_to_vector(np.ascontiguousarray(books.query_map, np.float32).ravel(), linear.A)
        linear.is_trained = True
        index.prepend_transform(linear)
    return index


def _taken(dimension: int, places: Rows) -> Any:
    """A transform of vectors (n, dimension) that takes these of their numbers, in this order."""
    transform = faiss.RemapDimensionsTransform(dimension, len(places))
    faiss.copy_array_to_vector(places.astype(np.int32), transform.map)
    return transform


def _fill(inverted: Any, codes: Codes, homes: Rows) -> None:
    order = np.argsort(homes, kind="stable")
    ends = np.searchsorted(homes[order], np.arange(1, inverted.nlist + 1))
    for number, rows in enumerate(np.split(order, ends[:-1])):
        if len(rows):
            held = np.ascontiguousarray(codes[rows])
            inverted.invlists.add_entries(number, len(rows), faiss.swig_ptr(rows), faiss.swig_ptr(held))
    inverted.ntotal = len(codes)


def _write_bits(path: Path, file: Path, leaving: Leaving, lists: Lists) -> Agreement:
    bits, count = leaving.codes.shape[1] * 8, lists.among(len(leaving.codes))
    coarse = faiss.IndexBinaryFlat(bits)
    index = faiss.IndexBinaryIVF(coarse, bits, count)
    index.train(leaving.codes)
    index.add(leaving.codes)
    index.nprobe = min(lists.probes, count)
    faiss.write_index_binary(index, str(file))
    copy: Any = faiss.read_index_binary(str(file))
    copy.nprobe = count
    search = lambda queries, k: _nearest(copy, leaving.codec.encode(queries), k)  # noqa: E731
    return agreement(path, leaving, search, lambda queries: bit_scores(leaving.codec, queries, leaving.codes), EQUAL)


def _nearest(index: Any, queries: Codes, k: int) -> tuple[Rows, Vectors]:
    distances, rows = index.search(np.ascontiguousarray(queries), k)
    return rows, -distances.astype(np.float32)
