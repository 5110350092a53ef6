"""Seconds to put skewed pairs into batches, and false negatives left in them, against sentence-transformers."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))  # `measure` is shared, and benchmarks are not a package

import numpy as np
from numpy.typing import NDArray

import measure
from nearfar.data.batches import BatchSource, Ids, batch_source
from nearfar.data.dataset import Dataset, Pairs, Texts
from nearfar.data.sampler import sampler

ROWS, PEER_ROWS, QUICK_PEER_ROWS = 1_000_000, 40_000, 10_000
BATCH, SHARDS = 512, 8
PEERS = {"peer": False, "peer, hashed": True}  # name → precompute_hashes

Batches = list[Ids]


@dataclass(frozen=True)
class Skewed:
    """Different pairs as drawn: half of them share a hundred documents, queries follow Zipf's law."""

    dataset: Dataset
    queries: NDArray[np.int64]  # (n,)
    documents: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.queries)


def skewed(rows: int) -> Skewed:
    """About `rows` pairs, of texts in the same proportion at every size."""
    generator = np.random.default_rng(0)
    asked, answering = int(0.3 * rows), int(0.4 * rows)
    queries = generator.zipf(1.3, rows) % asked
    popular = generator.random(rows) < 0.5
    documents = np.where(popular, generator.integers(0, 100, rows), generator.integers(0, answering, rows))
    queries, documents = np.unique(np.stack([queries, documents], axis=1), axis=0).T
    shuffled = generator.permutation(len(queries))
    queries, documents = queries[shuffled], documents[shuffled]
    texts = [
        Texts([f"{kind}{i}" for i in range(n)], [f"{name} {i}" for i in range(n)])
        for kind, name, n in (("q", "query", asked), ("d", "document", answering))
    ]
    pairs = Pairs(queries.astype(np.int32), documents.astype(np.int32), np.ones(len(queries), np.float32))
    return Skewed(Dataset("skewed", texts[0], texts[1], {"train": pairs}), queries, documents)


def ours(data: Skewed) -> tuple[BatchSource, Batches]:
    """Index the texts and put the pairs into batches."""
    source = batch_source(data.dataset)
    return source, sampler(source, BATCH, 0).epoch(0)


def theirs(data: Skewed, size: int, *, hashed: bool) -> Batches:
    """NoDuplicatesBatchSampler over the same pairs."""
    import datasets
    import torch
    from sentence_transformers.base.sampler import NoDuplicatesBatchSampler

    columns = {
        "anchor": [data.dataset.queries.texts[i] for i in data.queries.tolist()],
        "positive": [data.dataset.documents.texts[i] for i in data.documents.tolist()],
    }
    made = NoDuplicatesBatchSampler(datasets.Dataset.from_dict(columns), size, drop_last=False, seed=0,
                                    generator=torch.Generator(), precompute_hashes=hashed)  # fmt: skip
    return [np.array(batch) for batch in made]


def seconds_of(work: Callable[[], Any]) -> tuple[float, Any]:
    """Seconds of one core, and the result."""
    start = time.process_time()
    result = work()
    return time.process_time() - start, result


def figures(batches: Batches, seconds: float, rows: int) -> dict[str, float]:
    """Speed and sizes of one sampler's batches."""
    sizes = np.array([len(batch) for batch in batches])
    return {
        "rows": rows,
        "rows_per_s": rows / seconds,
        "seconds": seconds,
        "batches": len(sizes),
        "smallest_share": float(sizes.min() / BATCH),
        "under_half": int((sizes < BATCH / 2).sum()),
    }


def our_false_negatives(source: BatchSource, batches: Batches) -> float:
    """Share of queries with a document that answers them among their negatives, the batch scored in eight shards."""
    wrong = rows = 0
    for pairs in batches:
        targets = source.batch(pairs, 0, (0,)).targets
        for part in np.array_split(np.arange(len(targets)), SHARDS):
            shard = targets.rows(int(part[0]), int(part[-1]) + 1)
            negative = ~(shard.positive_mask() | shard.ignored_mask())
            for i, query in enumerate(shard.query_texts.tolist()):
                answers = set(source.known[query].tolist())
                wrong += not answers.isdisjoint(targets.document_texts[negative[i]].tolist())
            rows += len(part)
    return wrong / rows


def their_false_negatives(data: Skewed, batches: Batches) -> float:
    """The same of a loss that takes each row's own document for its only positive, batches gathered from 8 devices."""
    answers: dict[int, set[int]] = {}
    for query, document in zip(data.queries.tolist(), data.documents.tolist(), strict=True):
        answers.setdefault(query, set()).add(document)
    wrong = rows = 0
    for first in range(0, len(batches) - SHARDS + 1, SHARDS):
        gathered = np.concatenate(batches[first : first + SHARDS])
        documents = data.documents[gathered]
        counts = dict(zip(*map(np.ndarray.tolist, np.unique(documents, return_counts=True)), strict=True))
        for query, own in zip(data.queries[gathered].tolist(), documents.tolist(), strict=True):
            other_answers = answers[query] & counts.keys() - {own}
            wrong += counts[own] > 1 or bool(other_answers)
            rows += 1
    return wrong / rows


def main() -> None:
    options = arguments()
    allocator = measure.choose_allocator(plain=options.plain_allocator)
    result = run(options) | measure.facts(allocator)
    measure.finish(result, options.out)


def arguments() -> argparse.Namespace:
    parser = measure.parser(__doc__)
    parser.add_argument("--rows", type=int, default=ROWS, help="pairs for nearfar")
    parser.add_argument(
        "--peer-rows", type=int, help=f"pairs for both ({PEER_ROWS}, or {QUICK_PEER_ROWS} with --quick)"
    )
    options = parser.parse_args()
    options.peer_rows = options.peer_rows or (QUICK_PEER_ROWS if options.quick else PEER_ROWS)
    return options


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Order all rows with nearfar, and a small sample with both."""
    large, small = skewed(options.rows), skewed(options.peer_rows)
    sides: dict[str, dict[str, float]] = {}
    runs = [seconds_of(lambda: ours(large)) for _ in range(options.repeats)]
    seconds = float(np.median([taken for taken, _ in runs]))
    sides["nearfar"] = figures(runs[0][1][1], seconds, len(large))
    measure.say(f"nearfar: {len(large):,} pairs in {seconds:.2f} s")
    taken, (source, batches) = seconds_of(lambda: ours(small))
    sides["nearfar, small"] = figures(batches, taken, len(small))
    sides["nearfar, small"]["false_negatives_8_shards"] = our_false_negatives(source, batches)
    for name, hashed in PEERS.items():
        taken, batches = seconds_of(lambda hashed=hashed: theirs(small, BATCH, hashed=hashed))
        sides[name] = figures(batches, taken, len(small))
        shards = theirs(small, BATCH // SHARDS, hashed=hashed)
        sides[name]["false_negatives_8_shards"] = their_false_negatives(small, shards)
        measure.say(f"{name}: {len(small):,} pairs in {taken:.2f} s")
    report(sides)
    return {
        "rows_per_s": sides["nearfar"]["rows_per_s"],
        "seconds_1m": seconds * 1e6 / len(large),
        "smallest_share": sides["nearfar"]["smallest_share"],
        "false_negatives_8_shards": sides["nearfar, small"]["false_negatives_8_shards"],
        "batch_size": BATCH,
        "sides": sides,
        "seconds": [taken for taken, _ in runs],
    }


def report(sides: dict[str, dict[str, float]]) -> None:
    """Show all sides as a table."""
    columns: Sequence[str] = (
        "rows",
        "seconds",
        "rows_per_s",
        "smallest_share",
        "under_half",
        "false_negatives_8_shards",
    )
    rows = [{"side": name} | {column: side.get(column, "") for column in columns} for name, side in sides.items()]
    measure.show(f"Batches of {BATCH} skewed pairs", rows)


if __name__ == "__main__":
    main()
