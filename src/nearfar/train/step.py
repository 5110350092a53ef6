"""One training step: gradients of a contrastive loss over a whole batch, in the memory of a few micro-batches.

Gradient caching (GradCache; Gao et al., 2021): embed every micro-batch without a graph, take the loss and its gradient
at the embeddings, then embed again with a graph and push that gradient through. Micro-batches whose activations fit
`policy.keep_bytes` keep their graph and are not embedded twice. Each micro-batch has a seed of its own, so that dropout
is the same in both passes, and the result is that of one plain pass over the same partition.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import get_args

import numpy as np
import torch
from numpy.typing import NDArray
from sentence_transformers import SentenceTransformer
from torch import Tensor

from nearfar.core.ragged import Ragged
from nearfar.core.targets import Targets
from nearfar.encoder.dropout import seeded
from nearfar.encoder.encoder import Encoder, Role, Rows
from nearfar.encoder.freezing import is_trained, untouched_layers
from nearfar.encoder.fused import held_weights, token_bytes
from nearfar.encoder.packing import pack
from nearfar.encoder.precision import Policy

STATIC_COPIES = 6  # of a token's id, its text and weight, in the order of texts and of tokens
EMBEDDED_COPIES = 6  # of a token's fp32 vector before and after the layers: its parts, their sum, that normalised, …
Objective = Callable[[Tensor, Tensor, Targets], Tensor]  # (Q, d), (D, d), targets -> scalar
Head = Callable[[list[Tensor]], tuple[Tensor, list[Tensor]]]  # embeddings -> loss, its gradient at each of them


@dataclass(frozen=True)
class Batch:
    """Framed token ids of unique queries and documents, their targets, and the seed of the step's dropout."""

    queries: Rows
    documents: Rows
    targets: Targets
    seed: int
    query_prefixes: NDArray[np.int64] | None = None  # tokens (Q,) that the pooling leaves out, as `Encoder.embed` takes


@dataclass(frozen=True)
class StepResult:
    loss: Tensor  # scalar without a graph, on the model's device: reading it waits for the device
    real_tokens: int
    padded_tokens: int
    kept: int  # micro-batches that were embedded once
    micro_batches: int


@dataclass(frozen=True)
class MicroBatch:
    role: Role
    rows: Rows
    index: NDArray[np.int64]  # positions of the rows among the texts of their role
    seed: int
    padded_tokens: int
    prefix_tokens: NDArray[np.int64] | None = None


def step(model: Encoder, batch: Batch, loss: Objective, policy: Policy) -> StepResult:
    """Add the gradient of `loss` on `batch` to the `.grad` of the model's and the loss's parameters.

    The model must be in `model.training(policy)`. The order in which gradients are summed depends on the batch and on
    `policy.budget_tokens` alone, so the same step gives the same bits whatever is kept. Nothing here checks that loss
    and gradients are finite: whoever uses them does, once.
    """
    micro_batches = in_parts(batch, 1) if model.is_static else partitioned(batch, policy)
    value, kept = forward_backward(
        model,
        micro_batches,
        lambda embeddings: _loss_and_gradients(
            embeddings, micro_batches, batch.targets, loss, loss_precision(model, policy)
        ),
        policy,
    )
    return result_of(batch, micro_batches, value, kept)


def forward_backward(model: Encoder, micro_batches: list[MicroBatch], head: Head, policy: Policy) -> tuple[Tensor, int]:
    """Embed the micro-batches, ask `head` for the loss and its gradients there, and push these through the model.

    Returns:
        The loss, and how many micro-batches kept their graph.
    """
    kept = _count_kept(model, micro_batches, policy)
    shares = model.crew.shares([part.padded_tokens for part in micro_batches])
    embeddings = [torch.empty(0)] * len(micro_batches)
    learning = {role: is_trained(model.route(role)) for role in get_args(Role)}
    trained = [learning[part.role] for part in micro_batches]

    def forward(member: SentenceTransformer, share: list[int]) -> None:
        encoder = replace(model, model=member)
        with policy.autocast, held_weights(member):  # the weights are cast once, not once a micro-batch
            for i in share:
                with torch.set_grad_enabled(i < kept and trained[i]):
                    embeddings[i] = embed(encoder, micro_batches[i], policy)

    def backward(member: SentenceTransformer, share: list[int]) -> None:
        encoder, share = replace(model, model=member), [i for i in share if trained[i]]
        with policy.autocast, held_weights(member):
            together = [i for i in share if i < kept] if encoder.is_static else []
            if together:  # one product for all of them
                torch.autograd.backward([embeddings[i] for i in together], [gradients[i] for i in together])
            for i in share[len(together) :]:
                embedding = embeddings[i] if i < kept else embed(encoder, micro_batches[i], policy)
                embedding.backward(gradients[i])

    model.crew.run(forward, shares)
    value, gradients = head(embeddings)
    model.crew.run(backward, shares)
    model.crew.sum_gradients()
    return value, kept


def result_of(batch: Batch, micro_batches: list[MicroBatch], value: Tensor, kept: int) -> StepResult:
    """Count the tokens of a finished step."""
    real = int(_lengths(batch.queries).sum() + _lengths(batch.documents).sum())
    padded = sum(micro_batch.padded_tokens for micro_batch in micro_batches)
    return StepResult(value, real, padded, kept, len(micro_batches))


def accumulated(results: Sequence[StepResult]) -> StepResult:
    """Several batches as one step: the mean of their losses, the sum of everything else."""
    counts = np.sum([[r.real_tokens, r.padded_tokens, r.kept, r.micro_batches] for r in results], axis=0)
    return StepResult(torch.stack([result.loss for result in results]).mean(), *map(int, counts))


def partitioned(batch: Batch, policy: Policy) -> list[MicroBatch]:
    """All micro-batches of a batch, queries first."""
    queries = partition("query", batch.queries, batch.seed, policy.budget_tokens, batch.query_prefixes)
    return queries + partition("document", batch.documents, batch.seed + len(queries), policy.budget_tokens)


def partition(
    role: Role, rows: Rows, seed: int, budget_tokens: int, prefix_tokens: NDArray[np.int64] | None = None
) -> list[MicroBatch]:
    """Cut the texts of one role into micro-batches with a seed each."""
    lengths = _lengths(rows)
    parts = enumerate(pack(lengths, budget_tokens).micro_batches)
    made = []
    for n, index in parts:
        left_out = None if prefix_tokens is None else prefix_tokens[index]
        tokens = len(index) * int(lengths[index[0]])
        made.append(MicroBatch(role, [rows[i] for i in index], index, seed + n, tokens, left_out))
    return made


def in_parts(batch: Batch, parts: int) -> list[MicroBatch]:
    """Each role in `parts` micro-batches at most: a token table needs no padding and keeps no activations."""
    roles: tuple[tuple[Role, Rows], ...] = (("query", batch.queries), ("document", batch.documents))
    micro_batches = []
    for role, listed in roles:
        rows = listed if isinstance(listed, Ragged) else Ragged.of(listed)
        for index in np.array_split(np.arange(len(rows)), min(parts, len(rows))):
            part = rows.rows(int(index[0]), int(index[-1]) + 1)
            micro_batches.append(MicroBatch(role, part, index, batch.seed, len(part.values)))
    return micro_batches


def loss_precision(model: Encoder, policy: Policy) -> torch.autocast:
    """Context of the loss: of a token table's step, the products of scores are most of the work."""
    return policy.autocast if model.is_static else policy.full_precision


def _lengths(rows: Rows) -> NDArray[np.int64]:
    return rows.lengths if isinstance(rows, Ragged) else np.fromiter(map(len, rows), np.int64, len(rows))


def embed(model: Encoder, micro_batch: MicroBatch, policy: Policy) -> Tensor:
    """Embeddings of a micro-batch, (rows, d), with its own dropout."""
    with seeded(micro_batch.seed):
        return model.embed(micro_batch.rows, micro_batch.role, policy, prefix_tokens=micro_batch.prefix_tokens)


def _count_kept(model: Encoder, micro_batches: list[MicroBatch], policy: Policy) -> int:
    sizes = [part.padded_tokens * activation_bytes(model, policy, len(part.rows[0])) for part in micro_batches]
    return int(np.searchsorted(np.cumsum(sizes), policy.keep_bytes, side="right"))


def activation_bytes(model: Encoder, policy: Policy, row_tokens: int) -> int:
    """Bytes that the activations of one token in a row of this length take between forward and backward.

    The layers of a model that nearfar trains with its own say what they keep; the embeddings before them, the vectors
    after them and what a pooling keeps are fp32. Of other models it is counted on BERT's layer, and found near the
    process's growth (LOG.md): the fp32 inputs of two normalisations, six hidden vectors and two inner ones in the
    computing precision, dropout's byte masks, and the attention probabilities with theirs.
    """
    if model.is_static:
        return 4 * STATIC_COPIES
    transformer = model.transformers[0]
    config = transformer.config
    layers = config.num_hidden_layers - untouched_layers(transformer)
    hidden, inner = config.hidden_size, getattr(config, "intermediate_size", 4 * config.hidden_size)
    pooled = 4 * sum(getattr(module, "numbers_per_token", 0) for module in model.route("document"))
    dtype = torch.bfloat16 if policy.precision == "bf16" else torch.float32
    if policy.device == "cpu" and model.is_fusable:
        return int(token_bytes(config, dtype, layers) + 4 * hidden * EMBEDDED_COPIES + pooled)
    width = dtype.itemsize
    elementwise = hidden * (2 * 4 + 6 * width + 2) + 2 * width * inner
    attended = config.num_attention_heads * row_tokens * (width + 1)
    return int(layers * (elementwise + attended) + pooled)


def _loss_and_gradients(
    embeddings: list[Tensor],
    micro_batches: list[MicroBatch],
    targets: Targets,
    loss: Objective,
    precision: torch.autocast,
) -> tuple[Tensor, list[Tensor]]:
    leaves = [embedding.detach().requires_grad_() for embedding in embeddings]
    with precision:
        value = loss(gather("query", leaves, micro_batches), gather("document", leaves, micro_batches), targets)
        value.backward()
    return value.detach(), [leaf.grad if leaf.grad is not None else torch.zeros_like(leaf) for leaf in leaves]


def gather(role: Role, leaves: list[Tensor], micro_batches: list[MicroBatch]) -> Tensor:
    """Embeddings of one role in the batch's order."""
    chosen = [(leaf, part.index) for leaf, part in zip(leaves, micro_batches, strict=True) if part.role == role]
    index = np.concatenate([index for _, index in chosen])
    if len(chosen) == 1 and np.array_equal(index, np.arange(len(index))):
        return chosen[0][0]
    order = torch.from_numpy(np.argsort(index))
    return torch.cat([leaf for leaf, _ in chosen])[order.to(chosen[0][0].device)]
