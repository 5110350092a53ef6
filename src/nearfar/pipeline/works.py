"""What each kind of stage does: its inputs, its work, and what it leaves to the next stage."""

from __future__ import annotations

import copy
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path

from nearfar.core.artifact import read_meta
from nearfar.data import augment, cloze
from nearfar.data.augment import Rewritten, rewritten, with_rewritten
from nearfar.data.cloze import Passage, passages, with_passages
from nearfar.data.training import training_pairs
from nearfar.encoder.load import load_encoder
from nearfar.encoder.save import save_encoder
from nearfar.pipeline.config import MineConfig
from nearfar.pipeline.merge import blended
from nearfar.pipeline.mine import mine, system_identity
from nearfar.pipeline.plan import check_alike, seen_texts, train_of
from nearfar.pipeline.rankers import Model
from nearfar.pipeline.session import Session, identity_of
from nearfar.pipeline.stages import CURRENT, AugmentStage, ClozeStage, MergeStage, MineStage, TrainStage
from nearfar.pipeline.training import train
from nearfar.pipeline.work import Made, State, Work, keep_pairs, with_pairs
from nearfar.pipeline.works_teachers import Reranking, Teaching
from nearfar.train.adapt import adapted

MODEL = "model"  # in a stage's folder: what it trained or merged
SPLITS = {"train": "training", "dev": "dev"}  # that queries are rewritten in
QUERIES = "queries.jsonl"  # rewritten queries or passages, a line each


class Training(Work):
    """Train the current model on the current data."""

    stage: TrainStage
    together = True

    @property
    def title(self) -> str:
        config = self._session("").config.train
        return f"{config.epochs} epochs, {config.hard_negatives} hard negatives a query"

    def inputs(self) -> Sequence[str]:
        return [self._session("").identity]

    def make(self, name: str) -> Made:
        session = self._session(name)
        given, config, workers = self.state.encoder, session.config.train, session.workers
        encoder = replace(given, model=copy.deepcopy(given.model))  # the one before it may be needed again
        adaptation = adapted(encoder, config, seen_texts(session.source), session.space.policy)
        if config.lora.rank:
            check_alike(workers, encoder.fingerprint())
        if line := adaptation.line():
            session.space.reporter.say(line)
        session = replace(session, space=replace(session.space, encoder=encoder), adaptation=adaptation).resumed()
        progress = train(session, self.dev).progress
        adaptation.release()
        record = {"before": progress.dev[0][1], "after": progress.best, "progress": asdict(progress)}
        return Made(record, lambda folder: save_encoder(encoder, folder / MODEL, card=""))

    def after(self, folder: Path) -> State:
        encoder = load_encoder(folder / MODEL, self.session.space.policy.device)
        return replace(self.state, encoder=encoder, trained=(*self.state.trained, folder / MODEL))

    def clear(self, name: str) -> None:
        self._session(name).checkpoints.clear()

    def _session(self, name: str) -> Session:
        """The run's session with this stage's settings and data."""
        given, dataset, encoder = self.session, self.state.dataset, self.state.encoder
        config, models = given.config, self.state.teachers
        teachers = config.teachers.model_copy(update={"models": models}) if models else config.teachers
        settings = config.model_copy(update={"train": train_of(config, self.stage, encoder), "teachers": teachers})
        identity = identity_of(settings, encoder, dataset, given.space.policy)
        return replace(given, config=settings, dataset=dataset, identity=identity,
                       source=training_pairs(dataset, settings.data, settings.train.needs),
                       stage=name)  # fmt: skip


class Mining(Work):
    """Mine hard negatives for the training queries."""

    stage: MineStage

    @property
    def title(self) -> str:
        return f"{self.stage.negatives} hard negatives a query, ranked by {self.stage.model}"

    @property
    def _model(self) -> Model:
        return self.state.encoder if self.stage.model == CURRENT else self.stage.model

    def inputs(self) -> Sequence[str]:
        policy = self.session.space.policy
        rules = self.stage.model_dump_json(exclude={"kind", "model"})
        return [rules, system_identity(self._model, policy), self.state.own.digest(), policy.precision]

    def make(self, name: str) -> Made:  # noqa: ARG002
        policy, reporter = self.session.space.policy, self.session.space.reporter
        rules = self.stage.model_dump(exclude={"kind", "model"})
        config = MineConfig(**rules, device=policy.device, precision=policy.precision)
        found = mine(self._model, self.state.own, config=config, reporter=reporter)
        record = {key: found.record[key] for key in ("queries", "queries_with", "negatives", "left_out", "suspected")}
        reporter.say(f"mined {record['negatives']:,} negatives for {record['queries_with']:,} of "
                     f"{record['queries']:,} queries")  # fmt: skip
        return Made(record, partial(keep_pairs, found.dataset.splits["train"]))

    def after(self, folder: Path) -> State:
        return replace(self.state, dataset=with_pairs(self.state.own, folder))


class Augmenting(Work):
    """Add rewritten queries to the training data."""

    stage: AugmentStage

    @property
    def title(self) -> str:
        which = "training and dev queries, in their place" if self.stage.replace else "training queries"
        return f"{' and '.join(self.stage.kinds)} {self.stage.share:.0%} of the {which}"

    def inputs(self) -> Sequence[str]:
        return [str(augment.VERSION), self.stage.model_dump_json(), self.state.own.digest()]

    def make(self, name: str) -> Made:  # noqa: ARG002
        made = rewritten(self.state.own, self.stage)
        counts = Counter(one.split for one in made)
        told = " and ".join(f"{counts[split]:,} {name} queries" for split, name in SPLITS.items() if counts[split])
        self.session.space.reporter.say(f"rewrote {told or 'no queries'}")
        return Made({"queries": len(made)}, partial(_write, made))

    def after(self, folder: Path) -> State:
        made = [Rewritten(**line) for line in _read(folder)]
        state, after = self.state, partial(with_rewritten, made=made, replacing=self.stage.replace)
        return replace(state, dataset=after(state.dataset), own=after(state.own))


class Cropping(Work):
    """Add passages of the documents as training queries."""

    stage: ClozeStage

    @property
    def title(self) -> str:
        if not self.stage.passages:
            return "no passages as queries any more"
        return f"{self.stage.passages} passage(s) of {self.stage.share:.0%} of the documents as queries"

    def inputs(self) -> Sequence[str]:
        return [str(cloze.VERSION), self.stage.model_dump_json(), self.state.own.digest()]

    def make(self, name: str) -> Made:  # noqa: ARG002
        made = passages(self.state.own, self.stage)
        if self.stage.passages:
            self.session.space.reporter.say(f"drew {len(made):,} passages")
        return Made({"queries": len(made)}, partial(_write, made))

    def after(self, folder: Path) -> State:
        made = [Passage(**line) for line in _read(folder)]
        state = self.state
        return replace(state, dataset=with_passages(state.dataset, made), own=with_passages(state.own, made))


def _write(made: Sequence[Rewritten | Passage], folder: Path) -> None:
    lines = "".join(json.dumps(asdict(one), ensure_ascii=False) + "\n" for one in made)
    (folder / QUERIES).write_text(lines, encoding="utf-8")


def _read(folder: Path) -> list[dict[str, str]]:
    return [json.loads(line) for line in (folder / QUERIES).read_text(encoding="utf-8").splitlines()]


class Merging(Work):
    """Merge the models of the stages of training so far."""

    stage: MergeStage

    @property
    def title(self) -> str:
        base = " and the base" if self.stage.with_base else ""
        return f"{self.stage.method}, {len(self.state.trained)} models{base}"

    def inputs(self) -> Sequence[str]:
        settings = [self.stage.model_dump_json(), self.session.config.eval.model_dump_json()]
        fingerprints = [read_meta(path, "model")["fingerprint"] for path in self.state.trained]
        return [*settings, self.session.dataset.digest(), self.session.space.encoder.fingerprint(), *fingerprints]

    def make(self, name: str) -> Made:  # noqa: ARG002
        space = self.session.space
        models = [load_encoder(path, space.policy.device) for path in self.state.trained]
        names = [path.parent.name for path in self.state.trained]
        if self.stage.with_base:
            models, names = [space.encoder, *models], ["the base", *names]
        metric = partial(self.dev.metric, policy=space.policy, store=space.store)
        soup = blended(names, models, self.stage.method, space.encoder, metric)
        record = {"members": [names[number] for number in soup.members], "before": metric(self.state.encoder),
                  "after": soup.metric}  # fmt: skip
        return Made(record, lambda folder: save_encoder(soup.encoder, folder / MODEL, card=""))

    def after(self, folder: Path) -> State:
        return replace(self.state, encoder=load_encoder(folder / MODEL, self.session.space.policy.device))


WORKS: Mapping[str, type[Work]] = {
    "train": Training,
    "mine": Mining,
    "augment": Augmenting,
    "cloze": Cropping,
    "rerank": Reranking,
    "teach": Teaching,
    "merge": Merging,
}
