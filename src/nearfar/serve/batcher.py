"""Texts of many requests embedded together: gathered by tokens, sorted by length, each request in its turn."""

from __future__ import annotations

import asyncio
import math
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import cast

import numpy as np
from numpy.typing import NDArray

from nearfar.core.errors import BadInput
from nearfar.encoder.encode import INFERENCE_BUDGET, encode_ids_inside, encode_inside
from nearfar.encoder.encoder import Encoder, Role
from nearfar.encoder.precision import Policy
from nearfar.serve.cache import Cache, Embedded, Given, Kind
from nearfar.serve.patience import Patience

TURN_TOKENS = 2048  # that a request may take of a batch before the next has its turn: short ones pass long ones
CHARACTERS_A_TOKEN = 3  # a guess that is only used to bound what waits
SPECIAL_TOKENS = 3
CHARACTERS_A_PASS = 400  # of a long text that are cut into tokens in the time of a token in the model, about
NOW_TEXTS = 256  # of documents to be written, at a time: questions go between
SMOOTHING = 0.2  # of the measured rate
FULL = 0.5  # of the budget, from which a batch tells the rate: small ones are slow for what they hold
PASSAGE = "how warm is the water of the lake in the middle of a summer without rain? " * 4  # a usual length

Vectors = NDArray[np.float32]


class Overloaded(Exception):
    """There is no room for more; `retry_after_s` says when there may be."""

    def __init__(self, retry_after_s: float) -> None:
        super().__init__("too many requests wait already")
        self.retry_after_s = retry_after_s


@dataclass(eq=False)
class Job:
    """The texts of one request, and their vectors as they come."""

    texts: Sequence[Given]
    kind: Kind
    costs: Sequence[int]  # tokens of each text, guessed
    found: Embedded
    done: asyncio.Future[Embedded]
    loop: asyncio.AbstractEventLoop
    taken: int = 0  # texts that a batch has had
    missing: int = field(init=False)  # texts without a vector yet
    left: int = field(init=False)  # tokens that no batch has had

    def __post_init__(self) -> None:
        self.missing, self.left = len(self.texts), sum(self.costs)


class Batcher:
    """One thread that embeds what waits, and the queue before it.

    The model's pass belongs to that thread alone; requests wait on futures of their event loop.
    """

    def __init__(
        self, encoder: Encoder, policy: Policy, *, queue_s: float, queue_tokens: int, cache_bytes: int
    ) -> None:
        self.encoder, self.policy, self.queue_tokens = encoder, policy, queue_tokens
        self.patience = Patience(queue_s)
        self.budget_tokens = INFERENCE_BUDGET * policy.budget_tokens
        self.cache = Cache(cache_bytes)
        self.waiting: deque[Job] = deque()
        self.waiting_tokens = 0
        self.rate = math.inf  # tokens a second, before any was measured
        self._changed = threading.Condition()
        self._ended = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = threading.Thread(target=self._run, name="embed", daemon=True)

    def embed_now(self, texts: Sequence[str], role: Role) -> Vectors:
        """Vectors of texts (len(texts), d), for a thread that is not the event loop's."""
        assert self._loop is not None  # noqa: S101 -- set when the service starts
        parts = [texts[start : start + NOW_TEXTS] for start in range(0, len(texts), NOW_TEXTS)]
        found = [asyncio.run_coroutine_threadsafe(self.embed(part, role), self._loop).result() for part in parts]
        return np.concatenate([part.vectors for part in found])

    def start(self) -> None:
        """Begin to embed."""
        self._loop = asyncio.get_running_loop()
        self._thread.start()

    def close(self) -> None:
        """End after what waits is done."""
        with self._changed:
            self._ended = True
            self._changed.notify()
        if self._thread.ident is not None:
            self._thread.join()

    async def measure(self) -> None:
        """Embed what tells the rate, so that it is known before the first wave of requests."""
        count = math.ceil(FULL * self.budget_tokens / self._guess(PASSAGE))
        await self._embedded([f"{number} {PASSAGE}" for number in range(count)], ("query", "", False))

    async def embed(self, texts: Sequence[Given], role: Role, task: str = "") -> Embedded:
        """Vectors of texts, or of token ids without special tokens.

        Raises:
            Overloaded: too many tokens wait already.
            BadInput: a token id is not one of the model's.
        """
        kind: Kind = (role, task, not isinstance(texts[0], str))
        check_ids((one for one in texts if isinstance(one, tuple)), self.encoder.tokenizer.get_vocab_size())
        result, fresh = Embedded.room(len(texts), self.encoder.dimension), []
        for place, text in enumerate(texts):
            known = self.cache.get((kind, text))
            if known is None:
                fresh.append(place)
            else:
                result.put(place, known, 0)
        if fresh:
            found = await self._embedded([texts[place] for place in fresh], kind)
            result.put(fresh, found, slice(None))
            for place in fresh:
                self.cache.put((kind, texts[place]), result.row(place))
        return result

    async def _embedded(self, texts: Sequence[Given], kind: Kind) -> Embedded:
        loop = asyncio.get_running_loop()
        room = Embedded.room(len(texts), self.encoder.dimension)
        job = Job(texts, kind, [self._guess(text) for text in texts], room, loop.create_future(), loop)
        self._enter(job)
        try:
            return await job.done
        except asyncio.CancelledError:  # the client left, or waited too long
            self._leave(job)
            raise

    def _guess(self, text: Given) -> int:
        tokens = len(text) if isinstance(text, tuple) else len(text) // CHARACTERS_A_TOKEN
        cut = len(text) // CHARACTERS_A_PASS if isinstance(text, str) else 0
        return min(tokens + SPECIAL_TOKENS, self.encoder.max_tokens) + cut

    def _enter(self, job: Job) -> None:
        with self._changed:
            before = sum(min(other.left, TURN_TOKENS) for other in self.waiting)  # it, too, has its turn
            delay, full = before / self.rate, self.waiting_tokens + job.left > self.queue_tokens
            if self.waiting and (full or not self.patience.lets_in(delay)):
                raise Overloaded(delay)
            self.waiting.append(job)
            self.waiting_tokens += job.left
            self._changed.notify()

    def _leave(self, job: Job) -> None:
        with self._changed:
            if job in self.waiting:
                self.waiting.remove(job)
                self.waiting_tokens -= job.left

    def _run(self) -> None:
        with self.encoder.inference(self.policy):
            self._serve()

    def _serve(self) -> None:
        while (batch := self._next()) is not None:
            start, tokens = time.perf_counter(), 0
            for kind in {job.kind for job, _ in batch}:
                part = [(job, place) for job, place in batch if job.kind == kind]
                tokens += sum(job.costs[place] for job, place in part)
                self._embed(kind, part)
            if tokens >= FULL * self.budget_tokens:
                self._measured(tokens / max(time.perf_counter() - start, 1e-6))

    def _measured(self, rate: float) -> None:
        self.rate = rate if math.isinf(self.rate) else self.rate + SMOOTHING * (rate - self.rate)

    def _next(self) -> list[tuple[Job, int]] | None:
        """Texts for a batch, by turns, as soon as there are some; None where there will be no more."""
        with self._changed:
            self._changed.wait_for(lambda: self.waiting or self._ended)
            if not self.waiting:
                return None
            batch = list(self._turns())
            self.waiting_tokens -= sum(job.costs[place] for job, place in batch)
            return batch

    def _turns(self) -> Iterator[tuple[Job, int]]:
        room = self.budget_tokens
        while self.waiting and room > 0:
            job, turn = self.waiting.popleft(), min(TURN_TOKENS, room)
            while job.taken < len(job.texts) and turn > 0:
                yield job, job.taken
                turn -= job.costs[job.taken]
                room -= job.costs[job.taken]
                job.left -= job.costs[job.taken]
                job.taken += 1
            if job.taken < len(job.texts):
                self.waiting.append(job)

    def _embed(self, kind: Kind, batch: Sequence[tuple[Job, int]]) -> None:
        texts = list(dict.fromkeys(job.texts[place] for job, place in batch))
        row = {text: number for number, text in enumerate(texts)}
        try:
            found = self._passed(texts, kind)
        except BaseException as error:  # whatever it is, it must not end the thread
            for job in {id(job): job for job, _ in batch}.values():
                self._leave(job)
                job.loop.call_soon_threadsafe(_fail, job.done, error)
            return
        for job, place in batch:
            job.found.put(place, found, row[job.texts[place]])
            job.missing -= 1
            if not job.missing:
                job.loop.call_soon_threadsafe(_resolve, job)

    def _passed(self, texts: Sequence[Given], kind: Kind) -> Embedded:
        """Texts of one kind through the model."""
        role, task, is_ids = kind
        if is_ids:
            return Embedded(
                *encode_ids_inside(self.encoder, cast("Sequence[tuple[int, ...]]", texts), role, self.policy)
            )
        tasks = [task] * len(texts)
        return Embedded(*encode_inside(self.encoder, cast("Sequence[str]", texts), role, self.policy, tasks=tasks))


def check_ids(rows: Iterable[tuple[int, ...]], size: int) -> None:
    """Refuse token ids that a tokenizer of this size does not have.

    Raises:
        BadInput: so.
    """
    if (largest := max(map(max, rows), default=0)) >= size:
        raise BadInput.at("input", expected=f"token ids below {size}", found=str(largest),
                          do="use the model's own tokenizer, or send texts")  # fmt: skip


def _resolve(job: Job) -> None:
    if not job.done.done():
        job.done.set_result(job.found)


def _fail(done: asyncio.Future[Embedded], error: BaseException) -> None:
    if not done.done():
        done.set_exception(error if isinstance(error, Exception) else RuntimeError(str(error)))
