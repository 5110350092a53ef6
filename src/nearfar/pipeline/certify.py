"""`certify`: on the user's own data and model, every way of making a step gives the same gradients."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from copy import deepcopy
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from sentence_transformers import SentenceTransformer

from nearfar.core.errors import BadInput
from nearfar.data.batches import batch_source
from nearfar.data.dataset import Dataset
from nearfar.data.read import Item, as_dataset
from nearfar.data.split import ensure_splits
from nearfar.data.stdlib import stdlib_dataset
from nearfar.encoder.encode import open_store
from nearfar.encoder.precision import Policy, choose_policy
from nearfar.encoder.prompts import check_prompts
from nearfar.losses import LOSSES, terms_of
from nearfar.pipeline.config import FitConfig
from nearfar.pipeline.plan import check_prefixes, seen_texts
from nearfar.pipeline.progress import Reporter, Silent
from nearfar.pipeline.session import base_encoder, instructed, settings_of
from nearfar.train.adapt import adapted
from nearfar.train.certify import LIMIT, VARIANTS, Check, cases, has_dropout
from nearfar.train.certify import certify as certify_steps
from nearfar.train.data import training_data
from nearfar.train.step import Batch, partitioned

PAIRS = 32
MICRO_BATCHES = 3  # of a role, at least: fewer would show little


@dataclass(frozen=True)
class Certificate:
    """What was compared with what, and how far apart they are."""

    base: str
    pairs: int
    micro_batches: int
    dropout: bool  # whether the model has any
    checks: tuple[Check, ...]
    limit: float = LIMIT

    @property
    def ok(self) -> bool:
        """Whether all ways of making a step agree."""
        return all(check.ok for check in self.checks)

    def record(self) -> dict[str, Any]:
        """Everything as JSON."""
        checks = [{**asdict(check), "ok": check.ok} for check in self.checks]
        return {**asdict(self), "ok": self.ok, "checks": checks}


def certify(
    data: Dataset | str | Path | Iterable[Item] | None = None,
    *,
    base: str | Path | SentenceTransformer | None = None,
    config: FitConfig | Mapping[str, Any] | None = None,
    losses: Sequence[str] = (),
    pairs: int = PAIRS,
    reporter: Reporter | None = None,
) -> Certificate:
    """Compare cached, streaming and two-process steps with a plain one, in fp32, for every loss.

    The second process is started by this call: in a script, call it under `if __name__ == "__main__":`.

    Args:
        data: as for `fit`; a batch of the standard library's docstrings and code when left out.
        base: as for `fit`.
        config: as for `fit`; the loss's own settings are those of `train`.
        losses: names of those to look at; all when left out.
        pairs: pairs of the batch.

    Raises:
        BadInput: data, base or settings cannot be used.
    """
    reporter = reporter or Silent()
    named = {term.name: LOSSES[term.name] for name in losses or LOSSES for term in terms_of(name, "losses")}
    settings = settings_of(config, data, base, None)
    source = data if data is not None else settings.data.source
    if pairs < 4:  # two batches of two, where they are accumulated
        raise BadInput.at("pairs", expected="at least 4", found=f"{pairs}", do="give more")
    dataset = stdlib_dataset() if source is None else as_dataset(source, settings.data)
    batches = batch_source(ensure_splits(dataset, settings.data), {"negatives", "grades", "teachers"})
    chosen = choose_policy(settings.train.device or "cpu", "fp32", settings.train.budget_tokens)
    own = deepcopy(base) if isinstance(base, SentenceTransformer) else base  # prompts and adapters are put into it
    encoder = base_encoder(own, settings, batches, chosen)
    check_prefixes(settings.train, encoder)
    check_prompts(encoder.model, settings.prompts, dataset.queries.tasks)
    encoder = replace(instructed(encoder, settings.prompts, batches), layers=settings.train.matryoshka_layers)
    adapted(encoder, settings.train, seen_texts(batches), chosen)
    tokens = training_data(batches, encoder, open_store(encoder), settings.train)
    rows = np.random.default_rng(settings.train.seed).permutation(len(batches))[:pairs]
    whole, *halves = (
        tokens.batch(part, settings.train, 0, number) for number, part in enumerate([rows, *np.array_split(rows, 2)])
    )
    policy, dropout = _policy(chosen, whole), has_dropout(encoder)
    todo = cases(named, whole, *halves, dropout=dropout)
    with reporter.bar("certify", len(todo) * len(VARIANTS)) as advance:
        checks = certify_steps(encoder, todo, settings.train, policy, lambda check: advance(1, check.loss))
    return Certificate(settings.base, len(rows), len(partitioned(whole, policy)), dropout, checks)


def _policy(chosen: Policy, batch: Batch) -> Policy:
    """Nothing kept, and micro-batches so small that there are several of either role."""
    tokens = min(sum(map(len, rows)) for rows in (batch.queries, batch.documents))
    return replace(chosen, keep_bytes=0, budget_tokens=max(1, min(chosen.budget_tokens, tokens // MICRO_BATCHES)))
