"""One data set and all that is done with it: variants of its pairs, training for a number of steps, scores."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from techniques import Technique

if TYPE_CHECKING:  # imports torch, which reads the allocator's setting when it starts
    from nearfar.data.batches import BatchSource
    from nearfar.data.dataset import Dataset, Judged
    from nearfar.encoder.encoder import Encoder, Role
    from nearfar.pipeline.config import FitConfig
    from nearfar.pipeline.session import Session
    from nearfar.train.config import TrainConfig

Scores = NDArray[np.float64]  # of each query, or the similarity of each pair of sentences
MINED = {"negatives": 6, "rank_to": 50, "relative_margin": 0.05}
SCORED = {"loss": {"margin_mse": 1, "embedding_distillation": 1}}  # all that a teacher can say
METRIC = "ndcg@10"


@dataclass(frozen=True)
class Trained:
    """An encoder after training, and the processor's seconds of one step."""

    encoder: Encoder
    step_s: float
    training_s: float


class Lab:
    """A data set opened once; every training starts from the same base, or a fresh table of the same seed."""

    def __init__(
        self, dataset: Any, config: FitConfig, work: Path, pairs: int = 0, teacher: Callable[[], Path] | None = None
    ) -> None:
        from nearfar.pipeline.progress import Silent
        from nearfar.pipeline.session import open_session
        from nearfar.train.distributed import Workers

        self.session: Session = replace(open_session(config, dataset, None, Silent(), Workers()), folder=work)
        self.dataset, self.config, self.pairs, self.teacher = self.session.dataset, config, pairs, teacher
        self.prepared_s: dict[str, float] = {}
        self._sources: dict[str, tuple[Dataset, BatchSource]] = {}

    def train(self, technique: Technique, *, seed: int, rate: float, steps: int) -> Trained:
        """Train the base for so many steps, of which the learning rate's schedule is one."""
        from nearfar.pipeline.mine import refresher
        from nearfar.pipeline.probe import Unsaved
        from nearfar.train.data import sampler_of
        from nearfar.train.loop import Callbacks, Trainer, steps_of_epoch
        from nearfar.train.progress import Progress

        dataset, source = self.source(technique.data)
        config = self.settings(technique, seed, rate)
        data = replace(self._tokens(technique.data), sampler=sampler_of(source, config))
        config = config.model_copy(update={"epochs": -(-steps // steps_of_epoch(config, data))})
        data = replace(data, sampler=sampler_of(source, config))
        encoder, times = self.base(seed, dot=technique.data == "dot"), [time.process_time()]
        space = self.session.space
        callbacks = Callbacks(
            on_eval=lambda _: 1.0,
            on_step=lambda *_: times.append(time.process_time()),
            on_mine=refresher(dataset, source, config.mine, space) if config.mine.every_steps else None,
        )
        trainer = Trainer(encoder, data, config, space.policy, Unsaved(Path()), "", callbacks, Progress(dev=((0, 0),)))
        trainer.steps = steps
        trainer.run()
        return Trained(encoder, float(np.diff(times)[1:].mean()), times[-1] - times[0])

    def settings(self, technique: Technique, seed: int, rate: float) -> TrainConfig:
        from nearfar.core.config import merged
        from nearfar.train.config import TrainConfig

        given = self.config.train.model_dump(exclude_unset=True)
        peak = rate * self.config.train.peak_learning_rate(static=self.session.space.encoder.is_static)
        own = {"seed": seed, "learning_rate": peak, "evaluations": 1}
        return TrainConfig.parse(merged(given, {**technique.train, **own}), "benchmark")

    def base(self, seed: int, *, dot: bool) -> Encoder:
        """The base as it is before training; a static one is drawn by the seed."""
        encoder = self.session.space.encoder
        encoder.model.load_state_dict(self._start(seed if encoder.is_static else 0))
        encoder.model.similarity_fn_name = "dot" if dot else "cosine"
        return encoder

    def _start(self, seed: int) -> Mapping[str, Any]:
        from nearfar.encoder.static import static_encoder

        encoder = self.session.space.encoder
        if seed not in self._starts:
            fresh = static_encoder(encoder.tokenizer, self.config.static, seed, "cpu") if encoder.is_static else encoder
            state = fresh.model.state_dict()
            self._starts[seed] = {name: tensor.detach().clone() for name, tensor in state.items()}
        return self._starts[seed]

    @cached_property
    def _starts(self) -> dict[int, Mapping[str, Any]]:
        return {}

    def source(self, data: str) -> tuple[Dataset, BatchSource]:
        """The training pairs of a variant, made when they are first asked for."""
        if data not in self._sources:
            began = time.perf_counter()
            dataset, source = self._made(data)
            self._sources[data] = dataset, source.only(self._drawn(len(source)))
            self.prepared_s[data] = time.perf_counter() - began
        return self._sources[data]

    def _drawn(self, count: int) -> NDArray[np.int64]:
        drawn = np.random.default_rng(0).permutation(count)
        return np.sort(drawn[: self.pairs or count])

    def _made(self, data: str) -> tuple[Dataset, BatchSource]:
        import nearfar
        from nearfar.data.augment import AugmentConfig, rewritten, with_rewritten
        from nearfar.data.batches import batch_source
        from nearfar.pipeline.supply import supplied

        assert self.teacher or data in {"pairs", "dot", "graded"}
        needs = {"mined": {"grades", "negatives"}, "graded": {"grades"}}.get(data, set())
        if data == "taught":
            dataset, _ = self.source("mined")
            config = self.config.model_copy(update={
                "train": self.config.train.model_copy(update=SCORED),
                "teachers": self.config.teachers.model_copy(update={"models": (str(self.teacher()),)}),
            })  # fmt: skip
            given = replace(self.session, config=config, source=batch_source(dataset, config.train.needs))
            return dataset, supplied(given)
        if data == "mined":
            dataset = nearfar.mine(self.teacher(), self.dataset, config=MINED).dataset
        elif data == "bm25":
            dataset = nearfar.mine("bm25", self.dataset, config={"negatives": 6, "rank_from": 1}).dataset
        elif data in {"paraphrased", "masked"}:
            kind = {"paraphrased": "paraphrase", "masked": "mask"}[data]
            rules = AugmentConfig.parse({"kinds": [kind]}, "benchmark")
            dataset = with_rewritten(self.dataset, rewritten(self.dataset, rules))
        else:
            dataset = self.dataset
        return dataset, batch_source(dataset, needs)

    def _tokens(self, data: str) -> Any:
        from nearfar.train.data import training_data

        space = self.session.space
        return training_data(self.source(data)[1], space.encoder, space.store, self.config.train)

    def vectors(self, encoder: Encoder, texts: list[str], role: Role) -> NDArray[np.float32]:
        from nearfar.encoder.encode import encode

        return encode(encoder, texts, role, self.session.space.policy, store=self.session.space.store)


class Retrieval(Lab):
    """Scores are nDCG@10 of each query against all documents, or a sample of both."""

    sample: tuple[int, int] | None = None  # queries, and documents that hold all relevant ones

    def scores(self, encoder: Encoder, technique: Technique) -> dict[str, Scores]:
        """Of the dev and the test queries, and of the test queries with the first half of the dimensions."""
        from nearfar.core.gaussian import gaussian_document, gaussian_query

        found: dict[str, Scores] = {}
        whole = None if self.sample else self.vectors(encoder, list(self.dataset.documents.texts), "document")
        for split in ("dev", "test"):
            asked, texts, judged = self._judged[split]
            documents = self.vectors(encoder, texts, "document") if whole is None else whole
            queries = self.vectors(encoder, asked, "query")
            if technique.train.get("loss") == "gaussian":
                documents, queries = gaussian_document(documents), gaussian_query(queries)
            elif split == "test" and technique.data != "dot":
                half = documents.shape[1] // 2
                cut = documents[:, :half] / np.linalg.norm(documents[:, :half], axis=1, keepdims=True).clip(1e-9)
                found["half"] = self._ranked(queries[:, :half], cut, judged)
            found[split] = self._ranked(queries, documents, judged)
        return found

    @cached_property
    def _judged(self) -> dict[str, tuple[list[str], list[str], Judged]]:
        """Queries, documents and judgments of the dev and the test split."""
        from nearfar.pipeline.config import EvalConfig
        from nearfar.pipeline.dev import dev_set

        data, found = self.dataset, {}
        for split in ("dev", "test"):
            judged = data.judged(split)
            if self.sample:
                drawn = EvalConfig(dev_queries=self.sample[0], dev_documents=self.sample[1])
                chosen = dev_set(replace(data, splits={"dev": data.splits[split]}), drawn, seed=0)
                found[split] = chosen.queries, chosen.documents, chosen.judged
            else:
                found[split] = [data.queries.texts[row] for row in judged.queries], list(data.documents.texts), judged
        return found

    def _ranked(self, queries: NDArray[np.float32], documents: NDArray[np.float32], judged: Judged) -> Scores:
        from nearfar.evaluate.run import Run
        from nearfar.index.exact import top_k
        from nearfar.pipeline.evaluate import scored

        run = Run.ranked(*top_k(queries.astype(np.float32), documents.astype(np.float32), 10))
        return scored(run, judged, [METRIC]).per_query[METRIC]

    def value(self, scores: Scores, split: str) -> float:  # noqa: ARG002
        return float(scores.mean())

    def difference(self, ours: list[Scores], plain: list[Scores]) -> tuple[float, float, float]:
        """Mean over seeds and queries, and its 95 % interval over the queries."""
        from nearfar.evaluate.statistics import compare

        found = compare(np.mean(ours, axis=0), np.mean(plain, axis=0), seed=0)
        return found.difference, found.low, found.high


class Similarity(Lab):
    """Scores are the cosines of pairs of sentences, judged by Spearman's correlation with their grades."""

    grades: Mapping[str, NDArray[np.float64]]
    sides: Mapping[str, tuple[list[str], list[str]]]

    @classmethod
    def of(cls, rows: Mapping[str, list[tuple[str, str, float]]], config: FitConfig, work: Path, pairs: int) -> Self:
        """Sentences and grades of each split."""
        columns = {split: list(zip(*of_split, strict=True)) for split, of_split in rows.items()}
        items = [{"query": a, "positive": b, "score": grade} for a, b, grade in rows["train"]]
        made = cls(items, config, work, pairs)
        made.grades = {split: np.array(columns[split][2]) for split in ("dev", "test")}
        made.sides = {split: (list(columns[split][0]), list(columns[split][1])) for split in ("dev", "test")}
        return made

    def scores(self, encoder: Encoder, technique: Technique) -> dict[str, Scores]:  # noqa: ARG002
        found = {}
        for split, (left, right) in self.sides.items():
            first, second = (self.vectors(encoder, side, "query").astype(np.float64) for side in (left, right))
            found[split] = (first * second).sum(axis=1)
        return found

    def value(self, scores: Scores, split: str) -> float:
        from scipy.stats import spearmanr

        return float(spearmanr(scores, self.grades[split]).statistic)

    def difference(self, ours: list[Scores], plain: list[Scores]) -> tuple[float, float, float]:
        """Difference of the mean correlations over seeds, and its 95 % bootstrap interval over the pairs."""
        from scipy.stats import rankdata

        grades, rng, sides = self.grades["test"], np.random.default_rng(0), (np.array(ours), np.array(plain))

        def value(rows: NDArray[np.int64]) -> float:
            truth = rankdata(grades[rows])
            means = [np.mean([np.corrcoef(rankdata(one[rows]), truth)[0, 1] for one in side]) for side in sides]
            return float(means[0] - means[1])

        drawn = [value(rng.integers(len(grades), size=len(grades))) for _ in range(2000)]
        low, high = np.quantile(drawn, (0.025, 0.975))
        return value(np.arange(len(grades))), float(low), float(high)
