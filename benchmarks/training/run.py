"""Pairs a second of nearfar's training step against sentence-transformers' cached loss, in one run."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).parents[1]))  # `measure` is shared, and benchmarks are not a package

import measure
from measure import Sample, median, spread

if TYPE_CHECKING:  # these import torch, which reads the allocator's setting when it starts
    from ours import Nearfar
    from peer import Pair, Peer, Setting

PAIRS, SWEEP_PAIRS, QUICK_PAIRS, WARM_UP_PAIRS = 512, 128, 64, 8  # a mini-batch of the peer sees no more than 64 rows
MAX_TOKENS = 256  # of queries and documents: the peer has one limit for both
MODES = ("nearfar", "nearfar, recompute")


def main() -> None:
    options = arguments()
    allocator = measure.choose_allocator(plain=options.plain_allocator)
    result = run(options) | measure.facts(allocator)
    if options.quality and not options.quick:
        from quality import compare_quality

        result["quality"] = compare_quality(MAX_TOKENS, result["best_setting"])
    measure.finish(result, options.out)


def arguments() -> argparse.Namespace:
    parser = measure.parser(__doc__)
    parser.add_argument("--pairs", type=int, help=f"pairs in the batch ({PAIRS}, or {QUICK_PAIRS} with --quick)")
    parser.add_argument("--quality", action="store_true", help="also train an epoch with both and compare nDCG@10")
    options = parser.parse_args()
    options.pairs = options.pairs or (QUICK_PAIRS if options.quick else PAIRS)
    return options


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Measure both sides; the peer's best settings are those of its sweep, or with --quick of the committed one."""
    from ours import Nearfar
    from peer import BEST, DEFAULTS, Peer

    from nearfar.train.config import TrainConfig

    pairs = pairs_of_stdlib(options.pairs)
    config = TrainConfig()
    ours, theirs = Nearfar(MAX_TOKENS, config), Peer(MAX_TOKENS, config)
    swept = [] if options.quick else sweep(theirs, pairs[:SWEEP_PAIRS])
    agreement = None if options.quick else check_agreement()
    settings = [DEFAULTS, *(best_two(swept) if swept else BEST)]
    policies = dict(zip(MODES, policies_of_fit(config), strict=True))
    for setting in settings:
        theirs.sample(pairs[:WARM_UP_PAIRS], setting)
    with ours.training(policies["nearfar"]):
        for policy in policies.values():
            ours.sample(pairs, policy)  # in full: the allocator's pages are part of the steady state
        sides: dict[str, Callable[[], Sample]] = {s.name: partial(theirs.sample, pairs, s) for s in settings}
        sides |= {name: partial(ours.sample, pairs, policy) for name, policy in policies.items()}
        samples = measure.interleaved(sides, options.repeats, measure.QUICK_S if options.quick else None)
    result = figures(samples, settings, len(pairs)) | peaks(ours, pairs, samples, policies)
    report(result)
    policy_facts = {name: {k: str(v) for k, v in vars(p).items()} for name, p in policies.items()}
    kept_out = {"pairs": len(pairs), "max_tokens": MAX_TOKENS, "policies": policy_facts, "agreement": agreement}
    return result | kept_out | {"sweep": swept, "seconds": {k: [s["seconds"] for s in v] for k, v in samples.items()}}


def pairs_of_stdlib(count: int) -> list[Pair]:
    """Training pairs of the standard library with different documents: both losses then mean the same."""
    import numpy as np

    from nearfar.data.stdlib import stdlib_dataset

    data = stdlib_dataset(seed=0)
    train = data.splits["train"]
    _, first = np.unique(train.documents, return_index=True)
    chosen = np.random.default_rng(0).permutation(first)[:count]
    return [(data.queries.texts[train.queries[i]], data.documents.texts[train.documents[i]]) for i in chosen]


def policies_of_fit(config: Any) -> tuple[Any, Any]:
    """What `nearfar fit` chooses on this machine, and the same without kept activations."""
    from dataclasses import replace

    from nearfar.encoder.precision import choose_policy
    from nearfar.train.estimate import with_kept_memory

    policy = with_kept_memory(choose_policy("cpu"), config)
    return policy, replace(policy, keep_bytes=0)


def sweep(theirs: Peer, pairs: Sequence[Pair]) -> list[dict[str, Any]]:
    """One step in every setting of the sweep, fastest first."""
    from peer import SWEEP

    rows = []
    for setting in SWEEP:
        theirs.sample(pairs[:WARM_UP_PAIRS], setting)
        sample = theirs.sample(pairs, setting)
        speed = len(pairs) / sample["seconds"]
        measure.say(f"sweep, {setting.name}: {speed:.2f} pairs/s")
        rows.append({"name": setting.name, "pairs_per_s": speed, "padded_ratio": sample["padded_ratio"],
                     "setting": setting.facts()})  # fmt: skip
    rows.sort(key=lambda row: -row["pairs_per_s"])
    measure.show("The peer's settings, one step each", [{k: v for k, v in r.items() if k != "setting"} for r in rows])
    return rows


def best_two(swept: Sequence[Mapping[str, Any]]) -> list[Setting]:
    """The two fastest settings of a sweep."""
    from peer import Setting

    return [Setting(**row["setting"]) for row in swept[:2]]


def check_agreement() -> float:
    """‖g − g′‖ / ‖g‖ of both sides' gradients in fp32 without dropout: they compute the same thing."""
    from agreement import gradient_difference

    difference = gradient_difference(pairs_of_stdlib(16), MAX_TOKENS)
    measure.say(f"gradients of both sides in fp32 without dropout differ by {difference:.1e}")
    return difference


def figures(samples: Mapping[str, Sequence[Sample]], settings: Sequence[Setting], pairs: int) -> dict[str, Any]:
    """Speeds, ratios and paddings out of the samples."""
    speeds = {name: pairs / median(rows, "seconds") for name, rows in samples.items()}
    ready = {
        name: pairs / (median(rows, "seconds") - median(rows, "tokenise_seconds")) for name, rows in samples.items()
    }
    default, *others = (setting.name for setting in settings)
    best = max([default, *others], key=speeds.__getitem__)
    chosen = next(setting for setting in settings if setting.name == best)
    return {
        "ratio_default": speeds[MODES[0]] / speeds[default],
        "ratio_best": speeds[MODES[0]] / speeds[best],
        "ratio_default_recompute": speeds[MODES[1]] / speeds[default],
        "ratio_best_recompute": speeds[MODES[1]] / speeds[best],
        "padded_ratio": median(samples[MODES[0]], "padded_ratio"),
        "kept_share": median(samples[MODES[0]], "kept_share"),
        "pairs_per_s": speeds,
        "pairs_per_s_without_tokenising": ready,
        "spread": {name: spread(rows) for name, rows in samples.items()},
        "padded_ratios": {name: median(rows, "padded_ratio") for name, rows in samples.items()},
        "best_setting": chosen.facts(),
    }


def peaks(
    ours: Nearfar, pairs: Sequence[Pair], samples: Mapping[str, Sequence[Sample]], policies: Mapping[str, Any]
) -> dict[str, Any]:
    """Share of the machine's measured peak: of the operations needed, and of those done."""
    import torch
    from ours import cost, peak_flops

    batch = ours.batch(pairs, 0)
    dtype = torch.bfloat16 if policies[MODES[0]].precision == "bf16" else torch.float32
    peak = peak_flops(dtype)
    shares: dict[str, dict[str, float]] = {}
    for name, policy in policies.items():
        flops = cost(ours, batch, policy, median(samples[name], "kept_share"))
        speed = 1 / median(samples[name], "seconds")
        done = flops.needed + flops.recomputed
        shares[name] = {"needed": flops.needed * speed / peak, "with_recompute": done * speed / peak}
    needed = cost(ours, batch, policies[MODES[0]], 1.0).needed
    return {
        "peak_share": shares[MODES[0]]["needed"],
        "peak_shares": shares,
        "peak_gflops": peak / 1e9,
        "peak_dtype": str(dtype).removeprefix("torch."),
        "gflop_a_pair": needed / len(pairs) / 1e9,
        "tokens_a_pair": (sum(map(len, batch.queries)) + sum(map(len, batch.documents))) / len(pairs),
    }


def report(result: Mapping[str, Any]) -> None:
    """Show the comparison as a table."""
    ours = result["pairs_per_s"][MODES[0]]
    rows = [
        {
            "side": name,
            "pairs/s": speed,
            "without tokenising": result["pairs_per_s_without_tokenising"][name],
            "spread": f"{result['spread'][name]:.0%}",
            "padded/real": result["padded_ratios"][name],
            "nearfar is": f"{ours / speed:.2f}×",
        }
        for name, speed in result["pairs_per_s"].items()
    ]
    measure.show("One training step", rows)
    measure.say(f"{result['peak_share']:.0%} of the peak, {result['peak_gflops']:.0f} GFLOP/s {result['peak_dtype']}")


if __name__ == "__main__":
    main()
