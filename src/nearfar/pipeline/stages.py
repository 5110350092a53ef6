"""Stages of a recipe: what a run does one after the other, as settings."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

from pydantic import ConfigDict, Field, field_validator

from nearfar.core.config import Config, nearest
from nearfar.core.errors import BadInput
from nearfar.data.augment import AugmentConfig
from nearfar.data.cloze import ClozeConfig
from nearfar.data.mine import MiningConfig

RERANKER = "reranker"  # the cross-encoder that a stage before has trained
CURRENT = "current"  # the model as the stages before have left it
WHOLE_RUN = ("device", "precision", "budget_tokens", "shard")  # settings of training that are no stage's own


class ChangingStage(Config):
    """A stage whose own keys change the run's settings of its kind, for this stage alone."""

    model_config = ConfigDict(extra="allow")

    whole_run: ClassVar[tuple[str, ...]] = WHOLE_RUN  # what no stage may change

    @property
    def changes(self) -> dict[str, Any]:
        """Settings that hold in this stage alone."""
        return dict(self.model_extra or {})

    def check(self, where: str) -> None:
        """Refuse what belongs to the whole run.

        Raises:
            BadInput: a change names such a setting.
        """
        if found := next((name for name in self.whole_run if name in self.changes), None):
            raise BadInput.at(where, expected="settings of one stage", found=f"'{found}', which is the whole run's",
                              do=f"set train.{found}" if found in WHOLE_RUN else "leave it out")  # fmt: skip


class TrainStage(ChangingStage):
    """Train the current model on the current data; keys of `train` beside these change them for this stage alone."""

    kind: Literal["train"] = "train"
    rate: float = Field(default=1.0, gt=0, allow_inf_nan=False)
    """Peak learning rate as a share of the run's own, so that a recipe suits every kind of encoder."""

    @classmethod
    def of(cls, changes: Mapping[str, Any], *, rate: float = 1.0) -> TrainStage:
        """Training with these changes of `train`."""
        return cls.model_validate({**changes, "rate": rate})

    def without(self, names: Collection[str]) -> TrainStage:
        """The same, leaving these settings of `train` to the run; a learning rate that is left to it is the highest."""
        rate = min(self.rate, 1.0) if "learning_rate" in names else self.rate
        return self.of({key: value for key, value in self.changes.items() if key not in names}, rate=rate)


class MineStage(MiningConfig):
    """Mine hard negatives; they take the place of those that an earlier stage mined."""

    kind: Literal["mine"] = "mine"
    model: str = CURRENT
    """What ranks the candidates: the model as it is by then (current), bm25, minilm, a run, a folder, a hub name."""


class AugmentStage(AugmentConfig):
    """Add rewritten queries to the training data."""

    kind: Literal["augment"] = "augment"


class ClozeStage(ClozeConfig):
    """Add passages of the documents to the training data, each as a query for the document it is of."""

    kind: Literal["cloze"] = "cloze"


class RerankStage(ChangingStage):
    """Train a cross-encoder on the current data; keys of `rerank` beside these change them for this stage alone."""

    whole_run = (*WHOLE_RUN, "out")

    kind: Literal["rerank"] = "rerank"


class TeachStage(Config):
    """Score the training pairs and their negatives with teachers, for losses that distil them."""

    kind: Literal["teach"] = "teach"
    models: tuple[str, ...] = Field(default=(RERANKER,), min_length=1)
    """The teachers: what the stage before has trained (reranker), a folder, a run, minilm, a hub name."""


@dataclass(frozen=True)
class Merge:
    """A way to merge models."""

    purpose: str
    source: str


MERGES: Mapping[str, Merge] = {
    "uniform": Merge("the mean of all models", "model soups (Wortsman et al., 2022)"),
    "greedy": Merge(
        "the mean of those that help: the best on the dev set first, each other one if it does not make it worse",
        "model soups (Wortsman et al., 2022)",
    ),
    "delta": Merge("each weight by how far the models moved it from their base", "after CoDiEmb (Zhang et al., 2025)"),
}


class MergeStage(Config):
    """Merge the models of all stages of training so far into one."""

    kind: Literal["merge"] = "merge"
    method: str = "greedy"
    """How: uniform, greedy (by the dev set), or delta (by how far each weight moved)."""
    with_base: bool = False
    """Take the base as one of the models too."""

    @field_validator("method")
    @classmethod
    def _known_method(cls, value: str) -> str:
        if value not in MERGES:
            raise ValueError(f"a known method ({nearest(value, list(MERGES))})")
        return value


Stage = Annotated[
    TrainStage | MineStage | AugmentStage | ClozeStage | RerankStage | TeachStage | MergeStage,
    Field(discriminator="kind"),
]


def check_order(stages: Sequence[Stage]) -> None:
    """Refuse stages that come before what they need.

    Raises:
        BadInput: there are too few models to merge, or no reranker to teach.
    """
    kinds = [stage.kind for stage in stages]
    for number, stage in enumerate(stages):
        trained = kinds[:number].count("train")
        if isinstance(stage, MergeStage) and trained + stage.with_base < 2:
            raise BadInput.at(f"stages.{number}", expected="two stages of training before it, or with_base",
                              found=f"{trained}", do="train more first")  # fmt: skip
        if isinstance(stage, TeachStage) and RERANKER in stage.models and "rerank" not in kinds[:number]:
            raise BadInput.at(f"stages.{number}", expected=f"a stage of kind rerank before it, for '{RERANKER}'",
                              found="none", do="add one, or name other models")  # fmt: skip
