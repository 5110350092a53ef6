"""One configuration for every verb: the same fields in Python, in YAML and on the command line."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import yaml
from pydantic import Field, field_validator, model_validator

from nearfar.compress.learning import Learning
from nearfar.core.config import Config, merged, nearest
from nearfar.core.errors import BadInput, excerpt
from nearfar.data.config import DataConfig
from nearfar.data.mine import MiningConfig
from nearfar.data.teachers import TeachersConfig
from nearfar.encoder.config import EncoderConfig
from nearfar.encoder.precision import Precision
from nearfar.encoder.prompts import PromptsConfig
from nearfar.encoder.static import StaticConfig
from nearfar.evaluate.metrics import parse
from nearfar.pipeline.recipes import RECIPES
from nearfar.pipeline.stages import RerankStage, Stage, TrainStage, check_order
from nearfar.train.config import TrainConfig
from nearfar.train.rerank_config import RerankTrainConfig

METRICS = ("ndcg@10", "mrr@10", "map@100", "recall@10", "recall@100")
MAIN_METRIC = "ndcg@10"
LEXICAL = "bm25"
MOST_YAML = 16 << 20  # characters of a file


class EvalConfig(Config):
    metrics: tuple[str, ...] = METRICS
    """Metrics to report: ndcg, mrr, map or recall, each with a cut-off; ndcg@10 is always among them."""
    dev_documents: int = Field(default=1000, ge=10)
    """Documents searched by evaluations during training: the dev set's relevant ones, and others drawn at random."""
    dev_queries: int = Field(default=500, ge=1)
    """Dev queries used by the evaluations during training, at most."""

    @field_validator("metrics")
    @classmethod
    def _parsed(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for name in value:
            parse(name)
        return tuple(dict.fromkeys((MAIN_METRIC, *value)))


class MineConfig(MiningConfig):
    model: str = LEXICAL
    """What ranks the candidates: bm25, minilm, a run, a model folder, or a hub name."""
    out: str = "mined"
    """Folder to write: the data with its negatives, and the suspected false negatives."""
    filter: str | None = None
    """A second model (named as the first): what it scores too near to the positive is no negative."""
    filter_margin: float = Field(default=0.0, ge=0, lt=1)
    """The second model's relative margin; 0 drops what it scores above the positive."""
    filter_max_score: float | None = None
    """The highest score the second model may give to a negative."""
    device: str | None = None
    """cpu, cuda, cuda:1, mps; left empty: the fastest there is."""
    precision: Precision | None = None
    """fp32 or bf16 for the transformer's products; left empty: bf16 where it is measured to be faster."""

    def rules(self) -> MiningConfig:
        """The part that decides how negatives are chosen from a ranking."""
        return MiningConfig(**self.model_dump(include=set(MiningConfig.model_fields)))

    def judging(self) -> MiningConfig:
        """The second model's limits."""
        return MiningConfig(relative_margin=self.filter_margin, max_score=self.filter_max_score)


class RerankConfig(RerankTrainConfig):
    base: str = "minilm"
    """Model to start from: minilm, a run, a folder of a transformer or cross-encoder, or a hub name."""
    out: str = "reranker"
    """Folder to write: a cross-encoder, and what was measured."""
    bi_encoder: str | None = None
    """Bi-encoder to compare with and to rerank; left empty: the base, or minilm where that is a cross-encoder."""
    depth: int = Field(default=50, ge=10)
    """Candidates of a query that are reranked."""
    test_queries: int = Field(default=300, ge=1)
    """Test queries measured on, at most, drawn at random."""
    dev_queries: int = Field(default=100, ge=1)
    """Dev queries of the evaluations during training, at most."""


class FitConfig(Config):
    base: str = "minilm"
    """Model to start from: minilm, static (a fresh token table), a model folder, or a hub name such as owner/model."""
    out: str = "run"
    """Run folder to write."""
    recipe: str | None = None
    """Stages by name: quick, balanced, strong, static; left empty: one stage of training with the settings below."""
    stages: tuple[Stage, ...] = ()
    """Stages of one's own, in their order, instead of a recipe: [{kind: mine, model: bm25}, {kind: train}]."""
    curves: str | None = None
    """Where the curves of training go: a file of lines (curves.jsonl), or a folder for TensorBoard."""
    data: DataConfig = DataConfig()
    encoder: EncoderConfig = EncoderConfig()
    train: TrainConfig = TrainConfig()
    eval: EvalConfig = EvalConfig()
    static: StaticConfig = StaticConfig()
    prompts: PromptsConfig = PromptsConfig()
    mine: MineConfig = MineConfig()
    teachers: TeachersConfig = TeachersConfig()
    rerank: RerankConfig = RerankConfig()
    compress: Learning = Learning()

    @field_validator("recipe")
    @classmethod
    def _known_recipe(cls, value: str | None) -> str | None:
        if value is not None and value not in RECIPES:
            raise ValueError(f"a known recipe ({nearest(value, list(RECIPES))})")
        return value

    @model_validator(mode="after")
    def _stages_agree(self) -> Self:
        if self.recipe and self.stages:
            raise BadInput.at("stages", expected="none beside a recipe", found=f"the recipe '{self.recipe}' too",
                              do="leave one of them out")  # fmt: skip
        check_order(self.plan)
        for number, stage in enumerate(self.plan):
            if isinstance(stage, TrainStage):
                stage.check(f"stages.{number}")
                lora = self.train_of(stage, f"stages.{number}").lora
                if self.has_graph and lora.rank and lora.keep:
                    raise BadInput.at("train.lora.keep", expected="false in a run of several stages", found="true",
                                      do="leave it out: an adapter of a later stage does not fit the base")  # fmt: skip
            elif isinstance(stage, RerankStage):
                stage.check(f"stages.{number}")
                self.rerank_of(stage, f"stages.{number}")
        return self

    @property
    def plan(self) -> tuple[Stage, ...]:
        """The stages, of a recipe without what this configuration sets itself; none: training as it stands here."""
        if self.recipe is None:
            return self.stages
        default = TrainConfig()
        own = {name for name, value in self.train if value != getattr(default, name)}
        return tuple(stage.without(own) if isinstance(stage, TrainStage) else stage
                     for stage in RECIPES[self.recipe].stages)  # fmt: skip

    @property
    def has_graph(self) -> bool:
        """Whether there is more to do than one stage of training."""
        return [stage.kind for stage in self.plan] not in ([], ["train"])

    def train_of(self, stage: TrainStage, where: str = "stages") -> TrainConfig:
        """The settings of training in a stage, but for its rate.

        Raises:
            BadInput: they do not go together.
        """
        return TrainConfig.parse(merged(self.train.model_dump(exclude_unset=True), stage.changes), where)

    def rerank_of(self, stage: RerankStage, where: str = "stages") -> RerankConfig:
        """The settings of the cross-encoder in a stage.

        Raises:
            BadInput: they do not go together.
        """
        return RerankConfig.parse(merged(self.rerank.model_dump(exclude_unset=True), stage.changes), where)


def settings(config: FitConfig | Mapping[str, Any] | None, changes: Mapping[str, Any]) -> FitConfig:
    """`config`, with those `changes` (dotted keys) that are given: not None."""
    values = config.model_dump(exclude_unset=True) if isinstance(config, FitConfig) else merged({}, config or {})
    given = {key: value for key, value in changes.items() if value is not None}
    return FitConfig.parse(merged(values, given), "configuration")


def read_config(path: Path) -> dict[str, Any]:
    """Read a YAML file into plain values.

    Raises:
        BadInput: missing, not YAML, or not a mapping.
    """
    try:
        with path.open(encoding="utf-8") as file:  # which may be a pipe of the shell's
            text = file.read(MOST_YAML + 1)
        if len(text) > MOST_YAML:
            raise ValueError(f"more than {MOST_YAML:,} characters")
        values = yaml.safe_load(text)
    except FileNotFoundError:
        raise BadInput.at(path, expected="a YAML file", found="none", do="run 'nearfar init' to write one") from None
    except (OSError, ValueError, RecursionError) as error:  # of its bytes, a date that is none, or nested without end
        raise BadInput.at(
            path, expected="a readable YAML file", found=excerpt(str(error)), do="check the file"
        ) from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        problem = getattr(error, "problem", None) or "other text"
        line = mark.line + 1 if mark else None
        raise BadInput.at(path, line=line, expected="YAML", found=problem, do="mend the line") from None
    if values is not None and not isinstance(values, dict):
        raise BadInput.at(path, expected="keys and values", found=type(values).__name__, do="see 'nearfar init'")
    return values or {}


def template() -> str:
    """Return the default configuration as YAML with a comment above every field."""
    return "\n".join(_lines(FitConfig(), "")) + "\n"


def _lines(config: Config, indent: str) -> list[str]:
    lines = []
    for name, field in type(config).model_fields.items():
        value = getattr(config, name)
        if field.description:
            lines.append(f"{indent}# {' '.join(field.description.split())}")
        if isinstance(value, Config):
            lines += [f"{indent}{name}:", *_lines(value, indent + "  ")]
        else:
            lines.append(f"{indent}{name}: {_scalar(value)}")
    return lines


def _scalar(value: Any) -> str:
    plain = list(value) if isinstance(value, tuple) else value
    return yaml.safe_dump(plain, default_flow_style=True).splitlines()[0] if plain is not None else ""
