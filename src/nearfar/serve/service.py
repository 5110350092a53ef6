"""What a service holds: the model, its batches, the index, the reranker, its counts."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from nearfar.core.errors import BadInput
from nearfar.encoder.encoder import Encoder
from nearfar.encoder.load import load_encoder
from nearfar.encoder.parity import PROBES, agreed
from nearfar.encoder.precision import Policy, choose_policy
from nearfar.encoder.reranker import Reranker, load_reranker
from nearfar.index.canaries import TEXTS
from nearfar.index.table import TEXT
from nearfar.search.index import Index
from nearfar.serve.batcher import Batcher
from nearfar.serve.config import ServeConfig
from nearfar.serve.errors import Refused
from nearfar.serve.gathering import Searches
from nearfar.serve.judgments import Judgments
from nearfar.serve.living import LivingIndex
from nearfar.serve.map import DocumentMap
from nearfar.serve.metrics import Metrics
from nearfar.serve.patience import Patience
from nearfar.serve.pool import Pool

SEARCHERS = 2  # threads; a search is a few milliseconds on one core
MOST_WAITING = 512  # searches, or pairs of texts a thousand of which are a second
RERANK_DEPTH = 100  # documents that a reranker reads of a search


class Writable(Protocol):
    """An index that requests may change."""

    def upsert(self, documents: Sequence[Mapping[str, Any]]) -> Any: ...

    def delete(self, ids: Sequence[str]) -> Any: ...


@dataclass
class Service:
    """A model and what belongs to it, as requests need them."""

    name: str
    encoder: Encoder
    policy: Policy
    config: ServeConfig
    batcher: Batcher
    metrics: Metrics
    fingerprint: str
    index: LivingIndex | None = None
    reranker: Reranker | None = None
    writable: Writable | None = None  # handed in where requests may write
    base: Service | None = None  # its results stand beside on the page
    judgments: Judgments | None = None
    runs: Path | None = None  # folder of the runs that are shown
    place: Path = Path()  # of what is served, which may be a run
    map: DocumentMap | None = None  # from when it is first asked for
    search_pool: Pool = field(init=False)
    searches: Searches = field(init=False)
    rerank_pool: Pool = field(init=False)
    held: ExitStack = field(default_factory=ExitStack)  # the reranker's kernels, as long as its thread lives
    write_pool: Pool = field(default_factory=lambda: Pool("write", 1, 16))
    started: int = field(default_factory=lambda: int(time.time()))
    ready: bool = False

    def __post_init__(self) -> None:
        longest = self.config.queue_s
        self.search_pool = Pool("search", _searchers(self.index), MOST_WAITING, Patience(longest))
        self.searches = Searches(self.search_pool)
        self.rerank_pool = Pool("rerank", 1, 16 * MOST_WAITING, Patience(longest), begin=self._hold)

    def _hold(self) -> None:
        if self.reranker is not None:  # entered for each request, its weights would be laid out for each
            self.held.enter_context(self.reranker.inference(self.policy))

    @classmethod
    def open(
        cls,
        path: Path,
        config: ServeConfig,
        *,
        model: str | Path | None = None,
        reranker: str | Path | None = None,
        policy: Policy | None = None,
    ) -> Service:
        """Load what lies at a path: a run, an index with its model, or a model alone.

        Raises:
            BadInput: nothing there can be served.
            FingerprintMismatch: the model is not the one the index was made with.
        """
        index, own = _parts(path, model)
        encoder = load_encoder(own)
        living = LivingIndex.open(index, encoder) if index else None
        policy = policy or agreed(encoder, _probes(living), choose_policy())
        batcher = Batcher(encoder, policy, queue_s=config.queue_s, queue_tokens=config.queue_tokens,
                          cache_bytes=config.cache_bytes)  # fmt: skip
        metrics = Metrics.of(batcher)
        return cls(_name(path), encoder, policy, config, batcher, metrics, encoder.fingerprint(), living,
                   load_reranker(reranker) if reranker else None, place=path)  # fmt: skip

    def start(self) -> None:
        """Begin to answer, after the first text has been through the model."""
        self.batcher.start()
        if self.base is not None:
            self.base.start()

    async def warm(self) -> None:
        """Have the kernels compiled and the weights laid out before the first request, and know the rate."""
        found = await self.batcher.embed(["warm"], "query")
        await self.batcher.measure()
        if self.index is not None:
            index = self.index.opened
            asked = index.with_vectors(["warm"], found.vectors)
            await self.search_pool.run(lambda: index.found(asked, 1, mode="hybrid"))
        if self.reranker is not None:
            await self.rerank("warm", ["warm"])
        if self.base is not None:
            await self.base.warm()
        self.ready = True

    def close(self) -> None:
        """End the threads, after what waits is done."""
        self.ready = False
        self.batcher.close()
        if self.reranker is not None:
            self.rerank_pool.executor.submit(self.held.close)  # in the thread that entered it
        for pool in (self.search_pool, self.rerank_pool, self.write_pool):
            pool.executor.shutdown()
        if self.map is not None:
            self.map.close()
        if self.base is not None:
            self.base.close()

    async def index_now(self) -> Index | None:
        """The index as it is on disk, read in a thread of its own where it has changed; None where there is none."""
        living = self.index
        if living is None:
            return None
        return await self.search_pool.run(living.now) if living.is_stale else living.opened

    def check_texts(self, texts: Sequence[object]) -> None:
        """Refuse more texts than a request may have.

        Raises:
            Refused: 413.
        """
        if len(texts) > self.config.most_texts:
            raise Refused(
                413, f"expected at most {self.config.most_texts} texts, found {len(texts)}; send them in parts"
            )

    def check_model(self, name: str | None) -> None:
        """Refuse a name that is not this model's: its vectors would be another's.

        Raises:
            Refused: 404.
        """
        if name is not None and name != self.name:
            raise Refused(404, f"expected the model '{self.name}', found '{name[:100]}'; GET /v1/models lists it")

    async def rerank(self, query: str, texts: Sequence[str]) -> NDArray[np.float32]:
        """Score of each text for the query, the reranker's before any activation, or the model's similarity.

        Raises:
            Overloaded: too much waits already.
        """
        reranker = self.reranker
        if reranker is not None:
            pairs = [(query, text) for text in texts]
            return await self.rerank_pool.run(lambda: reranker.scores_inside(pairs, self.policy), len(pairs))
        asked, found = await asyncio.gather(self.batcher.embed([query], "query"), self.batcher.embed(texts, "document"))
        scores: NDArray[np.float32] = found.vectors @ asked.vectors[0]
        return scores

    def share(self, scores: NDArray[np.float32]) -> NDArray[np.float32]:
        """Scores from 0 to 1: by a sigmoid those of a reranker and inner products, cosines moved."""
        is_cosine = self.reranker is None and self.encoder.similarity == "cosine"
        shares: NDArray[np.float32] = np.clip((1 + scores) / 2, 0, 1) if is_cosine else expit(scores)
        return shares


def _probes(living: LivingIndex | None) -> Sequence[str]:
    """Texts to try a precision with: documents from all over the index, or those that every index is probed with."""
    if living is None or len(living.opened) < PROBES:
        return TEXTS
    table = living.opened.generation.table
    rows = np.linspace(0, len(table) - 1, PROBES).astype(np.int64)
    return [str(text) for text in table.take(rows, [TEXT])[TEXT].to_pylist()]


def _searchers(living: LivingIndex | None) -> int:
    """Threads that search; one where they run a sparse encoder, whose tokenizer is one thread's."""
    return 1 if living is not None and living.opened.generation.sparse else SEARCHERS


def _parts(path: Path, model: str | Path | None) -> tuple[Path | None, str | Path]:
    """The index, if there is one, and the model that lie at a path."""
    if (path / "index").is_dir():
        return path / "index", model or path / "model"
    if (path / "modules.json").is_file() or (path / "config.json").is_file():
        return None, model or path
    if (path / "manifest.json").is_file():
        beside = path.parent / "model"
        if model is None and not beside.is_dir():
            raise BadInput.at(path, expected="an index with its model", found="no model", do="name it: --model M")
        return path, model or beside
    if (path / "model").is_dir():
        return None, model or path / "model"
    if path.exists() or os.sep in str(path):
        raise BadInput.at(path, expected="a run, an index or a model", found="none", do="train one: nearfar fit")
    return None, model or str(path)


def _name(path: Path) -> str:
    """What the model is called: by the folder it lies in, which the name of a part of a run does not tell."""
    place = path.resolve() if path.exists() else path
    return place.parent.name if place.name in {"model", "index"} else place.name
