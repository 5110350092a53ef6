"""`rerank-train`: a small cross-encoder from the same pairs, measured beside the bi-encoder."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from nearfar.core.artifact import check_place, read_meta, write_json, writing
from nearfar.core.errors import BadInput, NearfarError
from nearfar.core.fingerprint import digest
from nearfar.data.batches import BatchSource, batch_source
from nearfar.data.dataset import Dataset
from nearfar.data.read import Item, as_dataset
from nearfar.data.split import ensure_splits
from nearfar.data.training import training_pairs
from nearfar.encoder.encode import open_store
from nearfar.encoder.kind import kind_of
from nearfar.encoder.load import load_encoder
from nearfar.encoder.precision import Policy, choose_policy
from nearfar.encoder.reranker import Reranker, new_reranker, save_reranker
from nearfar.evaluate.statistics import decide
from nearfar.pipeline.config import FitConfig, RerankConfig, settings
from nearfar.pipeline.evaluate import Space
from nearfar.pipeline.faults import resumable
from nearfar.pipeline.mine import with_negatives
from nearfar.pipeline.progress import Advance, Reporter, Silent, Terminal
from nearfar.pipeline.rerank_measure import dev_candidates, measured
from nearfar.pipeline.run import versions
from nearfar.pipeline.session import Mode
from nearfar.text.bm25 import BM25
from nearfar.train.checkpoint import Checkpoints
from nearfar.train.diverged import Diverged
from nearfar.train.progress import Progress
from nearfar.train.reranker import RerankTrainer

KIND = "reranker"
RECORD = "reranker.json"
STARTED = "started.json"
UNSEEN = {"base", "out", "bi_encoder", "depth", "test_queries", "checkpoint_minutes", "device", "precision"}


@dataclass(frozen=True)
class RerankRun:
    """A trained reranker and what was measured."""

    path: Path
    record: dict[str, Any]


def rerank_train(
    data: Dataset | str | Path | Iterable[Item] | None = None,
    *,
    base: str | Path | None = None,
    out: str | Path | None = None,
    config: FitConfig | Mapping[str, Any] | None = None,
    mode: Mode = "new",
    reporter: Reporter | None = None,
) -> RerankRun:
    """Train a cross-encoder on pairs, measure it beside a bi-encoder, and write it as a folder.

    Negatives are the judged ones of the data; where there are none, BM25 mines them with the settings of `mine`.

    Args:
        data: as `fit` takes it.
        base: model to start from; instead of `config.rerank.base`.
        out: folder that `sentence_transformers.CrossEncoder` loads; instead of `config.rerank.out`.
        config: the groups rerank, mine and data, as a FitConfig or nested or dotted keys: {"rerank.epochs": 2}.
        mode: "new" refuses a folder that exists, "overwrite" replaces it, "resume" goes on with the same call.

    Raises:
        BadInput: data, base or settings cannot be used, or the folder exists.
        Interrupted: Ctrl-C; `mode="resume"` goes on.
    """
    named = {"rerank.base": base and str(base), "rerank.out": out and str(out),
             "data.source": str(data) if isinstance(data, str | Path) else None}  # fmt: skip
    values, reporter = settings(config, named), reporter or Terminal()
    path = Path(values.rerank.out)
    place = path.parent / f".{path.name}.training"
    if _is_finished(path, place, mode):
        reporter.say(f"{path} is finished already")
        return RerankRun(path, json.loads((path / RECORD).read_text(encoding="utf-8")))
    work = _Work.open(values, data if data is not None else values.data.source, place, reporter, mode)
    with resumable(path):
        return work.run(path, mode)


def _is_finished(path: Path, place: Path, mode: Mode) -> bool:
    """Whether there is nothing left to do.

    Raises:
        BadInput: the folder, or what an interrupted training left beside it, is not what `mode` says.
    """
    check_place(path)
    if path.exists() and mode != "new":
        read_meta(path, KIND)
    if mode == "resume" and not (place / STARTED).exists():
        if path.exists():
            return True
        raise BadInput.at(path, expected="a training to go on with", found="none", do="start it without --resume")
    if mode == "new" and (path.exists() or place.exists()):
        found = "one that exists" if path.exists() else "an interrupted training of it"
        do = "choose another --out, or replace it with --overwrite" + ("" if path.exists() else ", or --resume")
        raise BadInput.at(path, expected="a new folder", found=found, do=do)
    return False


@dataclass(frozen=True)
class _Work:
    """One call: its settings, data, model, and the folder of its checkpoints."""

    config: FitConfig
    dataset: Dataset
    reranker: Reranker
    space: Space  # of the bi-encoder it is compared with
    place: Path
    identity: str

    @classmethod
    def open(cls, config: FitConfig, data: Any, place: Path, reporter: Reporter, mode: Mode) -> _Work:
        """Read and check everything; nothing is written yet."""
        if data is None:
            raise BadInput.at("data", expected="pairs to train on", found="none", do="give --data FILE_OR_FOLDER")
        rules = config.rerank
        dataset = ensure_splits(as_dataset(data, config.data), config.data)
        source = batch_source(dataset)
        policy = _policy(rules, place, mode)
        reranker = new_reranker(rules.base, rules.max_tokens, rules.seed, policy.device)
        other = rules.bi_encoder or (rules.base if kind_of(rules.base) == "bi-encoder" else "minilm")
        encoder = load_encoder(other, policy.device)
        identity = digest([reranker.fingerprint(), dataset.digest(), rules.model_dump_json(exclude=UNSEEN),
                           config.mine.rules().model_dump_json(), config.data.rules(),
                           policy.device.split(":")[0], policy.precision,
                           str(policy.budget_tokens)])  # fmt: skip
        space = Space(encoder, policy, open_store(encoder), reporter)
        work = cls(config, dataset, reranker, space, place, identity)
        if mode == "resume" and work.checkpoints.paths():
            work.checkpoints.check(identity)
        for notice in (*dataset.notices, *source.notices):
            reporter.say(f"data: {notice}")
        reporter.say(f"computing on {policy.device} in {policy.precision} ({policy.reason})")
        return work

    @property
    def checkpoints(self) -> Checkpoints:
        return Checkpoints(self.place / "checkpoints")

    def run(self, path: Path, mode: Mode) -> RerankRun:
        if mode == "overwrite":
            shutil.rmtree(self.place, ignore_errors=True)
        self.place.mkdir(parents=True, exist_ok=True)
        write_json(self.place / STARTED, {"precision": self.space.policy.precision})
        bm25 = BM25(self.dataset.documents.texts)
        dataset = with_negatives(self.dataset, self.config.mine, self.space.reporter)
        source = training_pairs(dataset, self.config.data)
        progress = self._train(source, bm25)
        record = self._record(source, progress, bm25)
        with writing(path, KIND, {"fingerprint": record["fingerprint"]}, overwrite=mode != "new") as folder:
            save_reranker(self.reranker, folder)
            write_json(folder / RECORD, record)
        shutil.rmtree(self.place, ignore_errors=True)
        return RerankRun(path, record)

    def _train(self, source: BatchSource, bm25: BM25) -> Progress:
        rules, space = self.config.rerank, self.space
        dev = dev_candidates(self.dataset, bm25, rules)
        quiet = replace(space, reporter=Silent())  # a bar of its own would break the training's
        trainer = RerankTrainer(self.reranker, source, rules, space.policy, self.checkpoints, self.identity,
                                lambda reranker: dev.metric(reranker, quiet))  # fmt: skip
        if self.checkpoints.paths():
            trainer.resume()
            space.reporter.say(f"resumed after step {trainer.progress.step} of {trainer.steps}")
        with space.reporter.bar("training", trainer.steps) as advance:
            advance(trainer.progress.step, "")
            trainer.on_step = lambda progress: _tell(space.reporter, progress, advance)
            try:
                return trainer.run()
            except Diverged as error:
                raise NearfarError(f"{error}; lower rerank.learning_rate, and start again with --overwrite") from error

    def _record(self, source: BatchSource, progress: Progress, bm25: BM25) -> dict[str, Any]:
        rules, policy = self.config.rerank, self.space.policy
        found = measured(self.reranker, self.space, self.dataset, bm25, rules)
        return {
            **found.record(),
            "better": decide(found.comparisons["bi_encoder"]) == "better",
            "depth": rules.depth,
            "train_seconds": round(progress.seconds, 3),
            "steps": progress.step,
            "best_step": progress.best_step,
            "losses": progress.losses,
            "dev": progress.dev,
            "data": {"name": self.dataset.name, "digest": self.dataset.digest(), "pairs": len(source),
                     "negatives": len(source.negatives.values)},
            "fingerprint": self.reranker.fingerprint(),
            "bi_encoder": self.space.encoder.fingerprint(),
            "policy": {"device": policy.device, "precision": policy.precision},
            "versions": versions(),
            "config": self.config.model_dump(mode="json", include={"data", "mine", "rerank"}),
        }  # fmt: skip


def _policy(rules: RerankConfig, place: Path, mode: Mode) -> Policy:
    """As chosen when the training began: another probe may find another precision."""
    precision = rules.precision
    if mode == "resume" and precision is None:
        precision = json.loads((place / STARTED).read_text(encoding="utf-8"))["precision"]
    return choose_policy(rules.device, precision)


def _tell(reporter: Reporter, progress: Progress, advance: Advance) -> None:
    advance(1, f"loss {progress.losses[-1]:.3f}")
    if progress.dev[-1][0] == progress.step:
        reporter.say(f"step {progress.step}: loss {progress.losses[-1]:.3f}, dev ndcg@10 {progress.dev[-1][1]:.3f}, "
                     f"{progress.seconds:.0f} s")  # fmt: skip
