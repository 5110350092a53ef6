"""Searches made together answer as each does alone."""

import asyncio
import gc
import math
import threading
from dataclasses import dataclass, field

import pytest

from nearfar.core.errors import BadInput
from nearfar.encoder.precision import Policy
from nearfar.search.index import Index
from nearfar.serve.batcher import Overloaded
from nearfar.serve.config import ServeConfig
from nearfar.serve.gathering import MOST, Searches
from nearfar.serve.patience import Patience
from nearfar.serve.pool import Pool
from nearfar.serve.service import Service
from serve.conftest import TEXTS
from serving import serving

KINDS = [(7, "", "dense"), (3, "", "dense"), (7, "year >= 2010", "dense"), (7, "", "lexical"), (7, " ", "hybrid")]


@dataclass
class Counted:
    """An index that counts its calls."""

    index: Index
    calls: list[int] = field(default_factory=list)

    def with_vectors(self, queries, vectors):
        return self.index.with_vectors(queries, vectors)

    def found_many(self, asked, k, *, filter, mode):  # noqa: A002
        self.calls.append(len(asked.texts))
        return self.index.found_many(asked, k, filter=filter, mode=mode)


@pytest.fixture(scope="module")
def index(place):
    return Index.open(place)


def searches(most=512, longest=math.inf):
    return Searches(Pool("search", 1, most, Patience(longest)))


def together(own, asked):
    """What becomes of searches (index, question, kind) that all wait while the only thread is held."""
    held = threading.Event()

    async def ask():
        holding = asyncio.create_task(own.pool.run(held.wait))
        await asyncio.sleep(0)
        try:
            waiting = [asyncio.create_task(own.found(index, index.index.asked([text], "", kind[2]), *kind))
                       for index, text, kind in asked]  # fmt: skip
            await asyncio.sleep(0)
        finally:
            held.set()
        found = await asyncio.gather(*waiting, return_exceptions=True)
        await holding
        return found

    return asyncio.run(ask())


def test_each_gets_what_it_would_alone_in_few_calls(index):
    counted = Counted(index)
    asked = [(counted, TEXTS[n], KINDS[n % len(KINDS)]) for n in range(60)]
    for (_, text, (k, filter_, mode)), found in zip(asked, together(searches(), asked), strict=True):
        alone = index.search(text, k, filter=filter_, mode=mode)
        assert [hit.id for hit in found] == [hit.id for hit in alone]
        assert [hit.score for hit in found] == pytest.approx([hit.score for hit in alone], abs=1e-6)
        assert [hit.text for hit in found] == [hit.text for hit in alone]
    assert sorted(counted.calls) == [12] * len(KINDS)


def test_no_more_than_so_many_at_once(index):
    counted = Counted(index)
    together(searches(), [(counted, text, KINDS[0]) for text in TEXTS[: 2 * MOST + 3]])
    assert counted.calls == [MOST, MOST, 3]


def test_only_what_was_made_tells_how_long_others_wait(index):
    own, told = searches(), []
    own.pool.took = lambda _seconds, count: told.append(count)
    together(own, [(Counted(index), text, KINDS[0]) for text in TEXTS[:5]])
    assert sorted(told) == [1, 1, 1, 1, 1, 1]  # an index of its own each, and what held the thread
    own, told = searches(), []
    own.pool.took, counted = lambda _seconds, count: told.append(count), Counted(index)
    together(own, [(counted, text, KINDS[0]) for text in TEXTS[:5]])
    assert told == [1, 5]


def test_the_collector_leaves_alone_what_a_service_starts_with(place):
    with serving(Service.open(place, ServeConfig(), policy=Policy())):
        assert gc.get_freeze_count() > 10_000


def test_an_index_that_was_opened_anew_is_another(index):
    old, new = Counted(index), Counted(index)
    together(searches(), [(old, TEXTS[0], KINDS[0]), (new, TEXTS[1], KINDS[0]), (old, TEXTS[2], KINDS[0])])
    assert (old.calls, new.calls) == ([2], [1])


def test_an_error_is_told_to_those_whose_it_is(index):
    counted = Counted(index)
    wrong = (counted, TEXTS[0], (7, "yaer > 3", "dense"))
    first, good, second = together(searches(), [wrong, (counted, TEXTS[1], KINDS[0]), wrong])
    assert isinstance(first, BadInput)
    assert isinstance(second, BadInput)
    assert good[0].text == TEXTS[1]


def test_one_that_is_refused_is_not_made(index):
    own, counted = searches(most=3), Counted(index)
    found = together(own, [(counted, text, KINDS[0]) for text in TEXTS[:5]])
    assert [isinstance(one, Overloaded) for one in found] == [False, False, True, True, True]
    assert counted.calls == [2]
    assert not own.waiting


def test_one_whose_client_left_is_not_made(index):
    own, counted, held = searches(), Counted(index), threading.Event()

    async def leave():
        holding = asyncio.create_task(own.pool.run(held.wait))
        await asyncio.sleep(0)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await own.found(counted, index.asked([TEXTS[0]], "", "dense"), *KINDS[0])
        held.set()
        await holding
        own.pool.executor.shutdown()

    asyncio.run(leave())
    assert not counted.calls
    assert not own.waiting


def test_one_whose_client_leaves_meanwhile_spoils_no_other(index):
    own, begun, held = searches(), threading.Event(), threading.Event()

    class Slow(Counted):
        def found_many(self, *asked, **options):
            begun.set()
            held.wait()
            return super().found_many(*asked, **options)

    slow = Slow(index)

    async def leave():
        holding = asyncio.create_task(own.pool.run(begun.wait))
        first, second = (asyncio.create_task(own.found(slow, index.asked([text], "", "dense"), *KINDS[0]))
                         for text in TEXTS[:2])  # fmt: skip
        await asyncio.sleep(0)
        begun.set()
        await holding
        await asyncio.sleep(0.05)  # both are being made
        first.cancel()
        await asyncio.sleep(0.05)
        held.set()
        return await asyncio.gather(first, second, return_exceptions=True)

    left, found = asyncio.run(leave())
    assert isinstance(left, asyncio.CancelledError)
    assert found[0].text == TEXTS[1]
    assert slow.calls == [2]


def test_nobody_waits_for_a_turn_of_which_nothing_is_left(index):
    own, hold, behind = searches(), threading.Event(), threading.Event()

    async def ask():
        counted = Counted(index)
        asked = [own.found(counted, index.asked([text], "", "dense"), *KINDS[0]) for text in TEXTS[:3]]
        own.pool.submit(hold.wait)
        first = asyncio.create_task(asked[0])
        await asyncio.sleep(0)
        own.pool.submit(behind.wait)  # before the turns of the others, whom the first's makes too
        others = [asyncio.create_task(one) for one in asked[1:]]
        await asyncio.sleep(0)
        hold.set()
        try:
            await asyncio.wait_for(asyncio.gather(first, *others), 10)
        finally:
            behind.set()
        return counted.calls

    assert asyncio.run(ask()) == [3]
