"""Everything that decides a training run, with the ranges the guide gives."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal

from pydantic import ConfigDict, Field, ValidationInfo, field_validator

from nearfar.core.config import Config
from nearfar.core.errors import BadInput
from nearfar.core.targets import Need
from nearfar.data.curriculum import CurriculumConfig
from nearfar.data.sampler import BatchBy, MixingConfig
from nearfar.encoder.lora import LoraConfig
from nearfar.encoder.precision import Precision
from nearfar.losses import Direction, LossSetting, Partition, Term, terms_of
from nearfar.train.codes import CodesConfig
from nearfar.train.mining import RefreshConfig
from nearfar.train.mixing import MixedNegativesConfig
from nearfar.train.queue import QueueConfig

STATIC_LEARNING_RATE = 0.005  # a token table starts from noise and each row is seen seldom
TRANSFORMER_LEARNING_RATE = 5e-5
LORA_LEARNING_RATE = 2e-4  # few weights, and what they add starts from nothing

# Typical ranges of contrastive training; outside them a run is warned about, not refused.
RANGES = {
    "learning_rate": (1e-5, 2e-4),
    "temperature": (0.02, 0.1),
    "batch_size": (64, 8192),
    "max_query_tokens": (16, 512),
    "max_document_tokens": (128, 512),
    "hard_negatives": (0, 20),
}


class TrainConfig(Config):
    model_config = ConfigDict(allow_inf_nan=False)

    loss: LossSetting = "info_nce"
    """Loss to train with: a name ('nearfar list losses'), {name: {option: value}}, or {name: weight, name: weight}."""
    task_losses: dict[str, LossSetting] = Field(default_factory=dict)
    """Other losses for the batches of some tasks, such as {sts: cosent}; needs batch_by: task."""
    epochs: int = Field(default=2, ge=1)
    """Passes over the training pairs."""
    batch_size: int = Field(default=256, ge=2)
    """Pairs in a batch: each query sees every other document of the batch as a negative (64 to 8192)."""
    accumulate: int = Field(default=1, ge=1)
    """Batches whose mean gradient makes one step of the optimizer; negatives stay those of one batch."""
    learning_rate: float | None = Field(default=None, gt=0)
    """Peak learning rate (1e-5 to 2e-4); left empty: 5e-5, 2e-4 with LoRA, or 0.005 for a static encoder."""
    freeze: int = Field(default=0, ge=0)
    """Layers from the bottom that are not trained, nor are the embeddings below them; 0: everything is trained."""
    lora: LoraConfig = LoraConfig()
    """Train low-rank matrices beside the weights instead of the weights."""
    sides: Literal["both", "query"] = "both"
    """Whose encoder is trained: that of both, or of queries alone (query), which needs encoder.sharing: separate."""
    batch_by: BatchBy = "none"
    """Batches of one source or task each (source, task), of documents near to each other (near), or of all (none)."""
    mixing: MixingConfig = MixingConfig()
    """Shares of the sources or tasks in the batches of an epoch; left alone: every pair once."""
    curriculum: CurriculumConfig = CurriculumConfig()
    """Easy pairs before hard ones."""
    temperature: float = Field(default=0.05, gt=0)
    """Divides similarities before the softmax (0.02 to 0.1); lower is sharper."""
    learn_temperature: bool = False
    """Learn the temperature from that start, as CLIP does."""
    directions: tuple[Direction, ...] = Field(default=("query_to_document",), min_length=1)
    """Negatives of a pair: query_to_document, document_to_query, query_to_query, document_to_document."""
    partition: Partition = "joint"
    """Several directions: joint (one softmax over all their negatives) or per_direction (the mean of their losses)."""
    matryoshka: tuple[int, ...] = ()
    """Numbers of leading dimensions that must work alone too, such as [64, 128]; the whole vector is always trained."""
    matryoshka_weights: tuple[float, ...] = ()
    """Weight of each of them in the loss, the whole vector having 1; left empty: 1 each."""
    matryoshka_layers: tuple[int, ...] = ()
    """Layers whose vectors must work alone too, such as [3] of 6: what is left when the model is cut there."""
    queue: QueueConfig = QueueConfig()
    """Documents of earlier batches as further negatives."""
    mixed_negatives: MixedNegativesConfig = MixedNegativesConfig()
    """Negatives mixed of each query's hardest ones."""
    codes: CodesConfig = CodesConfig()
    """Train through the codes that documents are kept as."""
    hard_negatives: int = Field(default=1, ge=0)
    """Judged negatives drawn for each query and epoch, where the data has them (0 to 20)."""
    mine: RefreshConfig = RefreshConfig()
    """Hard negatives mined with the model in training; they join the judged ones that hard_negatives draws from."""
    max_query_tokens: int = Field(default=128, ge=4)
    """Tokens kept of a query in training (16 to 512)."""
    max_document_tokens: int = Field(default=256, ge=4)
    """Tokens kept of a document in training (128 to 512); never more than the model can read."""
    weight_decay: float = Field(default=0.01, ge=0)
    """AdamW weight decay; biases and normalisation weights have none."""
    warmup: float = Field(default=0.1, ge=0, lt=1)
    """Share of the steps in which the learning rate rises, before it falls along a cosine."""
    clip_norm: float = Field(default=1.0, gt=0)
    """Largest norm of the gradient."""
    evaluations: int = Field(default=4, ge=1)
    """Evaluations on the dev set during training; the best checkpoint is kept."""
    patience: int = Field(default=2, ge=1)
    """Stop after this many evaluations in a row without a better one."""
    monitor: Literal["warn", "stop", "off"] = "warn"
    """Look for failures during training: say so (warn), end the training at the first one (stop), or do not look."""
    checkpoint_minutes: float = Field(default=2.0, ge=0)
    """Minutes between checkpoints that `--resume` can go on from; 0 writes one after every step."""
    seed: int = Field(default=0, ge=0)
    """Seed of everything random."""
    device: str | None = None
    """cpu, cuda, cuda:1, mps; left empty: the fastest there is."""
    precision: Precision | None = None
    """fp32 or bf16 for the transformer's products; left empty: bf16 where it is measured to be faster."""
    budget_tokens: int = Field(default=0, ge=0)
    """Padded tokens in a micro-batch; 0: what suits the device."""
    shard: bool = False
    """Spread weights, gradients and optimizer state over the processes of torchrun, for models that do not fit."""
    keep_gib: float | None = Field(default=None, ge=0, le=1e6)
    """Memory in GiB for activations kept instead of computed twice; left empty: a third of what is free."""

    @field_validator("loss", mode="before")
    @classmethod
    def _known_loss(cls, value: LossSetting) -> LossSetting:
        terms_of(value)
        return value

    @field_validator("task_losses", mode="before")
    @classmethod
    def _known_losses(cls, value: dict[str, LossSetting]) -> dict[str, LossSetting]:
        for task, setting in value.items() if isinstance(value, Mapping) else ():
            terms_of(setting, f"train.task_losses.{task}")
        return value

    @field_validator("batch_by")
    @classmethod
    def _one_task(cls, value: BatchBy, others: ValidationInfo) -> BatchBy:
        if others.data.get("task_losses") and value != "task":
            raise ValueError("task, as train.task_losses is set")
        return value

    @field_validator("mine")
    @classmethod
    def _drawn(cls, value: RefreshConfig, info: ValidationInfo) -> RefreshConfig:
        if value.every_steps and info.data.get("hard_negatives") == 0:
            raise ValueError("hard_negatives of 1 or more, to draw from what is mined")
        return value

    @field_validator("queue", "mixed_negatives", "codes")
    @classmethod
    def _of_one_layer(cls, value: Any, others: ValidationInfo) -> Any:
        if others.data.get("matryoshka_layers") and value != type(value)():
            raise ValueError("its defaults, as train.matryoshka_layers is set")
        return value

    @field_validator("directions", "matryoshka", "matryoshka_layers")
    @classmethod
    def _different(cls, value: tuple[Any, ...]) -> tuple[Any, ...]:
        if len(set(value)) < len(value):
            raise ValueError("different entries")
        return value

    @field_validator("matryoshka", "matryoshka_layers")
    @classmethod
    def _counts(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        if any(dimensions < 1 for dimensions in value):
            raise ValueError("numbers of at least 1")
        return value

    @field_validator("matryoshka_weights")
    @classmethod
    def _one_for_each(cls, value: tuple[float, ...], others: ValidationInfo) -> tuple[float, ...]:
        count = len(others.data.get("matryoshka", ()))
        if value and (len(value) != count or min(value) <= 0):
            raise ValueError(f"{count} numbers above 0, one for each entry of train.matryoshka")
        return value

    @field_validator("shard")
    @classmethod
    def _without_momentum(cls, value: bool, others: ValidationInfo) -> bool:  # noqa: FBT001
        if value and others.data["queue"].momentum:
            raise ValueError("false with train.queue.momentum: a moving average needs whole weights")
        if value and others.data["matryoshka_layers"]:
            raise ValueError("false with train.matryoshka_layers")
        return value

    @property
    def losses(self) -> dict[str, tuple[Term, ...]]:
        """The terms of the loss by task; those of "" are for all other batches."""
        return {"": terms_of(self.loss), **{task: terms_of(setting) for task, setting in self.task_losses.items()}}

    @property
    def needs(self) -> frozenset[Need]:
        """What the losses must be told of a batch."""
        return frozenset(need for terms in self.losses.values() for term in terms for need in term.needs)

    @property
    def prefixes(self) -> dict[int, float]:
        """Weight of each Matryoshka prefix by its number of dimensions."""
        return dict(zip(self.matryoshka, self.matryoshka_weights or (1.0,) * len(self.matryoshka), strict=True))

    def check_dimension(self, dimension: int) -> None:
        """Check the settings against the length of the model's vectors.

        Raises:
            BadInput: a Matryoshka prefix is no part of a vector.
        """
        if max(self.matryoshka, default=0) >= dimension:
            expected = f"numbers below the model's dimension, {dimension}"
            raise BadInput.at("train.matryoshka", expected=expected, found=str(max(self.matryoshka)),
                              do="leave it out: the whole vector is always trained")  # fmt: skip

    def warnings(self, *, static: bool) -> Iterator[str]:
        """One line for each setting outside its typical range."""
        for name, (low, high) in RANGES.items():
            value = getattr(self, name)
            if value is None or (static and name == "learning_rate"):
                continue
            if not low <= value <= high:
                yield f"train.{name} = {value:g} is outside its typical range, {low:g} to {high:g}"

    def peak_learning_rate(self, *, static: bool) -> float:
        """The learning rate given, or the default of the kind of encoder."""
        default = LORA_LEARNING_RATE if self.lora.rank else TRANSFORMER_LEARNING_RATE
        return self.learning_rate or (STATIC_LEARNING_RATE if static else default)
