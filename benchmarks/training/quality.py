"""Is what comes out as good? One epoch with each side on the same batches, and nDCG@10 on the held-out queries."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from ours import Nearfar
from peer import LEARNING_RATE, Peer, Setting

from measure import say, show, timed
from nearfar.data.batches import BatchSource, batch_source
from nearfar.data.dataset import Dataset
from nearfar.data.sampler import sampler
from nearfar.data.stdlib import stdlib_dataset
from nearfar.encoder.encode import encode, open_store
from nearfar.encoder.encoder import Encoder
from nearfar.encoder.precision import Policy, choose_policy
from nearfar.evaluate.metrics import measure
from nearfar.evaluate.run import Judgments, Run
from nearfar.evaluate.statistics import compare
from nearfar.losses import info_nce
from nearfar.train.config import TrainConfig
from nearfar.train.estimate import with_kept_memory
from nearfar.train.optimizer import learning_rate_factor, set_learning_rate
from nearfar.train.step import Batch, step

METRIC, DEPTH = "ndcg@10", 10
BATCH_SIZE = 256

Scores = NDArray[np.float64]
Pairs = NDArray[np.int64]


def compare_quality(max_tokens: int, best_setting: Mapping[str, Any], seeds: tuple[int, ...] = (0,)) -> dict[str, Any]:
    """Train both sides for an epoch with each seed; difference of their mean nDCG@10, nearfar minus peer."""
    data = stdlib_dataset(seed=0)
    source = batch_source(data)
    config = TrainConfig(batch_size=BATCH_SIZE, epochs=1, learning_rate=LEARNING_RATE)
    setting = Setting(**{**best_setting, "bf16": True})
    rows: dict[str, list[tuple[float, Scores]]] = {"nearfar": [], "peer": []}
    base = score(Nearfar(max_tokens, config).encoder, data)
    for seed in seeds:
        rows["nearfar"].append(train_ours(Nearfar(max_tokens, config), source, config, seed, data))
        rows["peer"].append(train_theirs(Peer(max_tokens, config), source, setting, seed, data))
    a, b = (np.mean([scores for _, scores in rows[side]], axis=0) for side in ("nearfar", "peer"))
    comparison = asdict(compare(a, b, seed=0))
    seconds = {side: [value for value, _ in rows[side]] for side in rows}
    table = [{"side": "base", METRIC: float(base.mean()), "epoch, s": "–"}]
    table += [{"side": side, METRIC: float(np.mean([s for _, s in rows[side]])), "epoch, s": np.mean(seconds[side])}
              for side in rows]  # fmt: skip
    show("After one epoch", table)
    say(f"difference {comparison['difference']:+.4f}, interval {comparison['low']:+.4f} to {comparison['high']:+.4f}")
    facts = {"metric": METRIC, "base": float(base.mean()), "comparison": comparison, "seeds": list(seeds)}
    return facts | {"epoch_seconds": seconds, "pairs": len(source), "batch_size": BATCH_SIZE, "peer": setting.facts()}


def train_ours(
    ours: Nearfar, source: BatchSource, config: TrainConfig, seed: int, data: Dataset
) -> tuple[float, Scores]:
    """Seconds of an epoch with nearfar, and the scores after it."""
    policy = with_kept_memory(choose_policy("cpu", "bf16"), config)
    store = open_store(ours.encoder)
    rows = store.rows(source.texts)

    def gradients(pairs: Pairs, number: int) -> float:
        texts = source.batch(pairs, 0, (seed, number))
        queries, documents = (
            [ours.encoder.framed(store[rows[i]], ours.encoder.max_tokens) for i in side]
            for side in (texts.queries, texts.documents)
        )
        batch = Batch(queries, documents, texts.targets, 1_000_003 * seed + 1_000 * number)
        return float(step(ours.encoder, batch, info_nce, policy).loss)

    with ours.training(policy):
        seconds = epoch(gradients, ours.optimizer, source, seed)
    return seconds, score(ours.encoder, data)


def train_theirs(theirs: Peer, source: BatchSource, setting: Setting, seed: int, data: Dataset) -> tuple[float, Scores]:
    """Seconds of an epoch with the peer, and the scores after it."""
    loss = theirs.loss(setting)
    torch.manual_seed(seed)

    def gradients(pairs: Pairs, _: int) -> float:
        texts = [(source.texts[source.queries[i]], source.texts[source.documents[i]]) for i in pairs]
        theirs.backward(theirs.collate(texts, setting), loss)
        return theirs.last_loss

    with theirs.precision(setting):
        seconds = epoch(gradients, theirs.optimizer, source, seed)
    return seconds, score(Encoder(theirs.model), data)


def epoch(
    gradients: Callable[[Pairs, int], float], optimizer: torch.optim.Optimizer, source: BatchSource, seed: int
) -> float:
    """Train one epoch with warm-up, cosine decay and clipping; the seconds it took."""
    config = TrainConfig()
    batches = sampler(source, BATCH_SIZE, seed).epoch(0)
    parameters = [p for group in optimizer.param_groups for p in group["params"]]

    def one(number: int) -> None:
        set_learning_rate(optimizer, LEARNING_RATE * learning_rate_factor(number, len(batches), config.warmup))
        optimizer.zero_grad()
        loss = gradients(batches[number], number)
        torch.nn.utils.clip_grad_norm_(parameters, config.clip_norm)
        optimizer.step()
        say(f"step {number + 1}/{len(batches)}: loss {loss:.4f}")

    return timed(lambda: [one(number) for number in range(len(batches))])[0]


def score(encoder: Encoder, data: Dataset) -> Scores:
    """nDCG@10 of each test query, by exact search over all documents."""
    judged = data.judged("test")
    policy: Policy = choose_policy("cpu")
    queries = encode(encoder, [data.queries.texts[i] for i in judged.queries], "query", policy)
    documents = encode(encoder, data.documents.texts, "document", policy)
    scores = queries @ documents.T  # (Q, D)
    top = np.argpartition(-scores, DEPTH, axis=1)[:, :DEPTH].astype(np.int32)
    run = Run.ranked(top, np.take_along_axis(scores, top, axis=1))
    return measure(run, Judgments(judged.documents, judged.gains), [METRIC])[METRIC]
