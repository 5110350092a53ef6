"""Every way of making a step gives the same loss and the same gradients: computed, not believed.

Differences are ‖g − g′‖ / ‖g‖ over all parameters at once: the true gradient of a single tensor may be zero (a key
bias), and then says nothing. All steps cut the batch into the same micro-batches and give each the same seed, so that
the comparison holds with dropout too.
"""

from __future__ import annotations

import copy
import pickle
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import product
from multiprocessing.process import BaseProcess
from typing import TYPE_CHECKING

import torch
import torch.distributed as dist
from torch import Tensor, multiprocessing, nn

from nearfar.core.errors import BadInput
from nearfar.core.targets import Targets
from nearfar.encoder.encoder import Encoder
from nearfar.encoder.precision import Policy
from nearfar.losses import LOSSES, Loss, Share
from nearfar.train.config import TrainConfig
from nearfar.train.distributed import Workers, joined
from nearfar.train.fill import filled
from nearfar.train.objective import TrainObjective
from nearfar.train.step import Batch, Objective, StepResult, embed, gather, partitioned, result_of, step

if TYPE_CHECKING:
    from torch._C._distributed_c10d import Store  # torch.distributed has it too, but only at run time

LIMIT = 1e-5  # largest difference that rounding in fp32 explains
VARIANTS = ("cached", "streaming", "processes")
STARTED = "certify/started"  # set in the store by the second process
POLL_S = 0.05
GRACE_S = 10  # for the second process to end by itself
ANCHORS = 7  # scored at a time by the streaming variant; divides nothing, so that chunks are uneven

Step = Callable[[Encoder, Batch, TrainObjective, Policy], StepResult]


@dataclass(frozen=True)
class Case:
    """What a step is made of; the variants of a case must agree."""

    name: str
    loss: Loss  # by itself: a process that is started anew has not registered what was registered here
    dropout: bool
    batches: tuple[Batch, ...]  # more than one: accumulated


@dataclass(frozen=True)
class Check:
    """One variant against the plain step."""

    loss: str
    variant: str
    dropout: bool
    accumulation: bool
    difference: float  # ‖g − g′‖ / ‖g‖
    loss_difference: float  # |l − l′| / |l|

    @property
    def ok(self) -> bool:
        """Whether both are within what rounding explains; a difference that is not a number is not."""
        return self.difference <= LIMIT and self.loss_difference <= LIMIT


@dataclass(frozen=True)
class Outcome:
    """What a step leaves behind."""

    loss: float
    gradients: Mapping[str, Tensor]


def cases(losses: Mapping[str, Loss], batch: Batch, *halves: Batch, dropout: bool) -> list[Case]:
    """Each of these losses by name, with and without dropout where the model has it, with and without accumulation."""
    found = []
    for (name, loss), drops, batches in product(losses.items(), dict.fromkeys((dropout, False)), ((batch,), halves)):
        found.append(Case(name, loss, drops, tuple(filled(part, loss.needed({})) for part in batches)))
    return found


def certify(
    encoder: Encoder,
    chosen: Sequence[Case],
    config: TrainConfig,
    policy: Policy,
    on_check: Callable[[Check], None] = lambda _: None,
) -> tuple[Check, ...]:
    """Make every case's step in every way, the last one in two processes, and compare with the plain one.

    Raises:
        NearfarError: the second process ended.
    """
    checks = []
    with _second_process(encoder, chosen, config, policy) as workers:
        for case in chosen:
            plain, *others = (_outcome(encoder, case, config, policy, variant) for variant in _variants(workers))
            for variant, other in zip(VARIANTS, others, strict=True):
                check = Check(case.name, variant, case.dropout, len(case.batches) > 1, difference(plain, other),
                              relative(abs(plain.loss - other.loss), abs(plain.loss)))  # fmt: skip
                on_check(check)
                checks.append(check)
    return tuple(checks)


def has_dropout(encoder: Encoder) -> bool:
    """Whether training the model draws random numbers."""
    return any(isinstance(module, nn.Dropout) and module.p > 0 for module in encoder.model.modules())


def difference(one: Outcome, other: Outcome) -> float:
    """‖g − g′‖ / ‖g‖; infinite when they are gradients of different parameters."""
    if one.gradients.keys() != other.gradients.keys():
        return float("inf")
    flat = [torch.cat([part.gradients[name].double().flatten() for name in sorted(part.gradients)])
            for part in (one, other)]  # fmt: skip
    return relative(float((flat[0] - flat[1]).norm()), float(flat[0].norm()))


def relative(error: float, size: float) -> float:
    """`error` as a part of `size`; no error is none, whatever the size."""
    return error / size if size else (float("inf") if error else 0.0)


def _variants(workers: Workers) -> tuple[Variant, ...]:
    """The plain step, and those named in VARIANTS."""
    return (
        Variant(lambda model, batch, loss, policy: plain_step(model, batch, _dense(loss), policy)),
        Variant(step),
        Variant(lambda model, batch, loss, policy: step(model, batch, _in_shares(loss), policy)),
        Variant(workers.step, workers),
    )


@dataclass(frozen=True)
class Variant:
    """A way of making a step."""

    step: Step
    workers: Workers = field(default_factory=Workers)


def _outcome(encoder: Encoder, case: Case, config: TrainConfig, policy: Policy, variant: Variant) -> Outcome:
    LOSSES.setdefault(case.name, case.loss)
    learned = {"loss": case.name, "learn_temperature": True}  # so that its gradient is compared too
    objective = TrainObjective(config.model_copy(update=learned), unit=encoder.similarity == "cosine").to(policy.device)
    named = [*encoder.model.named_parameters(), *objective.named_parameters()]
    trained = {name: parameter for name, parameter in named if parameter.requires_grad}
    encoder.model.zero_grad(set_to_none=True)
    with encoder.training(policy):
        encoder.model.train(case.dropout)
        losses = [variant.step(encoder, batch, objective, policy).loss for batch in case.batches]
    variant.workers.sum_gradients(trained.values())
    gradients = {name: p.grad.to_dense() / len(losses) for name, p in trained.items() if p.grad is not None}
    encoder.model.zero_grad(set_to_none=True)
    return Outcome(float(sum(losses)) / len(losses), gradients)


def plain_step(model: Encoder, batch: Batch, loss: Objective, policy: Policy) -> StepResult:
    """One pass over all micro-batches with every graph kept, one loss, one backward: what a step means."""
    micro_batches = partitioned(batch, policy)
    embeddings = [embed(model, micro_batch, policy) for micro_batch in micro_batches]
    value = loss(
        gather("query", embeddings, micro_batches), gather("document", embeddings, micro_batches), batch.targets
    )
    value.backward()
    return result_of(batch, micro_batches, value.detach(), len(micro_batches))


def _dense(objective: TrainObjective) -> Objective:
    """Losses by their formulas over the whole Q × D matrix, where they have one."""
    dense = copy.copy(objective)
    dense.dense = True
    return dense


def _in_shares(objective: TrainObjective) -> Objective:
    """The sum of the losses of a few anchors at a time, where the loss is separable: other chunks, the same sum."""

    def loss(queries: Tensor, documents: Tensor, targets: Targets) -> Tensor:
        starts = range(0, max(len(queries), len(documents)), ANCHORS)
        shares = [Share(slice(start, start + ANCHORS), slice(start, start + ANCHORS)) for start in starts]
        return torch.stack([objective(queries, documents, targets, share) for share in shares]).sum()

    return loss if objective.separable else objective


@contextmanager
def _second_process(encoder: Encoder, chosen: Sequence[Case], config: TrainConfig, policy: Policy) -> Iterator[Workers]:
    """A group of this process and a new one over loopback, in which the new one goes through the same cases."""
    store = dist.TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)  # type: ignore[attr-defined]
    try:
        job = pickle.dumps((encoder, chosen, config, policy))  # bytes: shared memory is scarce in containers
    except (AttributeError, pickle.PicklingError) as error:
        raise BadInput.at("base", expected="a model that can be sent to another process", found=str(error),
                          do="save it, and give its folder") from None  # fmt: skip
    context = multiprocessing.get_context("spawn")
    process = context.Process(target=_second, args=(store.port, job, torch.get_num_threads()), daemon=True)
    process.start()
    try:
        _await_start(process, store)
        with joined(store, 0, 2, 0, backend="gloo") as workers:
            yield workers
    finally:
        process.join(GRACE_S)
        process.kill()


def _await_start(process: BaseProcess, store: Store) -> None:
    """Wait until the new process has read its job.

    Raises:
        BadInput: it has ended before.
    """
    while not store.check([STARTED]):
        if not process.is_alive():
            found = f"its end with exit code {process.exitcode}"
            raise BadInput.at("certify", expected="a second process", found=found,
                              do="call it under `if __name__ == '__main__':` in a script of its own")  # fmt: skip
        time.sleep(POLL_S)


def _second(port: int, job: bytes, threads: int) -> None:
    torch.set_num_threads(threads)
    encoder, chosen, config, policy = pickle.loads(job)  # noqa: S301  # made by the process that started this one
    for (
        model
    ) in encoder.transformers:  # what its class can return of its layers is set where one is made, not unpickled
        with torch.device("meta"):
            type(model)(model.config)
    store = dist.TCPStore("127.0.0.1", port, is_master=False)  # type: ignore[attr-defined]
    store.set(STARTED, "")
    with joined(store, 1, 2, 1, backend="gloo") as workers:
        for case in chosen:
            _outcome(encoder, case, config, policy, _variants(workers)[-1])
