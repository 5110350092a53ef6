"""Is what nearfar trains as good as what sentence-transformers trains, and how much sooner is it there?"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).parents[1]))  # `measure` is shared, and benchmarks are not a package

import measure
from data_sets import SHARED, cut, data_set

if TYPE_CHECKING:  # imports torch, which reads the allocator's setting when it starts
    from sides import Settings

PAIRS = {"medquad": 2560, "nl2bash": 9600, "stdlib": 2560}  # about 15 minutes of the peer on two cores each
QUICK = {"sets": ["stdlib"], "pairs": 96, "batch_size": 32, "points": 3, "queries": 100, "documents": 300}
NEEDED_SHARE = 1 / 5


def main() -> None:
    parser = measure.parser(__doc__)
    parser.add_argument("--sets", nargs="+", choices=PAIRS, default=list(PAIRS), help="data sets")
    parser.add_argument("--data", type=Path, default=SHARED, help="folder with the data sets medquad and nl2bash")
    parser.add_argument("--pairs", type=int, help=f"training pairs of each, at most ({PAIRS})")
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--points", type=int, default=8, help="of each curve")
    parser.add_argument("--queries", type=int, default=800, help="test queries, at most")
    parser.add_argument("--documents", type=int, default=3000, help="documents they are asked of, more if more answer")
    parser.add_argument("--peer-learning-rate", type=float, default=5e-5)
    options = measure.options(parser, QUICK)
    allocator = measure.choose_allocator(plain=options.plain_allocator)
    result = run(options, allocator)
    if options.out:
        from figure import draw

        options.out.parent.mkdir(parents=True, exist_ok=True)
        draw(result["sets"], options.out.with_suffix(".svg"))
    measure.finish(result, options.out)


def run(options: argparse.Namespace, allocator: str) -> dict[str, Any]:
    """Train both sides on every data set; sets that `--out` holds from earlier are kept."""
    from sides import Settings

    settings = Settings(
        options.batch_size, options.epochs, options.points, peer_learning_rate=options.peer_learning_rate
    )
    sets = measure.earlier(options.out, {"sets": {}})["sets"]
    for name in options.sets:
        sets[name] = one_set(name, options, settings) | measure.facts(allocator)
    show(sets)
    shares = [result["share_of_peers_time"] for result in sets.values()]
    return {
        "not_below": all(result["not_below"] for result in sets.values()),
        "soon_enough": all(share is not None and share <= NEEDED_SHARE for share in shares),
        "largest_share": None if None in shares else max(shares),
        "sets": sets,
    }


def one_set(name: str, options: argparse.Namespace, settings: Settings) -> dict[str, Any]:
    """Train both sides on one data set, and compare where they end and when."""
    import sides
    from exam import METRIC, Exam

    from nearfar.evaluate.statistics import compare, decide

    dataset = cut(data_set(name, options.data), options.pairs or PAIRS[name], settings.seed)
    exam = Exam.of(dataset, options.queries, options.documents)
    pairs = len(dataset.splits["train"])
    measure.say(f"{name}: {pairs:,} pairs; {len(exam.sample.queries)} queries, {len(exam.sample.documents)} documents")
    curves = {side.__name__: side(dataset, exam, settings) for side in (sides.nearfar, sides.peer)}
    nearfar, peer = curves["nearfar"], curves["peer"]
    comparison = compare(nearfar.last, peer.last, seed=0)
    there = nearfar.reaches(peer.points[-1][1])
    return {
        "comparison": asdict(comparison),
        "not_below": decide(comparison) != "worse",
        "seconds_to_peers_end": there,
        "share_of_peers_time": None if there is None else there / peer.seconds,
        "base": nearfar.points[0][1],
        **{side: {METRIC: curve.points[-1][1], "seconds": curve.seconds, "curve": curve.points}
           for side, curve in curves.items()},
        "pairs": pairs,
        "queries": len(exam.sample.queries),
        "documents": len(exam.sample.documents),
        "settings": asdict(settings),
    }  # fmt: skip


def show(sets: Mapping[str, Mapping[str, Any]]) -> None:
    """Print a row for each data set."""
    rows = []
    for name, result in sets.items():
        c, share = result["comparison"], result["share_of_peers_time"]
        rows.append({"set": name, "base": result["base"], "nearfar": c["mean_a"], "peer": c["mean_b"],
                     "difference": f"{c['difference']:+.4f} ({c['low']:+.4f} to {c['high']:+.4f})",
                     "nearfar, s": result["nearfar"]["seconds"], "peer, s": result["peer"]["seconds"],
                     "share to peer's end": "never" if share is None else f"{share:.1%}"})  # fmt: skip
    measure.show("nDCG@10 after training", rows)


if __name__ == "__main__":
    main()
