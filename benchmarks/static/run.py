"""Training and encoding with a token table, against sentence-transformers' StaticEmbedding."""

from __future__ import annotations

import argparse
import gc
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).parents[1]))  # `measure` is shared, and benchmarks are not a package

import measure
from measure import Sample, median, spread, timed

if TYPE_CHECKING:  # these import torch, which reads the allocator's setting when it starts
    from nearfar.data.batches import BatchSource
    from nearfar.data.dataset import Dataset

VOCABULARIES = {"30k": 0, "250k": 250_000}  # 0: as it is
QUICK_PACKAGES = ("torch",)
WARM_UP_STEPS = 3
STEPS_A_SAMPLE = 2
ENCODED, QUICK_ENCODED, WARM_UP_TEXTS = 20_000, 5_000, 512
QUALITY_EPOCHS, QUALITY_RATES = 3, (0.0025, 0.005, 0.01, 0.02, 0.05, 0.1)
OURS, PEER, PEER_BF16 = "nearfar", "peer", "peer, bf16"
COLD, READY = "nearfar", "nearfar, ready ids"
LARGE_BATCH = 1024  # texts; the peer's default is 32
PEER_LARGE = f"peer, {LARGE_BATCH} texts a batch"


def main() -> None:
    parser = measure.parser(__doc__)
    parser.add_argument("--no-quality", action="store_true", help="leave out the training of whole models")
    options = parser.parse_args()
    allocator = measure.choose_allocator(plain=options.plain_allocator)
    measure.finish(run(options) | measure.facts(allocator), options.out)


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Training at both vocabularies, encoding and, unless --quick, the quality after some epochs."""
    from sides import packages_dataset

    from nearfar.data.batches import batch_source

    data = packages_dataset(*([QUICK_PACKAGES] if options.quick else []))
    source = batch_source(data)
    result: dict[str, Any] = {"pairs": len(source)}
    limit = measure.QUICK_S if options.quick else None
    for name, vocabulary in VOCABULARIES.items():
        result[f"training_{name}"] = compare_training(source, vocabulary, options.repeats, limit)
        gc.collect()  # tables of a gigabyte
    texts = data.queries.texts[: QUICK_ENCODED if options.quick else ENCODED]
    result["encoding"] = compare_encoding(texts, options.repeats, limit)
    if not (options.quick or options.no_quality):
        result["quality"] = quality(data, source)
    ratios = {f"ratio_{name}": result[f"training_{name}"]["ratio"] for name in VOCABULARIES}
    keys = {"ratio_encode": "ratio", "ratio_encode_large_batch": "ratio_large_batch", "floor_factor": "floor_factor"}
    return ratios | {name: result["encoding"][key] for name, key in keys.items()} | result


def compare_training(source: BatchSource, vocabulary: int, repeats: int, limit_s: float | None) -> dict[str, Any]:
    """Pairs a second of whole training steps, in turns, each side over the same batches."""
    from sides import BATCH_SIZE, CONFIG, PEAK, Nearfar, Peer, fresh, shuffled, tokenizer

    tokens = tokenizer(vocabulary)
    encoder = fresh(tokens)
    theirs, ours = Peer.of(encoder, source), Nearfar(encoder, source)
    batches = shuffled(source, 0)

    def sample(advance: Callable[..., Sample], turn: Any) -> Sample:
        rows = [advance(next(turn), PEAK) for _ in range(STEPS_A_SAMPLE)]
        return {key: sum(row[key] for row in rows) for key in rows[0]}

    def peer_step(pairs: Any, rate: float, *, bf16: bool) -> Sample:
        theirs.bf16 = bf16
        return theirs.step(pairs, rate)

    sides = {OURS: ours.step, PEER: partial(peer_step, bf16=False), PEER_BF16: partial(peer_step, bf16=True)}
    turns = {name: cycle(batches) for name in sides}
    with ours.training():
        for name in (OURS, PEER):
            for _ in range(WARM_UP_STEPS if name == PEER else len(batches)):  # ours: every row's state is touched
                sides[name](next(turns[name]), PEAK)
        samples = measure.interleaved({n: partial(sample, s, turns[n]) for n, s in sides.items()}, repeats, limit_s)
    pairs = STEPS_A_SAMPLE * BATCH_SIZE
    speeds = {name: pairs / median(rows, "seconds") for name, rows in samples.items()}
    batch = ours.data.batch(batches[0], CONFIG, 0, 0)
    result = {
        "ratio": speeds[OURS] / speeds[PEER],
        "ratio_bf16": speeds[OURS] / speeds[PEER_BF16],
        "pairs_per_s": speeds,
        "peer_tokenise_share": median(samples[PEER], "tokenise_seconds") / median(samples[PEER], "seconds"),
        "spread": {name: spread(rows) for name, rows in samples.items()},
        "vocabulary": tokens.get_vocab_size(),
        "tokens_a_pair": (len(batch.queries.values) + len(batch.documents.values)) / BATCH_SIZE,
        "tokenise_seconds_once": ours.tokenise_seconds,
        "precision": ours.policy.precision,
    }
    report(f"Training, V = {result['vocabulary']}", "pairs/s", speeds, result["spread"])
    return result


def compare_encoding(texts: Sequence[str], repeats: int, limit_s: float | None) -> dict[str, Any]:
    """Texts a second, from texts and from ready ids; the latter against the memory it must read and write."""
    import numpy as np
    from sides import DIMENSION, fresh, peer_of, tokenizer

    from nearfar.encoder.encode import encode, encode_rows, open_store
    from nearfar.encoder.precision import choose_policy

    encoder, policy = fresh(tokenizer()), choose_policy("cpu")
    model = peer_of(encoder).eval()
    store = open_store(encoder)
    rows = store.rows(texts)
    sides: dict[str, Callable[[], Any]] = {
        COLD: lambda: encode(encoder, texts, "query", policy),
        READY: lambda: encode_rows(encoder, store, rows, "query", policy),
        PEER: lambda: model.encode(list(texts), show_progress_bar=False),
        PEER_LARGE: lambda: model.encode(list(texts), batch_size=LARGE_BATCH, show_progress_bar=False),
    }
    model.encode(list(texts[:WARM_UP_TEXTS]))
    ours, theirs = sides[READY](), model.encode(list(texts[:WARM_UP_TEXTS]), normalize_embeddings=True)
    bandwidth = memory_bandwidth()
    samples = measure.interleaved({name: partial(seconds_of, side) for name, side in sides.items()}, repeats, limit_s)
    speeds = {name: len(texts) / median(found, "seconds") for name, found in samples.items()}
    tokens = int(store.full_lengths[rows].sum())
    floor_s = 4 * DIMENSION * (tokens + len(texts)) / bandwidth
    result = {
        "ratio": speeds[COLD] / speeds[PEER],
        "ratio_large_batch": speeds[COLD] / speeds[PEER_LARGE],
        "floor_factor": median(samples[READY], "seconds") / floor_s,
        "texts": len(texts),
        "tokens_a_text": tokens / len(texts),
        "texts_per_s": speeds,
        "spread": {name: spread(found) for name, found in samples.items()},
        "bandwidth_gb_per_s": bandwidth / 1e9,
        "largest_difference": float(np.abs(ours[: len(theirs)] - theirs).max()),
    }
    report(f"Encoding {len(texts)} texts", "texts/s", speeds, result["spread"])
    measure.say(f"from ready ids: {result['floor_factor']:.2f} times the memory floor at {bandwidth / 1e9:.0f} GB/s")
    return result


def seconds_of(work: Callable[[], Any]) -> Sample:
    return {"seconds": timed(work)[0]}


def memory_bandwidth(size: int = 1 << 28, repeats: int = 7) -> float:
    """Bytes a second of the fastest of: reading a gibibyte, and copying it (read and written)."""
    import torch

    source, target = torch.ones(size), torch.ones(size)
    reads = min(timed(source.sum)[0] for _ in range(repeats))
    copies = min(timed(lambda: target.copy_(source))[0] for _ in range(repeats))
    return 4 * size * max(1 / reads, 2 / copies)


def quality(data: Dataset, source: BatchSource) -> dict[str, Any]:
    """Each side at the learning rate that is its best on the dev queries: nDCG@10 of the test queries, and seconds."""
    from dataclasses import asdict

    from nearfar.evaluate.statistics import compare

    trials = {name: [trained(name, rate, data, source) for rate in QUALITY_RATES] for name in (OURS, PEER)}
    best = {name: max(tried, key=lambda trial: trial["dev"].mean()) for name, tried in trials.items()}
    comparison = asdict(compare(best[OURS]["test"], best[PEER]["test"], seed=0))
    means = {name: float(trial["test"].mean()) for name, trial in best.items()}
    report(f"After {QUALITY_EPOCHS} epochs", "nDCG@10", means, dict.fromkeys(means, 0.0))
    measure.say(f"difference {comparison['difference']:+.4f}, {comparison['low']:+.4f} to {comparison['high']:+.4f}")
    found = {"ndcg@10": means, "comparison": comparison, "epochs": QUALITY_EPOCHS}
    of_best = {key: {name: trial[key] for name, trial in best.items()} for key in ("rate", "seconds")}
    return found | of_best | {"trials": {name: list(map(rounded, tried)) for name, tried in trials.items()}}


def trained(name: str, rate: float, data: Dataset, source: BatchSource) -> dict[str, Any]:
    """One side after some epochs with this peak learning rate: nDCG@10 of each dev and test query, and seconds."""
    from sides import Nearfar, Peer, epochs, fresh, scores, tokenizer

    encoder = fresh(tokenizer())
    side = Nearfar(encoder, source) if name == OURS else Peer.of(encoder, source)
    with side.training():
        seconds, _ = timed(lambda: epochs(source, QUALITY_EPOCHS, rate, side.step))
    found = {split: scores(side.encoder, data, split) for split in ("dev", "test")}
    measure.say(f"{name}, learning rate {rate:g}: {seconds:.0f} s, {found['dev'].mean():.4f} on the dev queries")
    return {"rate": rate, "seconds": seconds} | found


def rounded(trial: Mapping[str, Any]) -> dict[str, float]:
    """A trial with the means of its queries."""
    return {key: float(value.mean()) if hasattr(value, "mean") else value for key, value in trial.items()}


def report(title: str, unit: str, values: Mapping[str, float], spreads: Mapping[str, float]) -> None:
    """Show one figure of each side as a table."""
    rows = [{"side": name, unit: value, "spread": f"{spreads[name]:.0%}"} for name, value in values.items()]
    measure.show(title, rows)


if __name__ == "__main__":
    main()
