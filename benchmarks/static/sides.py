"""Both sides of a static model's training: the same table, pairs, batches, schedule and optimiser settings."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from importlib.util import find_spec
from itertools import chain
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.losses import MultipleNegativesRankingLoss
from sentence_transformers.sentence_transformer.modules import StaticEmbedding
from tokenizers import Tokenizer

from measure import Sample, timed
from nearfar.data.batches import BatchSource
from nearfar.data.dataset import Dataset
from nearfar.data.stdlib import units_dataset
from nearfar.encoder.encode import encode, open_store
from nearfar.encoder.encoder import STATIC_TOKENS, Encoder
from nearfar.encoder.load import load_encoder
from nearfar.encoder.precision import choose_policy
from nearfar.encoder.static import StaticConfig, static_encoder
from nearfar.evaluate.metrics import measure
from nearfar.evaluate.run import Judgments, Run
from nearfar.text.code_units import CodeUnit, code_units, python_files
from nearfar.train.config import TrainConfig
from nearfar.train.data import training_data
from nearfar.train.estimate import with_kept_memory
from nearfar.train.objective import TrainObjective
from nearfar.train.optimizer import adamw, learning_rate_factor, set_learning_rate
from nearfar.train.sharding import clip_gradients
from nearfar.train.step import step

BATCH_SIZE, DIMENSION = 2048, 1024
METRIC, DEPTH = "ndcg@10", 10
CONFIG = TrainConfig(batch_size=BATCH_SIZE, max_query_tokens=STATIC_TOKENS, max_document_tokens=STATIC_TOKENS)
PEAK = CONFIG.peak_learning_rate(static=True)
CODE_CHARACTERS = 300  # of a function: about 85 tokens a pair
PACKAGES = ("torch", "transformers", "sympy", "numpy", "scipy", "pandas", "sklearn")  # nearfar needs all of them

Pairs = NDArray[np.int64]  # numbers of training pairs


class Side(Protocol):
    def step(self, pairs: Pairs, rate: float) -> Sample:
        """Take one training step, from the numbers of its pairs to the updated table."""


def packages_dataset(packages: tuple[str, ...] = PACKAGES) -> Dataset:
    """Docstrings and the beginnings of their functions in installed packages; in three splits."""
    units = chain.from_iterable(map(_units, packages))
    return units_dataset((replace(unit, code=unit.code[:CODE_CHARACTERS]) for unit in units), "packages", seed=0)


def _units(package: str) -> Iterator[CodeUnit]:
    found = find_spec(package)
    if found is None or found.origin is None:
        raise RuntimeError(f"expected the package {package}, found none; run make setup")
    for path, module in python_files(Path(found.origin).parent, {"tests", "__pycache__"}):
        yield from code_units(path, module)


def tokenizer(vocabulary: int = 0) -> Tokenizer:
    """The tokenizer of minilm; with a larger vocabulary its tokens lie scattered among unused ones."""
    content = json.loads(load_encoder("minilm").tokenizer.to_str())
    tokens = sorted(content["model"]["vocab"], key=content["model"]["vocab"].get)
    size = max(vocabulary, len(tokens))
    place = {number: number * size // len(tokens) for number in range(len(tokens))}
    unused = sorted(set(range(size)) - set(place.values()))
    content["model"]["vocab"] = {f"[filler{number}]": number for number in unused}
    content["model"]["vocab"] |= {token: place[number] for number, token in enumerate(tokens)}
    for added in content["added_tokens"]:
        added["id"] = place[added["id"]]
    return Tokenizer.from_str(json.dumps({**content, "post_processor": None, "padding": None, "truncation": None}))


def fresh(tokens: Tokenizer) -> Encoder:
    """A table of small random vectors, the same at every call."""
    return static_encoder(tokens, StaticConfig(dimension=DIMENSION), seed=0)


class Nearfar:
    """An encoder, its batches from a token store and what the training loop does with them."""

    def __init__(self, encoder: Encoder, source: BatchSource) -> None:
        self.encoder = encoder
        self.tokenise_seconds, self.data = timed(lambda: training_data(source, encoder, open_store(encoder), CONFIG))
        self.policy = with_kept_memory(choose_policy("cpu"), CONFIG)
        self.objective = TrainObjective(CONFIG)
        self.optimizer = adamw([encoder.model, self.objective], CONFIG, peak=PEAK)

    @contextmanager
    def training(self) -> Iterator[None]:
        """Training mode."""
        with self.encoder.training(self.policy):
            yield

    def step(self, pairs: Pairs, rate: float) -> Sample:
        seconds, loss = timed(lambda: self._step(pairs, rate))
        return {"seconds": seconds, "loss": loss}

    def _step(self, pairs: Pairs, rate: float) -> float:
        set_learning_rate(self.optimizer, rate)
        result = step(self.encoder, self.data.batch(pairs, CONFIG, 0, 0), self.objective, self.policy)
        clip_gradients([p for group in self.optimizer.param_groups for p in group["params"]], CONFIG.clip_norm)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=False)
        return result.loss


def peer_of(encoder: Encoder) -> SentenceTransformer:
    """A model of one StaticEmbedding, with a copy of a static encoder's table."""
    table = encoder.model[0].embedding.weight.detach().clone()
    return SentenceTransformer(modules=[StaticEmbedding(encoder.tokenizer, embedding_weights=table)], device="cpu")


@dataclass
class Peer:
    """A SentenceTransformer of one StaticEmbedding, its recommended loss, and what its trainer does with a batch."""

    model: SentenceTransformer
    source: BatchSource
    bf16: bool = False

    def __post_init__(self) -> None:
        self.loss = MultipleNegativesRankingLoss(self.model, scale=1 / CONFIG.temperature)
        self.optimizer = torch.optim.AdamW(self.model.parameters(), weight_decay=CONFIG.weight_decay, fused=True)

    @classmethod
    def of(cls, encoder: Encoder, source: BatchSource) -> Peer:
        """The peer of a static encoder: a copy of its table."""
        return cls(peer_of(encoder).train(), source)

    @property
    def encoder(self) -> Encoder:
        """The model as nearfar evaluates it."""
        return Encoder(self.model)

    def training(self) -> AbstractContextManager[None]:
        """Training mode, which it is always in."""
        return nullcontext()

    def step(self, pairs: Pairs, rate: float) -> Sample:
        texts = [[self.source.texts[i] for i in side[pairs]] for side in (self.source.queries, self.source.documents)]
        tokenise_seconds, features = timed(lambda: [self.model.preprocess(column) for column in texts])
        seconds, loss = timed(lambda: self._step(features, rate))
        return {"seconds": tokenise_seconds + seconds, "tokenise_seconds": tokenise_seconds, "loss": loss}

    def _step(self, features: list[dict[str, Any]], rate: float) -> float:
        set_learning_rate(self.optimizer, rate)
        with torch.autocast("cpu", torch.bfloat16) if self.bf16 else nullcontext():
            value = self.loss(features, None)
        value.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), CONFIG.clip_norm)
        self.optimizer.step()
        self.optimizer.zero_grad()
        return float(value.detach())


def epochs(source: BatchSource, count: int, peak: float, advance: Callable[[Pairs, float], Sample]) -> None:
    """Train `count` epochs with warm-up and cosine decay, on the same batches for every side."""
    batches = [pairs for epoch in range(count) for pairs in shuffled(source, epoch)]
    for number, pairs in enumerate(batches):
        advance(pairs, peak * learning_rate_factor(number, len(batches), CONFIG.warmup))


def shuffled(source: BatchSource, epoch: int) -> list[Pairs]:
    """Whole batches of an epoch; the rest is left out."""
    order = np.random.default_rng([0, epoch]).permutation(len(source))
    return list(order[: len(order) // BATCH_SIZE * BATCH_SIZE].reshape(-1, BATCH_SIZE))


def scores(encoder: Encoder, data: Dataset, split: str) -> NDArray[np.float64]:
    """nDCG@10 of each query of a split, by exact search over all documents."""
    judged, policy = data.judged(split), choose_policy("cpu")
    queries = encode(encoder, [data.queries.texts[i] for i in judged.queries], "query", policy)
    similarities = queries @ encode(encoder, data.documents.texts, "document", policy).T  # (Q, D)
    top = np.argpartition(-similarities, DEPTH, axis=1)[:, :DEPTH].astype(np.int32)
    run = Run.ranked(top, np.take_along_axis(similarities, top, axis=1))
    return measure(run, Judgments(judged.documents, judged.gains), [METRIC])[METRIC]
