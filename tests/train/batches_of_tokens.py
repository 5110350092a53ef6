"""Training batches for the step, and a step that does nothing clever."""

import numpy as np
import torch

from nearfar.core.ragged import Ragged
from nearfar.core.targets import Targets
from nearfar.encoder.precision import Policy
from nearfar.train.certify import plain_step
from nearfar.train.config import TrainConfig
from nearfar.train.objective import TrainObjective
from nearfar.train.step import Batch, step
from tiny_models import sentences

BUDGET = 128


def token_batch(encoder, queries=12, documents=20, seed=7) -> Batch:
    """Random texts; most queries have one positive, the first has two."""
    texts = sentences(queries + documents, seed)
    encoded = encoder.tokenizer.encode_batch_fast(texts, add_special_tokens=False)
    rows = [encoder.framed(np.array(one.ids, np.int32), encoder.max_tokens) for one in encoded]
    positives = [[0, documents - 1], *([q] for q in range(1, queries))]
    return Batch(rows[:queries], rows[queries:], Targets.of(Ragged.of(positives), documents), seed)


def objective(**settings) -> TrainObjective:
    return TrainObjective(TrainConfig(**settings))


def policy(**settings) -> Policy:
    return Policy(**{"budget_tokens": BUDGET, **settings})


def without_dropout(encoder):
    for module in encoder.model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    if not encoder.is_static:
        encoder.model.transformers_model.config.attention_probs_dropout_prob = 0.0
        for module in encoder.model.modules():
            if hasattr(module, "dropout_prob"):
                module.dropout_prob = 0.0
    return encoder


def gradients_of(encoder, loss, run) -> dict[str, torch.Tensor]:
    """Gradients by name after `run()`."""
    encoder.model.zero_grad(set_to_none=True)
    loss.zero_grad(set_to_none=True)
    result = run()
    named = [*encoder.model.named_parameters(), *loss.named_parameters()]
    return result, {name: p.grad.to_dense().clone() for name, p in named if p.grad is not None}


def stepped(encoder, batch, loss, chosen):
    with encoder.training(chosen):
        return gradients_of(encoder, loss, lambda: step(encoder, batch, loss, chosen))


def plain(encoder, batch, loss, chosen, *, kernels=True):
    """Every micro-batch with its graph, one loss, one backward."""

    def run():
        return plain_step(encoder, batch, loss, chosen).loss

    if not kernels:
        encoder.model.train()
        return gradients_of(encoder, loss, run)
    with encoder.training(chosen):
        return gradients_of(encoder, loss, run)


def distance(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> float:
    """‖g − g′‖ / ‖g‖ over all parameters."""
    assert one.keys() == other.keys()
    flat = [torch.cat([part[name].double().flatten() for name in sorted(one)]) for part in (one, other)]
    return float((flat[0] - flat[1]).norm() / flat[0].norm())
