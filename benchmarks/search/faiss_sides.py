"""FAISS: exact, a graph, and codes of four bits whose candidates are ranked again."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import faiss
import numpy as np
from corpus import Corpus, K, Vectors
from sides import Effort, Opened

FILE = "index.faiss"
GROUPS, BITS = 96, 4  # 48 bytes
PER_CENTROID = 64
FITTED = 30_000  # vectors that the rotation is fitted to
Parameters = Callable[[Effort, Any], Any]  # an effort and a selector of rows → FAISS's parameters of a search


def selector(corpus: Corpus) -> Callable[[int | None], Any]:
    """Selector of the rows that a filter lets through, made once for each filter."""
    made: dict[int, tuple[Any, Any]] = {}

    def of(below: int | None) -> Any:
        if below is None:
            return None
        if below not in made:
            bits = np.packbits(corpus.ranks < below, bitorder="little")
            made[below] = (bits, faiss.IDSelectorBitmap(corpus.count, faiss.swig_ptr(bits)))
        return made[below][1]

    return of


def opened(corpus: Corpus, folder: Path, parameters: Parameters, refine: bool = False) -> Opened:  # noqa: FBT001, FBT002
    """A written index that answers."""
    index, allowed = faiss.read_index(str(folder / FILE)), selector(corpus)

    def ask(query: Vectors, effort: Effort, below: int | None) -> Sequence[int]:
        count = effort["candidates"] if refine else K
        found: np.ndarray[Any, Any] = index.search(query[None], count, params=parameters(effort, allowed(below)))[1][0]
        if refine:
            found = np.sort(found[found >= 0])
            found = found[np.argsort(-(corpus.vectors[found] @ query), kind="stable")[:K]]
        return found.tolist()

    return Opened(ask, (folder / FILE).stat().st_size)


class Flat:
    """Every vector is compared."""

    efforts: Sequence[Effort] = [{}]
    default = None
    filtered = True
    served = False
    note = "all vectors in memory"

    def build(self, corpus: Corpus, folder: Path) -> None:
        """Write the vectors."""
        index = faiss.IndexFlatIP(corpus.vectors.shape[1])
        index.add(corpus.vectors)
        faiss.write_index(index, str(folder / FILE))

    def open(self, corpus: Corpus, folder: Path) -> Opened:
        """Read them."""
        return opened(corpus, folder, lambda _, rows: faiss.SearchParameters(sel=rows))


class Hnsw:
    """A graph of neighbours."""

    efforts: Sequence[Effort] = [{"efSearch": size} for size in (16, 32, 64, 128, 256, 512)]
    default = None
    filtered = True
    served = False
    note = "all vectors and the graph in memory"

    def __init__(self, links: int) -> None:
        self.links = links

    def build(self, corpus: Corpus, folder: Path) -> None:
        """Write the graph."""
        index = faiss.IndexHNSWFlat(corpus.vectors.shape[1], self.links, faiss.METRIC_INNER_PRODUCT)
        index.hnsw.efConstruction = 100
        index.add(corpus.vectors)
        faiss.write_index(index, str(folder / FILE))

    def open(self, corpus: Corpus, folder: Path) -> Opened:
        """Read it."""
        return opened(corpus, folder, lambda effort, rows: faiss.SearchParametersHNSW(**effort, sel=rows))


class FastScan:
    """Inverted lists of codes of four bits after a fitted rotation; candidates ranked again by vectors."""

    default = None
    filtered = True
    served = False

    def __init__(self, *, refined: bool) -> None:
        self.refined = refined
        self.note = ("all vectors in memory beside the codes" if refined
                     else "codes in memory, vectors read from a mapped file")  # fmt: skip
        self.efforts: Sequence[Effort] = [{"nprobe": probes, "candidates": count} for probes in (64, 128, 256, 512)
                                          for count in (100, 200, 400)]  # fmt: skip

    def build(self, corpus: Corpus, folder: Path) -> None:
        """Train and fill it."""
        dimension, lists = corpus.vectors.shape[1], max(256, corpus.count // 250)
        index = faiss.index_factory(
            dimension, f"OPQ{GROUPS},IVF{lists},PQ{GROUPS}x{BITS}fs", faiss.METRIC_INNER_PRODUCT
        )
        rotation = faiss.downcast_VectorTransform(index.chain.at(0))
        rotation.max_train_points, rotation.niter = FITTED, 10
        order = np.random.default_rng(0).permutation(corpus.count)[: PER_CENTROID * lists]
        index.train(np.ascontiguousarray(corpus.vectors[np.sort(order)]))
        index.add(corpus.vectors)
        if self.refined:
            index = faiss.IndexRefineFlat(index, faiss.swig_ptr(np.ascontiguousarray(corpus.vectors)))
        faiss.write_index(index, str(folder / FILE))

    def open(self, corpus: Corpus, folder: Path) -> Opened:
        """Read it."""
        return opened(corpus, folder, self._parameters, refine=not self.refined)

    def _parameters(self, effort: Mapping[str, Any], rows: Any) -> Any:
        inner = faiss.SearchParametersIVF(nprobe=effort["nprobe"], sel=rows)
        outer = faiss.SearchParametersPreTransform(index_params=inner)
        if not self.refined:
            return outer
        return faiss.IndexRefineSearchParameters(k_factor=effort["candidates"] / K, base_index_params=outer)
