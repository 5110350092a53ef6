"""Which pairs go into which batch: each epoch a function of its number and a seed, in time linear in the data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from nearfar.core.config import Config, nearest
from nearfar.core.errors import BadInput, excerpt
from nearfar.data.batches import BatchSource, Ids
from nearfar.data.curriculum import CurriculumConfig, best, ease, progressive_weights
from nearfar.data.measures import Floats

BatchBy = Literal["none", "source", "task", "near"]


class MixingConfig(Config):
    temperature: float = Field(default=1.0, ge=1, allow_inf_nan=False)
    """Share of each source ∝ its pairs^(1/temperature): 1 takes every pair once an epoch, more evens sources out."""
    weights: dict[str, float] = Field(default_factory=dict)
    """Share of each source (or task), such as {wiki: 2, faq: 1}, instead of the temperature; all must be named."""


UNMIXED, UNSTAGED = MixingConfig(), CurriculumConfig()


@dataclass(frozen=True)
class Part:
    """Pairs that may be in one batch, and what an epoch takes of them."""

    name: str
    pairs: Ids  # (n,)
    batches: int
    drawn: int  # pairs an epoch; n takes each once
    best: Ids  # those that annealing takes; none without it


@dataclass(frozen=True)
class Sampler:
    """The batches of every epoch; it keeps no state, so that a resumed run sees the same ones."""

    parts: tuple[Part, ...]
    texts: Ids  # (n,) of each pair the text, its query or its document, that more pairs share
    batch_size: int
    seed: int
    curriculum: CurriculumConfig
    ease: Floats | None  # (n,) from 0 to 1, when there is a curriculum
    epochs: int
    near: Ids | None = None  # (n,) of each pair the cluster of its document, where those of one are batched together

    def __len__(self) -> int:
        """Batches of an epoch."""
        return sum(part.batches for part in self.parts)

    def epoch(self, number: int) -> list[Ids]:
        """The pairs of each batch; all of a part are within one of the same size.

        Pairs that share a text are dealt out like cards of one suit, so that as few as possible meet in a batch. Those
        of one cluster are in one batch, or in few.
        """
        generator = np.random.default_rng([self.seed, number])
        suits = generator.permutation(int(self.texts.max()) + 1)
        batches, stages, owners = [], [], []
        for i, part in enumerate(self.parts):
            pairs = part.pairs[self._drawn(i, part, number)]
            for stage, (cards, hands) in enumerate(self._stages(pairs, part.batches, number)):
                if self.near is None:
                    dealt = cards[np.argsort(suits[self.texts[cards]], kind="stable")]
                    batches += [dealt[hand::hands] for hand in range(hands)]
                else:
                    places = generator.permutation(int(self.near.max()) + 1)
                    batches += np.array_split(cards[np.argsort(places[self.near[cards]], kind="stable")], hands)
                stages += [stage] * hands
                owners += [i] * hands
        order = generator.permutation(len(batches))
        order = order[np.argsort(np.array(stages)[order], kind="stable")]
        early = len(order) - self._annealing(number)
        late = [(owners[i], len(batches[i])) for i in order[early:]]
        return [*(batches[i] for i in order[:early]), *self._best(late, number)]

    def weights(self, pairs: Ids, done: float) -> Floats | None:
        """Weight of each of these pairs in the loss, (n,), when this share of the training is done."""
        if self.ease is None or not self.curriculum.progressive:
            return None
        return progressive_weights(self.ease[pairs], self.curriculum.progressive, done)

    def notices(self) -> Iterator[str]:
        """How often an epoch takes the pairs of each part, where that is not once, and which have small batches."""
        for part in self.parts if len(self.parts) > 1 else ():
            if 2 * part.drawn < part.batches * self.batch_size:
                yield f"{part.name}: {len(part.pairs):,} pairs are less than half a batch; its batches are that small"
            if part.drawn != len(part.pairs):
                yield (f"{part.name}: {part.batches:,} batches an epoch, its {len(part.pairs):,} pairs are taken "
                       f"{part.drawn / len(part.pairs):.2f} times")  # fmt: skip

    def _annealing(self, epoch: int) -> int:
        """How many of the epoch's batches, its last ones, are of the best pairs."""
        total = self.epochs * len(self)
        late = round(self.curriculum.anneal.steps * total)
        return min(max((epoch + 1) * len(self) - total + late, 0), len(self)) if late else 0

    def _best(self, late: list[tuple[int, int]], epoch: int) -> Iterator[Ids]:
        """Batches of these parts and sizes from the best pairs, none of which comes twice before each came once."""
        generator = np.random.default_rng([self.seed, epoch, 2])
        left: dict[int, Ids] = {}
        for owner, size in late:
            pairs = self.parts[owner].best
            row = left.get(owner, pairs[:0])
            if len(row) < min(size, len(pairs)):
                again = generator.permutation(pairs)
                row = np.concatenate([row, again[~np.isin(again, row)], again[np.isin(again, row)]])
            yield row[: min(size, len(pairs))]
            left[owner] = row[size:]

    def _stages(self, pairs: Ids, batches: int, epoch: int) -> list[tuple[Ids, int]]:
        """The pairs of each stage, easy ones first, and the number of its batches."""
        if self.ease is None or epoch >= self.curriculum.epochs:
            return [(pairs, batches)]
        hands = [len(part) for part in np.array_split(np.arange(batches), self.curriculum.stages)]
        cuts = np.cumsum(hands)[:-1] * len(pairs) // batches
        return list(zip(np.split(pairs[np.argsort(-self.ease[pairs], kind="stable")], cuts), hands, strict=True))

    def _drawn(self, index: int, part: Part, epoch: int) -> Ids:
        """The epoch's stretch of an endless row of shuffles, so that no pair comes twice before each came once."""
        count, (start, stop) = len(part.pairs), (epoch * part.drawn, (epoch + 1) * part.drawn)
        shuffles = [
            np.random.default_rng([self.seed, index, shuffle, 1]).permutation(count)
            for shuffle in range(start // count, -(-stop // count))
        ]
        return np.concatenate(shuffles)[start % count :][: part.drawn]


def sampler(
    source: BatchSource,
    batch_size: int,
    seed: int,
    *,
    by: BatchBy = "none",
    mixing: MixingConfig = UNMIXED,
    curriculum: CurriculumConfig = UNSTAGED,
    epochs: int = 1,
) -> Sampler:
    """Batches of at most `batch_size` pairs, each of one source or task, or of near documents, when `by` says so.

    Near documents make hard batches: locality-centric sampling, after BiDR (Xiao et al., 2022).

    Args:
        epochs: of the whole training, at the end of which the best pairs are alone where `curriculum` says so.

    Raises:
        BadInput: the data has no such labels, the mixing weights do not name them all, or all pairs are equally easy.
    """
    named = _named(source, by, mixing)
    sizes = np.array([len(pairs) for pairs in named.values()])
    needed = -(-sizes // batch_size)  # every pair once
    if mixing == UNMIXED:
        batches, drawn = needed, sizes
    else:
        weights = np.array([mixing.weights.get(name, len(pairs) ** (1 / mixing.temperature))
                            for name, pairs in named.items()])  # fmt: skip
        batches = _apportioned(weights, int(needed.sum()))
        drawn = batches * np.minimum(sizes, batch_size)
    anneal = curriculum.anneal
    good = [best(source, anneal, pairs) if anneal.steps else pairs[:0] for pairs in named.values()]
    fields = zip(named, named.values(), batches.tolist(), drawn.tolist(), good, strict=True)
    parts = tuple(Part(*each) for each in fields)
    near = source.near if by == "near" else None
    return Sampler(parts, _crowded(source), batch_size, seed, curriculum, ease(source, curriculum), epochs, near)


def _named(source: BatchSource, by: BatchBy, mixing: MixingConfig) -> Mapping[str, Ids]:
    """The pairs of each label."""
    if by == "none" or by == "near":  # noqa: PLR1714  (mypy narrows this)
        if mixing != UNMIXED:
            raise BadInput.at("train.mixing", expected="train.batch_by to say what is mixed", found="none",
                              do="set train.batch_by to source or task")  # fmt: skip
        return {"all": np.arange(len(source))}
    names, labels = source.labels[by]
    if names == ("",):
        raise BadInput.at("train.batch_by", expected=f"a {by} in the data", found="none",
                          do=f"add a column '{by}', or set train.batch_by to none")  # fmt: skip
    _check_weights(mixing.weights, names, by)
    return {name or "(none)": np.flatnonzero(labels == i) for i, name in enumerate(names)}


def _check_weights(weights: Mapping[str, float], names: tuple[str, ...], by: BatchBy) -> None:
    known = [name or "(none)" for name in names]
    for name, weight in weights.items():
        if name not in known:
            raise BadInput.at("train.mixing.weights", expected=f"names of {by}s", found=excerpt(name),
                              do=nearest(name, known))  # fmt: skip
        if not 0 < weight < np.inf:
            raise BadInput.at("train.mixing.weights", expected="weights above 0", found=f"{weight:g} for {name}",
                              do="leave out what should not be trained on")  # fmt: skip
    missing = [name for name in known if name not in weights]
    if weights and missing:
        raise BadInput.at("train.mixing.weights", expected=f"a weight for every {by}", found=f"none for {missing[0]}",
                          do="add it")  # fmt: skip


def _apportioned(weights: NDArray[np.float64], total: int) -> NDArray[np.int64]:
    """Whole numbers in proportion to the weights, summing to `total` unless each must be raised to 1."""
    exact = weights / weights.sum() * total
    whole = np.floor(exact).astype(np.int64)
    whole[np.argsort(whole - exact, kind="stable")[: total - int(whole.sum())]] += 1  # largest remainders first
    raised: NDArray[np.int64] = np.maximum(whole, 1)
    return raised


def _crowded(source: BatchSource) -> Ids:
    """Of each pair the text that more pairs share; queries and documents are numbered apart."""
    texts = len(source.texts)
    asked, answering = (np.bincount(side, minlength=texts) for side in (source.queries, source.documents))
    more = asked[source.queries] > answering[source.documents]
    return np.where(more, source.queries, source.documents + texts)
