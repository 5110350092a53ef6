"""The stages around teachers: train a cross-encoder from the pairs, and score them for losses that distil it."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from nearfar.data.config import DataConfig
from nearfar.data.teachers import TeachersConfig
from nearfar.data.training import training_pairs
from nearfar.encoder.reranker import new_reranker
from nearfar.pipeline.config import RerankConfig
from nearfar.pipeline.mine import with_negatives
from nearfar.pipeline.rerank import STARTED, rerank_train
from nearfar.pipeline.stages import RERANKER, RerankStage, TeachStage
from nearfar.pipeline.supply import cache_of
from nearfar.pipeline.teach import facts
from nearfar.pipeline.teachers import Desk, open_teachers, scores_of
from nearfar.pipeline.work import Made, State, Work, keep_pairs, with_pairs


class Reranking(Work):
    """Train a cross-encoder; it is measured on the dev set alone, beside the model trained last."""

    stage: RerankStage

    @property
    def title(self) -> str:
        return f"a cross-encoder from {self._settings.base}"

    @property
    def _settings(self) -> RerankConfig:
        """The run's settings of rerankers with those of this stage, for its device and beside its model."""
        policy, found = self.session.space.policy, self.session.config.rerank_of(self.stage)
        changes: dict[str, Any] = {"device": policy.device, "precision": policy.precision}
        if found.bi_encoder is None and self.state.trained:
            changes["bi_encoder"] = str(self.state.trained[-1])
        return found.model_copy(update=changes)

    def inputs(self) -> Sequence[str]:
        rules = self._settings
        base = new_reranker(rules.base, rules.max_tokens, rules.seed, self.session.space.policy.device)
        settings = rules.model_dump_json(exclude={"base", "out", "bi_encoder", "checkpoint_minutes", "device"})
        given = self.session.config
        mining, chosen = given.mine.rules().model_dump_json(), given.data.select.model_dump_json()
        return [settings, mining, chosen, base.fingerprint(), self.state.dataset.digest()]

    def make(self, name: str) -> Made:
        out, splits = self._place(name) / RERANKER, self.state.dataset.splits
        begun = out.exists() or (out.parent / f".{RERANKER}.training" / STARTED).exists()
        data = replace(self.state.dataset, splits={**splits, "test": splits["dev"]})  # test is for the end of the run
        given = self.session.config
        config = {"rerank": self._settings.model_dump(), "mine": given.mine.model_dump(),
                  "data": {"select": given.data.select.model_dump()}}  # fmt: skip
        run = rerank_train(data, out=out, config=config, mode="resume" if begun else "new",
                           reporter=self.session.space.reporter)  # fmt: skip
        return Made({"metrics": run.record["metrics"]}, lambda folder: shutil.copytree(out, folder / RERANKER))

    def after(self, folder: Path) -> State:
        return replace(self.state, reranker=folder / RERANKER)

    def clear(self, name: str) -> None:
        shutil.rmtree(self._place(name), ignore_errors=True)

    def _place(self, name: str) -> Path:
        place = self.session.folder / "checkpoints" / name
        place.mkdir(parents=True, exist_ok=True)
        return place


class Teaching(Work):
    """Score the training pairs and their negatives with teachers."""

    stage: TeachStage

    @property
    def title(self) -> str:
        return f"scores of {' and '.join(self.stage.models)}"

    @property
    def _settings(self) -> TeachersConfig:
        """The run's settings of teachers, with the models of this stage."""
        models = tuple(str(self.state.reranker) if name == RERANKER else name for name in self.stage.models)
        return self.session.config.teachers.model_copy(update={"models": models})

    def inputs(self) -> Sequence[str]:
        policy, config = self.session.space.policy, self.session.config
        fingerprints = [teacher.fingerprint for teacher in open_teachers(self._settings, policy.device)]
        rules = [config.mine.rules().model_dump_json(), config.data.rules()]
        return [*rules, policy.precision, self.state.dataset.digest(), *fingerprints]

    def make(self, name: str) -> Made:  # noqa: ARG002
        policy, reporter = self.session.space.policy, self.session.space.reporter
        dataset = with_negatives(self.state.dataset, self.session.config.mine, reporter)
        source = training_pairs(dataset, self.session.config.data)
        teachers = open_teachers(self._settings, policy.device)
        desk = Desk(cache_of(self.session), policy, reporter)  # where the trainings after it look
        found = scores_of(source, teachers, self._settings, DataConfig(), desk)
        assert found is not None  # noqa: S101  # there is a teacher
        return Made(facts(source, found), partial(keep_pairs, dataset.splits["train"]))

    def after(self, folder: Path) -> State:
        dataset = with_pairs(self.state.dataset, folder)
        return replace(self.state, dataset=dataset, teachers=self._settings.models)
