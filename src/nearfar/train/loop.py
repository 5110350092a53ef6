"""The loop: batches in, weights out, the best of them kept, and a state on disk to go on from."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from typing import TypeVar

import numpy as np
import torch
from torch import nn

from nearfar.compress.codec import Codec
from nearfar.core.errors import Interrupted
from nearfar.data.batches import Ids
from nearfar.encoder.encoder import Encoder
from nearfar.encoder.precision import Policy
from nearfar.train.checkpoint import Checkpoints, optimizer_tensors
from nearfar.train.codes import Through
from nearfar.train.config import TrainConfig
from nearfar.train.data import TrainingData
from nearfar.train.distributed import Workers
from nearfar.train.diverged import Diverged, infinite_weights
from nearfar.train.interrupt import interruptible
from nearfar.train.mining import MinedNegatives, MineNegatives, flat
from nearfar.train.mixing import MixedNegatives
from nearfar.train.objective import Columns, TrainObjective
from nearfar.train.optimizer import adamw, learning_rate_factor, set_learning_rate
from nearfar.train.progress import Progress
from nearfar.train.queue import NegativeQueue
from nearfar.train.sharding import clip_gradients, copy_weights, sharded
from nearfar.train.step import Batch, StepResult, accumulated

T = TypeVar("T")

Evaluate = Callable[[Encoder], float]  # higher is better


@dataclass(frozen=True)
class Callbacks:
    """What the loop is handed from outside: how to evaluate, and whom to tell."""

    on_eval: Evaluate
    on_step: Callable[[Progress, StepResult], None] = field(default=lambda *_: None)
    on_mine: MineNegatives | None = None
    on_watch: Callable[[Encoder, Progress], Sequence[tuple[int, str, str]]] | None = None  # what is wrong: see Progress
    watch_every: int = 1  # steps


@dataclass
class Trainer:
    """One training run of an encoder; `run` may be called on a fresh run or after `resume`."""

    encoder: Encoder
    data: TrainingData
    config: TrainConfig
    policy: Policy
    checkpoints: Checkpoints
    identity: str  # digest of everything a resumed run must share
    callbacks: Callbacks
    progress: Progress = field(default_factory=Progress)
    workers: Workers = field(default_factory=Workers)
    codec: Codec | None = None  # to train through

    def __post_init__(self) -> None:
        unit = self.encoder.similarity == "cosine"
        tokens = partial(self.data.framed, "document")
        self.queue = NegativeQueue(self.config.queue, self.encoder, self.data.source, tokens)
        columns: list[Columns] = [self.queue, MixedNegatives(self.config.mixed_negatives, unit)]
        fixed = self.config.sides == "query"
        self.through = Through(self.codec, self.config.codes, fixed=fixed) if self.codec else None
        self.objective = TrainObjective(self.config, unit=unit, columns=columns, through=self.through)
        self.objective.to(self.policy.device)
        self.mined = MinedNegatives()
        self.peak = self.config.peak_learning_rate(static=self.encoder.is_static)
        self.is_sharded = self.config.shard and self.workers.size > 1
        self.trained = sharded(self.encoder, self.workers.size) if self.is_sharded else self.encoder
        self.trained = replace(self.trained, layers=self.config.matryoshka_layers)
        self.optimizer = adamw([self.trained.model, self.objective], self.config, peak=self.peak,
                               fused=not self.is_sharded, rates=self.through.rates if self.through else ())  # fmt: skip
        self.steps = total_steps(self.config, self.data)
        self._shuffled: tuple[int, list[Ids]] = (-1, [])
        self.moved = False  # whether it goes on with other numbers of processes or threads than before
        self._last: list[Batch] = []  # of the step in progress
        self._saved = -1  # step of the last checkpoint

    @property
    def modules(self) -> dict[str, nn.Module]:
        """Everything with weights of its own, whole."""
        return {"model": self.encoder.model, "objective": self.objective}

    @property
    def state(self) -> dict[str, nn.Module]:
        """Everything with a state to go on with, whole."""
        queue = {"queue": self.queue} if self.config.queue.size else {}
        return {**self.modules, **queue, **({"mined": self.mined} if self.config.mine.every_steps else {})}

    def resume(self) -> None:
        """Take the state of the newest whole checkpoint.

        Raises:
            BadInput: there is no whole checkpoint, or it was made from other data, another base or other settings.
        """
        checkpoint = self.checkpoints.check(self.identity)
        checkpoint.restore(self.state, self.optimizer)
        if self.is_sharded:
            copy_weights(self.encoder, self.trained)
        if self.workers.is_first:
            self.checkpoints.drop_after(checkpoint.step)
        self.progress, self._saved = Progress.parse(checkpoint.state["progress"]), checkpoint.step
        self.moved = checkpoint.state["computed_by"] != self._computed_by
        self._use_mined()

    def run(self) -> Progress:
        """Train to the end, and leave the best weights in the encoder.

        Raises:
            Interrupted: Ctrl-C; a checkpoint of the last whole step is written first.
            Diverged: loss, gradients or weights are not finite; nothing of that is written.
        """
        started, saved = time.monotonic() - self.progress.seconds, time.monotonic()
        with self.trained.training(self.policy), interruptible() as interrupted:
            if not self.progress.dev:
                self._evaluate(started)  # the base is the first to beat: training can make it worse
            stop = self.workers.any(interrupted())
            while not (self._over() or stop):
                self._step(started)
                if self.workers.any(time.monotonic() - saved >= 60 * self.config.checkpoint_minutes):
                    self._save()
                    saved = time.monotonic()
                stop = self.workers.any(interrupted())
            self._save()  # also at the end: what comes after training can be interrupted too
            if stop or self.workers.any(interrupted()):
                raise Interrupted(f"interrupted after step {self.progress.step} of {self.steps}; go on with --resume")
        self.workers.wait_for_first()
        self.checkpoints.load_best(self.progress.best_step, self.modules)
        return self.progress

    def _step(self, started: float) -> None:
        done = self.progress.step
        rate = self.peak * learning_rate_factor(done, self.steps, self.config.warmup)
        set_learning_rate(self.optimizer, rate)
        result = self._forward_backward(done)
        norm = clip_gradients(self._parameters, self.config.clip_norm)
        loss, size = torch.stack([result.loss, norm]).tolist()  # the one time that a step waits for the device
        if not (math.isfinite(loss) and math.isfinite(size)):
            raise self._diverged(f"loss {loss:g} and a gradient of norm {size:g}", done + 1)
        self.optimizer.step()
        self.queue.advance(self.encoder.model, self.policy)
        self.optimizer.zero_grad(set_to_none=False)  # the same memory every step
        before = self.progress
        self.progress = replace(
            before,
            step=done + 1,
            losses=(*before.losses, loss),
            learning_rates=(*before.learning_rates, rate),
            seconds=time.monotonic() - started,
        )
        if self._evaluation_due(done + 1):
            self._evaluate(started)
        self._watch(done + 1)
        self.callbacks.on_step(self.progress, result)

    def _forward_backward(self, done: int) -> StepResult:
        """Gradients of the mean loss over the batches of one optimizer step."""
        in_epoch = steps_of_epoch(self.config, self.data)
        epoch, number = divmod(done, in_epoch)
        if self._shuffled[0] != epoch:
            self._shuffled = (epoch, self.data.sampler.epoch(epoch))
        self._refresh(done)
        batches = self._shuffled[1]
        numbers = np.array_split(np.arange(len(batches)), in_epoch)[number]
        self._last = [self.data.batch(batches[n], self.config, epoch, int(n)) for n in numbers]
        results = [self.workers.step(self.trained, batch, self.objective, self.policy) for batch in self._last]
        self.workers.sum_gradients(self._parameters)
        if len(results) > 1:
            for parameter in self._parameters:
                if parameter.grad is not None:
                    parameter.grad /= len(results)
        return accumulated(results)

    @property
    def _computed_by(self) -> dict[str, int]:
        """What changes the order of sums, and so the bits, but not what is computed."""
        return {"processes": self.workers.size, "threads": torch.get_num_threads()}

    @property
    def _parameters(self) -> list[nn.Parameter]:
        return [p for group in self.optimizer.param_groups for p in group["params"]]

    def _diverged(self, found: str, at: int) -> Diverged:
        texts = [(batch.targets.query_texts, batch.targets.document_texts) for batch in self._last]
        queries, documents = (np.unique(np.concatenate(side)) for side in zip(*texts, strict=True))
        return Diverged(found, at, queries, documents)

    def _check_weights(self) -> None:
        if self._last and infinite_weights(self.modules.values()):
            raise self._diverged("weights that are not", self.progress.step)

    def _watch(self, done: int) -> None:
        watch = self.callbacks.on_watch
        if watch and (done % self.callbacks.watch_every == 0 or self.progress.dev[-1][0] == done):
            seen = self._by_first(lambda encoder: watch(encoder, self.progress))
            alarms = tuple((int(step), str(failure), str(reason)) for step, failure, reason in seen)
            self.progress = replace(self.progress, alarms=(*self.progress.alarms, *alarms))

    def _over(self) -> bool:
        stopped = self.config.monitor == "stop" and self.progress.alarms
        return bool(stopped) or self.progress.step >= self.steps or self.progress.stale >= self.config.patience

    def _refresh(self, done: int) -> None:
        """Mine with the weights after `done` steps, when it is time; what comes out depends on them alone."""
        every = self.config.mine.every_steps
        mine = self.callbacks.on_mine
        if mine and every and done and done % every == 0:
            self.mined.take(self._by_first(lambda encoder: flat(mine(encoder))))
            self._use_mined()

    def _use_mined(self) -> None:
        if self.mined.negatives is not None:
            source = replace(self.data.source, negatives=self.mined.negatives)
            self.data = replace(self.data, source=source)

    def _evaluation_due(self, done: int) -> bool:
        """Evaluate at equal distances, the last time at the end."""
        evaluations = min(self.config.evaluations, self.steps)
        return done * evaluations // self.steps > (done - 1) * evaluations // self.steps

    def _by_first(self, compute: Callable[[Encoder], T]) -> T:
        """What the first process computes with the weights of this moment, told to all."""
        if self.is_sharded:
            copy_weights(self.trained, self.encoder)
        self.encoder.model.eval()
        with torch.no_grad():
            result = self.workers.first(lambda: compute(self.encoder))
        self.encoder.model.train()
        if self.is_sharded:
            self.encoder.model.cpu()  # the memory is for training
        return result

    def _evaluate(self, started: float) -> None:
        metric = self._by_first(self.callbacks.on_eval)
        now = self.progress
        self.progress = replace(now, dev=(*now.dev, (now.step, metric)), seconds=time.monotonic() - started)
        if metric > now.best:
            self._check_weights()
            self.progress = replace(self.progress, best=metric, best_step=now.step)
            if self.workers.is_first:
                self.checkpoints.save_best(now.step, self.modules)

    def _save(self) -> None:
        progress = self.progress
        if self._saved == progress.step or not (self.workers.is_first or self.is_sharded):
            return
        if self.is_sharded:
            copy_weights(self.trained, self.encoder)
        optimizer = optimizer_tensors(self.optimizer)
        self._saved = progress.step
        if not self.workers.is_first:  # its shards are gathered, and it writes nothing
            return
        self._check_weights()
        state = {"identity": self.identity, "computed_by": self._computed_by, "keep_bytes": self.policy.keep_bytes,
                 "progress": asdict(progress)}  # fmt: skip
        self.checkpoints.save(progress.step, self.state, optimizer, state, best=progress.best_step)


def steps_of_epoch(config: TrainConfig, data: TrainingData) -> int:
    """Steps of one pass over the pairs."""
    return -(-len(data.sampler) // config.accumulate)


def total_steps(config: TrainConfig, data: TrainingData) -> int:
    """Steps of a whole run."""
    return config.epochs * steps_of_epoch(config, data)
