"""A first level of 65,536 centroids on a million vectors: how many are used, and what it adds to codes of a size."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).parents[1]))  # `measure` is shared, and benchmarks are not a package

import measure
from measure import say, timed
from pieces import encoded

if TYPE_CHECKING:  # imports torch, which reads the allocator's setting when it starts
    from nearfar.compress.codec import Vectors

QUERIES = 500  # texts of their own, asked and not indexed
NEIGHBOURS = 10  # by full vectors, that codes are to find
CODECS = ("learned_cascade", "learned_residual")
QUICK = {"documents": 50_000, "bytes": 6}


def main() -> None:
    parser = measure.parser(__doc__)
    parser.add_argument("--documents", type=int, default=1_000_000)
    parser.add_argument("--bytes", type=int, default=16)
    parser.add_argument("--data", type=Path, default=Path())
    parser.add_argument("--codecs", nargs="*", default=list(CODECS), help="none: the first level alone")
    parser.add_argument("--work", type=Path, default=Path(__file__).parent / "scratch", help="of the model, kept")
    options = measure.options(parser, QUICK)
    allocator = measure.choose_allocator(plain=options.plain_allocator)
    documents, queries = vectors(options)
    say(f"{len(documents):,} vectors of {documents.shape[1]} dimensions")
    result = {"first_level": first_level(documents)}
    say(str(result["first_level"]))
    for codec in options.codecs:
        result[codec] = measured(codec, documents, queries, options.bytes)
        say(f"{codec}: {result[codec]}")
    facts = {"documents": len(documents), "dimension": documents.shape[1], "bytes": options.bytes}
    measure.finish({**measure.facts(allocator), **facts, "result": result}, options.out)


def vectors(options: argparse.Namespace) -> tuple[Vectors, Vectors]:
    """Vectors of documents and of queries, all different texts, by a token table trained on the standard library."""
    _, found = encoded(options.work, options.data, options.documents + QUERIES)
    return found[QUERIES:], found[:QUERIES]


def first_level(documents: Vectors) -> dict[str, Any]:
    """Use of the first level's centroids, and how often its search finds the nearest of all."""
    import numpy as np
    import torch

    from nearfar.compress.learn.tree import tree_of

    seconds, tree = timed(lambda: tree_of(torch.tensor(documents), torch.Generator().manual_seed(0)))
    finding, owners = timed(lambda: tree.nearest(documents))
    counts = np.bincount(owners, minlength=len(tree.centroids))
    shares = counts[counts > 0] / len(documents)
    lengths = np.square(tree.centroids).sum(axis=1) / 2
    exact = (documents[:2000] @ tree.centroids.T - lengths).argmax(axis=1)
    left = documents - tree.centroids[owners]
    return {"centroids": len(counts), "used": float((counts > 0).mean()),
            "perplexity": float(2 ** -(shares * np.log2(shares)).sum()),
            "squared_error": float(np.square(left).sum(axis=1).mean()),
            "nearest_of_all": float((owners[:2000] == exact).mean()),
            "fit_seconds": seconds, "search_seconds": finding}  # fmt: skip


def measured(name: str, documents: Vectors, queries: Vectors, size: int) -> dict[str, Any]:
    """Error, and the share of the nearest documents that codes find among as many."""
    import numpy as np

    from nearfar.compress.codec import Sample
    from nearfar.compress.registry import fit
    from nearfar.index.exact import best, top_k

    fitting, codec = timed(lambda: fit(name, Sample(documents, queries[:0]), size))
    encoding, codes = timed(lambda: codec.encode(documents))
    wanted, _ = top_k(queries, documents, NEIGHBOURS)
    found, _ = best(lambda part, rows: codec.score(queries[part], codes[rows]), len(queries), len(codes), NEIGHBOURS)
    kept = [len(set(a) & set(b)) / NEIGHBOURS for a, b in zip(wanted.tolist(), found.tolist(), strict=True)]
    blocks = range(0, len(documents), 1 << 16)
    squared = sum(float(np.square(documents[i : i + (1 << 16)] - codec.decode(codes[i : i + (1 << 16)])).sum())
                  for i in blocks)  # fmt: skip
    return {"bytes": size, "squared_error": squared / len(documents), "neighbours_kept": float(np.mean(kept)),
            "fit_seconds": fitting, "encode_seconds": encoding}  # fmt: skip


if __name__ == "__main__":
    main()
