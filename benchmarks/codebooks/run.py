"""What codecs keep of a fine-tuned model's nDCG@10 at each size: learned ones, FAISS's and Sentence Transformers'."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).parents[1]))  # `measure` is shared, and benchmarks are not a package

import measure
from data_sets import PACKAGES, SHARED, STDLIB, cut, data_set
from measure import say, timed

if TYPE_CHECKING:  # imports torch, which reads the allocator's setting when it starts
    from nearfar.compress.codec import Sample
    from nearfar.pipeline.coding import Asked, Bench

OURS = "learned_residual"
# ways to fit a codec, after its name; ", contrast=0.3" and the like are settings of learning
ALONE, LABELLED, UNSEEN = ", documents alone", ", contrast=0.3", ", a fifth of the documents unseen"
CODECS = (
    "opq",
    OURS,
    "learned_product",
    OURS + ALONE,
    OURS + LABELLED,
    "opq" + UNSEEN,
    OURS + UNSEEN,
    "pq",
    "rabitq",
    "int8",
    "binary",
    "rq",
)
SIZES = (8, 16, 32, 64, 96)
SENTENCE_TRANSFORMERS = {"int8": "int8", "binary": "ubinary"}  # codec → its precision
QUICK = {"sets": [STDLIB], "base": "static", "sizes": [16], "codecs": ["opq", OURS], "pairs": 2000}


def main() -> None:
    parser = measure.parser(__doc__)
    parser.add_argument("--sets", nargs="+", default=["nl2bash", "medquad", PACKAGES], help="data sets, in BEIR format")
    parser.add_argument("--data", type=Path, default=SHARED, help="folder with the data sets")
    parser.add_argument("--base", default="minilm")
    parser.add_argument("--pairs", type=int, default=5000, help="of each set that the model is fine-tuned on; 0: all")
    parser.add_argument("--codecs", nargs="+", default=list(CODECS))
    parser.add_argument("--sizes", nargs="+", type=int, default=list(SIZES), help="bytes a vector")
    parser.add_argument("--work", type=Path, default=Path(__file__).parent / "scratch", help="of the models, kept")
    options = measure.options(parser, QUICK)
    allocator = measure.choose_allocator(plain=options.plain_allocator)
    rows: list[dict[str, Any]] = measure.earlier(options.out, {"rows": []})["rows"]
    for name in options.sets:
        for row in measured(name, options, {_key(row) for row in rows}):
            rows.append(row)
            say(f"{name}, {row['codec']}, {row['bytes']} bytes: {row['retained_ndcg@10']:.1%} of {row['full']:.3f}, "
                f"fitted in {row['fit_seconds']:.0f} s")  # fmt: skip
            if options.out:
                measure.write({"rows": rows}, options.out)
    result = {"losses": losses(rows)}
    measure.finish({**measure.facts(allocator), "result": result, "rows": rows}, options.out)


def measured(name: str, options: argparse.Namespace, known: set[tuple[Any, ...]]) -> Iterator[dict[str, Any]]:
    """Rows of one data set that are not known yet."""
    from nearfar.compress.registry import kind_of
    from nearfar.pipeline.coding import Bench
    from nearfar.pipeline.progress import Silent

    dataset = data_set(name, options.data)
    bench = Bench.open(fine_tuned(name, options), dataset, Silent())
    asked = bench.asked("test")
    for listed in options.codecs:
        codec = listed.partition(",")[0]
        possible = kind_of(codec).sizes(bench.index.vectors.shape[1])
        wanted = possible if len(possible) == 1 else [size for size in options.sizes if size in possible]
        wanted = [size for size in wanted if (name, listed, size) not in known]
        if wanted:
            sample = sampled(bench, listed, learned=kind_of(codec).learned)
            yield from ({"set": name, "codec": listed, **of(bench, asked, codec, sample, size)} for size in wanted)
    for codec, precision in SENTENCE_TRANSFORMERS.items():
        if codec in options.codecs and (name, f"sentence-transformers {codec}", None) not in known:
            yield {"set": name, "codec": f"sentence-transformers {codec}", **peer(bench, asked, precision)}


def fine_tuned(name: str, options: argparse.Namespace) -> Path:
    """The run of one epoch that the vectors come from."""
    from nearfar.pipeline.config import FitConfig
    from nearfar.pipeline.fit import fit

    path: Path = options.work / f"{name}-{options.base}"
    if not (path / "run.json").exists():
        train = {"epochs": 1, "max_document_tokens": 128}
        config = FitConfig.parse({"base": options.base, "out": str(path), "train": train}, "benchmark")
        say(fit(cut(data_set(name, options.data), options.pairs), config=config, mode="overwrite").verdict)
    return path


def sampled(bench: Bench, listed: str, *, learned: bool) -> Sample:
    """What the codec is fitted to."""
    import numpy as np

    from nearfar.compress.learning import Learning

    changes = dict(part.split("=") for part in listed.split(", ") if "=" in part)
    learning = Learning.parse(changes, listed)
    sample = bench.sample(learned=learned, unlabelled=listed.endswith(ALONE), learning=learning)
    if not listed.endswith(UNSEEN):
        return sample
    rows = np.random.default_rng(0).permutation(len(sample.vectors))[: len(sample.vectors) * 4 // 5]
    return replace(sample, vectors=sample.vectors[np.sort(rows)], positives=None)


def of(bench: Bench, asked: Asked, name: str, sample: Sample, size: int) -> dict[str, Any]:
    """Fit, encode and measure a codec."""
    from nearfar.compress.registry import fit
    from nearfar.index.codes import CodedIndex
    from nearfar.pipeline.coding import measured as answers

    fitting, codec = timed(lambda: fit(name, sample, size))
    encoding, codes = timed(lambda: codec.encode(bench.index.vectors))
    found = answers(CodedIndex(name, codec, codes, bench.index.fingerprint, bench.identity), asked, bench.vectors)
    return {"bytes": size, "documents": len(codes), "full": asked.full.metrics["ndcg@10"], **found.record(),
            "fit_seconds": fitting, "encode_seconds": encoding}  # fmt: skip


def peer(bench: Bench, asked: Asked, precision: str) -> dict[str, Any]:
    """Sentence Transformers' quantization of documents and queries, scored by what it returns."""
    import numpy as np
    from sentence_transformers.util.quantization import quantize_embeddings

    from nearfar.evaluate.run import Run
    from nearfar.evaluate.statistics import share
    from nearfar.index.exact import top_k
    from nearfar.pipeline.evaluate import DEPTH, scored

    vectors = bench.index.vectors
    seconds, codes = timed(lambda: quantize_embeddings(vectors, precision, calibration_embeddings=vectors))
    queries = quantize_embeddings(asked.vectors, precision, calibration_embeddings=vectors)
    if precision == "ubinary":  # of two vectors of ±1 the inner product falls as Hamming's distance rises
        codes_of = lambda packed: np.unpackbits(packed, axis=1).astype(np.float32) * 2 - 1  # noqa: E731
    else:
        codes_of = lambda packed: packed.astype(np.float32)  # noqa: E731
    found = scored(Run.ranked(*top_k(codes_of(queries), codes_of(codes), DEPTH)), asked.judged, ["ndcg@10"])
    kept = share(found.per_query["ndcg@10"], asked.full.per_query["ndcg@10"])
    return {"bytes": codes.itemsize * codes.shape[1], "documents": len(codes), "full": asked.full.metrics["ndcg@10"],
            "ndcg@10": found.metrics["ndcg@10"], "retained_ndcg@10": kept.value, "interval": [kept.low, kept.high],
            "fit_seconds": 0.0, "encode_seconds": seconds}  # fmt: skip


def losses(rows: list[dict[str, Any]]) -> dict[str, dict[str, float]]:
    """Share of nDCG@10 that each codec loses at each size, the mean of the sets that have it."""
    found: dict[str, dict[str, list[float]]] = {}
    for row in rows:
        found.setdefault(row["codec"], {}).setdefault(str(row["bytes"]), []).append(1 - row["retained_ndcg@10"])
    return {codec: {size: sum(values) / len(values) for size, values in sizes.items()}
            for codec, sizes in found.items()}  # fmt: skip


def _key(row: dict[str, Any]) -> tuple[Any, ...]:
    peer_row = row["codec"].startswith("sentence-transformers")
    return row["set"], row["codec"], None if peer_row else row["bytes"]


if __name__ == "__main__":
    main()
