"""Texts of many requests share batches, in turns, in bounded room."""

import asyncio
import threading

import numpy as np
import pytest

from nearfar.encoder.encode import encode
from nearfar.encoder.precision import Policy
from nearfar.serve.batcher import Batcher, Overloaded
from nearfar.serve.cache import Cache, Embedded
from nearfar.serve.patience import SHORTEST, Patience
from nearfar.serve.pool import Pool
from tiny_models import sentences

TEXTS = sentences(64)


def batcher_of(encoder, **changes):
    return Batcher(encoder, Policy(), **{"queue_s": 60.0, "queue_tokens": 10**6, "cache_bytes": 0, **changes})


def test_requests_at_the_same_time_get_their_own_vectors(tiny):
    batcher = batcher_of(tiny)
    parts = [TEXTS[:1], TEXTS[1:30], TEXTS[30:33], TEXTS[:5], TEXTS[33:]]

    async def all_at_once():
        batcher.start()
        return await asyncio.gather(*(batcher.embed(part, role) for part in parts for role in ("query", "document")))

    found = asyncio.run(all_at_once())
    batcher.close()
    wanted = [encode(tiny, part, role, Policy()) for part in parts for role in ("query", "document")]
    for one, vectors in zip(found, wanted, strict=True):
        np.testing.assert_allclose(one.vectors, vectors, atol=1e-5)


def test_a_short_request_passes_a_long_one(tiny):
    batcher = batcher_of(tiny)
    batcher.budget_tokens = 2048  # a batch is a turn
    ended = []

    async def ask(name, texts):
        await batcher.embed(texts, "document")
        ended.append(name)

    async def both():
        tasks = [asyncio.create_task(ask("long", TEXTS * 20)), asyncio.create_task(ask("short", ["word"]))]
        await asyncio.sleep(0)  # both wait before the thread begins
        batcher.start()
        await asyncio.gather(*tasks)

    asyncio.run(both())
    batcher.close()
    assert ended == ["short", "long"]


def test_what_finds_no_room_is_refused_and_room_comes_back(tiny):
    batcher = batcher_of(tiny, queue_tokens=200)
    batcher.rate = 1e6

    async def crowd():
        first = asyncio.create_task(batcher.embed(TEXTS, "document"))  # larger than the queue, which was empty
        await asyncio.sleep(0)
        with pytest.raises(Overloaded) as refused:
            await batcher.embed(["word"], "document")
        batcher.start()
        await first
        await batcher.embed(["word"], "document")
        return refused.value

    assert asyncio.run(crowd()).retry_after_s > 0
    assert batcher.waiting_tokens == 0
    batcher.close()


def test_who_would_wait_too_long_is_refused(tiny):
    """By the rate of full batches; before one was measured, by tokens alone."""
    batcher = batcher_of(tiny, queue_s=0.5)

    async def crowd():
        first = [asyncio.create_task(batcher.embed(TEXTS, "document")) for _ in range(2)]
        await asyncio.sleep(0)
        waiting = batcher.waiting_tokens
        batcher.rate = 1.5 * waiting  # two thirds of a second
        with pytest.raises(Overloaded) as refused:
            await batcher.embed(["word"], "document")
        batcher.rate = 2.5 * waiting  # less than half of one
        third = asyncio.create_task(batcher.embed(["word"], "document"))
        batcher.start()
        await asyncio.gather(*first, third)
        return refused.value.retry_after_s

    assert asyncio.run(crowd()) == pytest.approx(1 / 1.5)
    batcher.close()


def test_a_long_request_keeps_no_short_one_out(tiny):
    batcher = batcher_of(tiny, queue_s=1.0)

    async def crowd():
        long = asyncio.create_task(batcher.embed(TEXTS * 100, "document"))
        await asyncio.sleep(0)
        batcher.rate = batcher.waiting_tokens / 10  # ten seconds for all of it, less than one for its turn
        short = asyncio.create_task(batcher.embed(["word"], "document"))
        await asyncio.sleep(0)
        batcher.start()
        return await asyncio.gather(long, short)

    both = asyncio.run(crowd())
    batcher.close()
    assert [len(found.vectors) for found in both] == [100 * len(TEXTS), 1]


def test_the_rate_is_that_of_full_batches(tiny):
    batcher = batcher_of(tiny)

    async def ask(texts):
        return await batcher.embed(texts, "document")

    async def both():
        batcher.start()
        await ask(["word"])
        alone = batcher.rate
        await ask(TEXTS * 40)
        return alone

    assert asyncio.run(both()) == float("inf")
    batcher.close()
    assert 0 < batcher.rate < 1e9


def test_the_rate_is_known_before_the_first_request(tiny):
    batcher = batcher_of(tiny, cache_bytes=10**6)

    async def begin():
        batcher.start()
        await batcher.measure()

    asyncio.run(begin())
    batcher.close()
    assert 0 < batcher.rate < 1e9
    assert not batcher.cache.known


def test_who_left_is_not_embedded(tiny):
    batcher = batcher_of(tiny)

    async def leave():
        task = asyncio.create_task(batcher.embed(TEXTS, "document"))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(leave())
    assert not batcher.waiting
    assert batcher.waiting_tokens == 0


def test_an_error_of_the_model_reaches_those_who_asked_and_no_others(tiny, monkeypatch):
    batcher = batcher_of(tiny)
    real = batcher._passed
    monkeypatch.setattr(batcher, "_passed", lambda texts, kind: 1 / 0 if "bad" in texts else real(texts, kind))

    async def ask():
        batcher.start()
        with pytest.raises(ZeroDivisionError):
            await batcher.embed(["bad"], "document")
        return await batcher.embed(["good"], "document")

    assert len(asyncio.run(ask()).vectors) == 1
    batcher.close()


def test_the_cache_keeps_what_was_asked_for_last_in_its_bytes():
    one = Embedded(np.ones((1, 8), np.float32), np.ones(1, np.int64))
    cache = Cache(3 * 600)
    for name in "abc":
        cache.put((("query", "", False), name), one)
    assert cache.get((("query", "", False), "a")) is one
    cache.put((("query", "", False), "d"), one)
    assert cache.held <= 3 * 600
    assert cache.get((("query", "", False), "b")) is None
    assert cache.get((("query", "", False), "a")) is one
    assert cache.get((("document", "", False), "a")) is None


def test_patience_is_long_for_few_too_many_and_short_for_many():
    patience = Patience(1.5)
    assert patience.lets_in(1.4)
    for _ in range(20):
        assert not patience.lets_in(1.6)
        assert all(patience.lets_in(0.2) for _ in range(10))
    assert patience.now_s == pytest.approx(1.5)
    for _ in range(50):
        assert not any(patience.lets_in(1.6) for _ in range(4))
        assert patience.lets_in(0.2)
    assert patience.now_s <= 1.02 * 1.5 * SHORTEST


def test_work_that_would_wait_too_long_is_refused():
    pool, held = Pool("held", 1, most=100, patience=Patience(1.0), seconds=0.4), threading.Event()

    async def crowd():
        work = [asyncio.create_task(pool.run(held.wait)) for _ in range(3)]  # 1.2 seconds
        await asyncio.sleep(0)
        with pytest.raises(Overloaded) as refused:
            await pool.run(held.wait)
        held.set()
        await asyncio.gather(*work)
        return refused.value.retry_after_s

    assert asyncio.run(crowd()) == pytest.approx(1.2)
    pool.executor.shutdown()
