"""Seconds that mining takes with nearfar and with sentence-transformers' `mine_hard_negatives`; the same negatives?"""

from __future__ import annotations

import argparse
import sys
import sysconfig
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).parents[1]))  # `measure` is shared, and benchmarks are not a package

import numpy as np

import measure
from measure import Sample, median, spread, timed

if TYPE_CHECKING:  # imports torch, which reads the allocator's setting when it starts
    from sentence_transformers import SentenceTransformer

PAIRS, QUICK_PAIRS, WARM_UP_PAIRS = 20_000, 1_000, 16
MAX_TOKENS, MAX_WORDS = 64, 24
NEGATIVES, DEPTH, MARGIN = 3, 50, 0.05
ROUNDING = 1e-5  # two fp32 encodings of a text differ by less
OURS, PEER, PEER_BF16 = "nearfar", "peer", "peer, bf16 weights"

Rows = list[tuple[str, str]]
Negatives = Mapping[str, list[str]]  # query → its negatives


def main() -> None:
    parser = measure.parser(__doc__)
    parser.add_argument("--pairs", type=int, help=f"pairs ({PAIRS:,}, or {QUICK_PAIRS:,} with --quick)")
    options = parser.parse_args()
    allocator = measure.choose_allocator(plain=options.plain_allocator)
    measure.finish(run(options) | measure.facts(allocator), options.out)


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Time all sides on the same pairs, and compare the negatives of both in fp32."""
    rows = short_pairs(options.pairs or (QUICK_PAIRS if options.quick else PAIRS))
    measure.say(f"{len(rows):,} pairs")
    models = {OURS: model(), PEER: model(), PEER_BF16: model().bfloat16()}
    sides: dict[str, Callable[[Rows], Negatives]] = {name: partial(theirs, models[name]) for name in (PEER, PEER_BF16)}
    sides = {OURS: partial(ours, models[OURS], precision=None), **sides}
    for side in sides.values():
        side(rows[:WARM_UP_PAIRS])
    found: dict[str, Negatives] = {}
    timers = {name: partial(sample, name, side, rows, found) for name, side in sides.items()}
    samples = measure.interleaved(timers, options.repeats, limit_s=measure.QUICK_S / 2 if options.quick else None)
    seconds = {name: median(taken, "seconds") for name, taken in samples.items()}
    agreement = compare(found[PEER], ours(models[OURS], rows, precision="fp32"), rows, models[PEER])
    result = {
        "ratio": seconds[PEER] / seconds[OURS],
        "ratio_best": min(seconds[PEER], seconds[PEER_BF16]) / seconds[OURS],
        **agreement,
        "overlap_as_timed": overlap(found[PEER], found[OURS]),
        "pairs": len(rows),
        "seconds": seconds,
        "spread": {name: spread(taken) for name, taken in samples.items()},
    }
    measure.show(f"Mining {len(rows):,} pairs", [
        {"side": name, "seconds": value, "spread": f"{result['spread'][name]:.0%}",
         "nearfar is": f"{value / seconds[OURS]:.2f}×"} for name, value in seconds.items()])  # fmt: skip
    return result


def short_pairs(count: int) -> Rows:
    """Docstrings and code of the installed packages, cut to MAX_WORDS; no text twice."""
    rows, seen = [], set()
    for unit in installed_units():
        query, document = (" ".join(text.split()[:MAX_WORDS]) for text in (unit.summary, unit.code))
        if len(query.split()) >= 3 and not {query, document} & seen:
            seen |= {query, document}
            rows.append((query, document))
        if len(rows) == count:
            return rows
    raise SystemExit(f"expected {count:,} pairs in the installed packages, found {len(rows):,}; give --pairs")


def installed_units() -> Iterator[Any]:
    """Functions of the standard library, and then of what is installed beside it."""
    from nearfar.data.stdlib import stdlib_units
    from nearfar.text.code_units import code_units, python_files

    yield from stdlib_units()
    root = Path(sysconfig.get_path("purelib"))
    for path, module in python_files(root, {"test", "tests", "testing", "__pycache__"}):
        yield from code_units(path, module)


def model() -> SentenceTransformer:
    """all-MiniLM-L6-v2 for short texts."""
    from nearfar.encoder.load import load_encoder

    loaded = load_encoder("minilm").model.eval()
    loaded.max_seq_length = MAX_TOKENS
    return loaded


def ours(model: SentenceTransformer, rows: Rows, *, precision: str | None) -> Negatives:
    """Nearfar's negatives; tokenising and encoding included."""
    from nearfar.pipeline.mine import mine

    config = {"negatives": NEGATIVES, "rank_to": DEPTH, "relative_margin": MARGIN, "precision": precision}
    dataset = mine(model, rows, config=config).dataset
    train = dataset.splits["train"].where(dataset.splits["train"].scores <= 0)
    found: dict[str, list[str]] = {}
    for query, document in zip(train.queries.tolist(), train.documents.tolist(), strict=True):
        found.setdefault(dataset.queries.texts[query], []).append(dataset.documents.texts[document])
    return found


def theirs(model: SentenceTransformer, rows: Rows) -> Negatives:
    """The peer's negatives at its defaults, but for the settings both have in common."""
    from datasets import Dataset, disable_progress_bars
    from sentence_transformers.util import mine_hard_negatives

    disable_progress_bars()
    pairs = Dataset.from_dict({"query": [query for query, _ in rows], "positive": [text for _, text in rows]})
    triplets = mine_hard_negatives(
        pairs, model, num_negatives=NEGATIVES, range_max=DEPTH, relative_margin=MARGIN, verbose=False
    )
    found: dict[str, list[str]] = {}
    for query, document in zip(triplets["query"], triplets["negative"], strict=True):
        found.setdefault(query, []).append(document)
    return found


def sample(name: str, side: Callable[[Rows], Negatives], rows: Rows, found: dict[str, Negatives]) -> Sample:
    """Time one call, and keep what it found."""
    seconds, found[name] = timed(lambda: side(rows))
    return {"seconds": seconds}


def overlap(one: Negatives, other: Negatives) -> float:
    """Share of the first side's negatives that the other has too."""
    common = sum(len(set(texts) & set(other.get(query, ()))) for query, texts in one.items())
    return common / max(1, sum(map(len, one.values())))


def compare(peer: Negatives, own: Negatives, rows: Rows, model: SentenceTransformer) -> dict[str, Any]:
    """Whether both found the same in fp32, but where a rounding of two encodings decides."""
    differing = {q: d for q, d in rows if set(peer.get(q, ())) != set(own.get(q, ()))}
    unexplained = [
        query
        for query, positive in differing.items()
        if not rounded(model, query, positive, sorted(set(peer.get(query, ())) ^ set(own.get(query, ()))))
    ]
    return {
        "same_negatives": not unexplained,
        "queries_that_differ": len(differing),
        "of_them_by_more_than_rounding": len(unexplained),
        "overlap_fp32": overlap(peer, own),
    }


def rounded(model: SentenceTransformer, query: str, positive: str, disputed: list[str]) -> bool:
    """Whether a disputed document is at the margin's limit, or they all have one score."""
    vectors = model.encode([query, positive, *disputed], normalize_embeddings=True)
    scores = np.asarray(vectors[1:]) @ np.asarray(vectors[0])
    limit = scores[0] - MARGIN * abs(scores[0])
    at_limit = bool((np.abs(scores[1:] - limit) < ROUNDING).any())
    return at_limit or bool(np.ptp(scores[1:]) < ROUNDING)


if __name__ == "__main__":
    main()
