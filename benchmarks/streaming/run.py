"""Seconds and memory of InfoNCE over a large batch, against the loss stage of sentence-transformers' cached loss."""

from __future__ import annotations

import argparse
import statistics
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).parents[1]))  # `measure` is shared, and benchmarks are not a package

import measure
from measure import Sample, median, spread

if TYPE_CHECKING:  # torch reads the allocator's setting when it starts
    from torch import Tensor

PAIRS, DIMENSION, TEMPERATURE = 8192, 256, 0.05
MEMORY_PAIRS, QUICK_MEMORY_PAIRS = 65_536, 32_768
WARM_UP_PAIRS = 512
QUICK_REPEATS = 1
OURS, DENSE, PEER = "nearfar", "dense", "peer"


def main() -> None:
    parser = measure.parser(__doc__)
    parser.add_argument("--pairs", type=int, default=PAIRS)
    parser.add_argument("--memory-pairs", type=int, help=f"{MEMORY_PAIRS}, or {QUICK_MEMORY_PAIRS} with --quick")
    parser.add_argument("--memory-only", action="store_true", help=argparse.SUPPRESS)  # the fresh process
    options = parser.parse_args()
    allocator = measure.choose_allocator(plain=options.plain_allocator)
    pairs = options.memory_pairs or (QUICK_MEMORY_PAIRS if options.quick else MEMORY_PAIRS)
    if options.memory_only:
        measure.finish(memory(pairs), None)
        return
    result = compare(options.pairs, QUICK_REPEATS if options.quick else options.repeats)
    plain = ["--plain-allocator"] if options.plain_allocator else []
    result |= measure.in_fresh_process(__file__, "--memory-only", "--memory-pairs", str(pairs), *plain)
    measure.show(
        f"Memory of one loss and its gradients, {pairs} pairs", [{k: result[k] for k in ("peak_gib", "peak_seconds")}]
    )
    measure.finish(result | measure.facts(allocator), options.out)


def compare(pairs: int, repeats: int) -> dict[str, Any]:
    """Time the three in turns on the same embeddings, and compare their gradients with those of the dense loss."""
    sides = {OURS: nearfar_loss, DENSE: dense_loss, PEER: peer_loss}
    for side in sides.values():
        side(*embeddings(WARM_UP_PAIRS))
    given = embeddings(pairs)
    gradients: dict[str, Tensor] = {}
    timed = {name: partial(sample, side, given, gradients, name) for name, side in sides.items()}
    for name in (OURS, DENSE):
        timed[name]()  # in full: the allocator's pages are part of the steady state
    samples = measure.interleaved(timed, repeats)
    result = figures(samples, gradients) | {"pairs": pairs, "dimension": DIMENSION}
    report(result)
    return result


def embeddings(pairs: int) -> tuple[Tensor, Tensor]:
    """Random unit vectors (pairs, DIMENSION): queries and documents."""
    import torch

    generator = torch.Generator().manual_seed(0)
    drawn = (torch.randn(pairs, DIMENSION, generator=generator) for _ in range(2))
    queries, documents = (torch.nn.functional.normalize(vectors, dim=1) for vectors in drawn)
    return queries, documents


def nearfar_loss(queries: Tensor, documents: Tensor) -> list[Tensor]:
    """Gradients of nearfar's loss at queries and documents."""
    from nearfar.core.targets import Targets
    from nearfar.losses import info_nce

    leaves = [vectors.detach().requires_grad_() for vectors in (queries, documents)]
    info_nce(*leaves, Targets.diagonal(len(queries)), temperature=TEMPERATURE).backward()
    return [leaf.grad for leaf in leaves]


def dense_loss(queries: Tensor, documents: Tensor) -> list[Tensor]:
    """The same out of the whole matrix of scores."""
    import torch

    leaves = [vectors.detach().requires_grad_() for vectors in (queries, documents)]
    scores = leaves[0] @ leaves[1].T / TEMPERATURE
    torch.nn.functional.cross_entropy(scores, torch.arange(len(queries))).backward()
    return [leaf.grad for leaf in leaves]


def peer_loss(queries: Tensor, documents: Tensor) -> list[Tensor]:
    """The same out of the peer's loss stage, from embeddings in its mini-batches as its first pass leaves them."""
    import torch
    from sentence_transformers.sentence_transformer.losses import CachedMultipleNegativesRankingLoss

    loss = CachedMultipleNegativesRankingLoss(torch.nn.Sequential(torch.nn.Identity()), scale=1 / TEMPERATURE)
    chunks = [
        [part.detach().clone().requires_grad_() for part in vectors.split(loss.mini_batch_size)]
        for vectors in (queries, documents)
    ]
    loss.calculate_loss(chunks, with_backward=True)
    return [torch.cat([part.grad for part in side]) for side in chunks]


def sample(
    side: Callable[[Tensor, Tensor], list[Tensor]],
    given: tuple[Tensor, Tensor],
    gradients: dict[str, Tensor],
    name: str,
) -> Sample:
    """Time one loss with its gradients, and keep these."""
    import torch

    seconds, parts = measure.timed(partial(side, *given))
    gradients[name] = torch.cat(parts).double()
    return {"seconds": seconds}


def figures(samples: Mapping[str, Sequence[Sample]], gradients: Mapping[str, Tensor]) -> dict[str, Any]:
    """Ratios, and ‖g − g′‖ / ‖g‖ to the dense loss; the peer differs by its gradient through normalisation."""
    seconds = {name: median(rows, "seconds") for name, rows in samples.items()}
    exact = tangential(gradients[DENSE], len(gradients[DENSE]) // 2)
    return {
        "seconds": seconds[OURS],
        "ratio": seconds[PEER] / seconds[OURS],
        "ratio_dense": seconds[DENSE] / seconds[OURS],
        "gradient_difference": difference(gradients[DENSE], gradients[OURS]),
        "gradient_difference_peer": difference(exact, gradients[PEER]),
        "seconds_all": {name: [row["seconds"] for row in rows] for name, rows in samples.items()},
        "spread": {name: spread(rows) for name, rows in samples.items()},
    }


def tangential(gradients: Tensor, pairs: int) -> Tensor:
    """Gradients before a normalisation of unit vectors, which the peer's similarity contains."""
    import torch

    vectors = torch.cat(embeddings(pairs)).double()
    return gradients - (gradients * vectors).sum(dim=1, keepdim=True) * vectors


def difference(reference: Tensor, other: Tensor) -> float:
    """‖g − g′‖ / ‖g‖."""
    return float((reference - other).norm() / reference.norm())


def memory(pairs: int) -> dict[str, Any]:
    """Growth of the process's high-water mark by one loss and its gradients, beyond inputs and gradients."""
    nearfar_loss(*embeddings(WARM_UP_PAIRS))  # loads what torch loads at its first products
    given = embeddings(pairs)
    before = measure.resident("VmRSS")
    seconds, gradients = measure.timed(partial(nearfar_loss, *given))
    grown = measure.resident("VmHWM") - before - sum(part.numel() * part.element_size() for part in gradients)
    return {"peak_gib": grown / measure.GIB, "peak_seconds": seconds, "peak_pairs": pairs}


def report(result: Mapping[str, Any]) -> None:
    """Show the comparison as a table."""
    rows = [
        {"side": name, "seconds": statistics.median(seconds), "spread": f"{result['spread'][name]:.0%}"}
        for name, seconds in result["seconds_all"].items()
    ]
    measure.show(f"InfoNCE with gradients, {result['pairs']} pairs, d = {result['dimension']}", rows)


if __name__ == "__main__":
    main()
