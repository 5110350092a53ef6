"""The trainings of a run: their settings, and what refuses them before one starts."""

from __future__ import annotations

import numpy as np

from nearfar.core.errors import BadInput
from nearfar.data.batches import BatchSource
from nearfar.encoder.encoder import Encoder
from nearfar.encoder.layers import check_inner
from nearfar.encoder.precision import Policy
from nearfar.encoder.prompts import PromptsConfig
from nearfar.pipeline.config import FitConfig
from nearfar.pipeline.recipes import RECIPES
from nearfar.pipeline.stages import AugmentStage, ClozeStage, TrainStage
from nearfar.train.adapt import Adaptation, adapted
from nearfar.train.config import TrainConfig
from nearfar.train.distributed import Workers
from nearfar.train.memory import check_fits, need_of


def with_one_stage(settings: FitConfig, encoder: Encoder) -> FitConfig:
    """The same as settings of training alone, where training is the only stage: it needs no graph."""
    if settings.has_graph:
        return settings
    return settings.model_copy(update={"train": trains(settings, encoder)[0], "stages": ()})


def trains(settings: FitConfig, encoder: Encoder) -> list[TrainConfig]:
    """The settings of each training in the run."""
    if not settings.plan:
        return [settings.train]
    return [train_of(settings, stage, encoder) for stage in settings.plan if isinstance(stage, TrainStage)]


def train_of(settings: FitConfig, stage: TrainStage, encoder: Encoder) -> TrainConfig:
    """The settings of training in one stage."""
    train = settings.train_of(stage)
    peak = train.peak_learning_rate(static=encoder.is_static)
    return train if stage.rate == 1 else train.model_copy(update={"learning_rate": stage.rate * peak})


def check_recipe(settings: FitConfig, encoder: Encoder) -> None:
    """Refuse a recipe for token tables where there is none."""
    if settings.recipe and RECIPES[settings.recipe].static and not encoder.is_static:
        raise BadInput.at(f"recipe {settings.recipe}", expected="a static encoder", found=f"the base {settings.base}",
                          do="give --base static, or take another recipe")  # fmt: skip


def check_examples(settings: FitConfig, encoder: Encoder) -> None:
    """Refuse examples where queries are made of others or of documents: they would be shown their own document."""
    shown = encoder.examples is not None if settings.prompts.examples is None else settings.prompts.examples > 0
    if shown and any(isinstance(stage, AugmentStage | ClozeStage) for stage in settings.plan):
        raise BadInput.at("prompts.examples", expected="none where a stage makes queries", found="some",
                          do="set it to 0, or leave the stages 'augment' and 'cloze' out")  # fmt: skip


def check_train(train: TrainConfig, encoder: Encoder, pairs: int, workers: Workers) -> None:
    """Refuse settings that the model or the processes cannot train with."""
    workers.check_divides(min(train.batch_size, pairs), "pairs of a batch")
    check_prefixes(train, encoder)
    if train.shard and encoder.is_static:
        raise BadInput.at("train.shard", expected="a transformer to spread over processes", found="a static encoder",
                          do="leave it out")  # fmt: skip
    if train.shard and not encoder.is_shared:  # processes would gather the layers of one while others want the other's
        raise BadInput.at("train.shard", expected="one transformer to spread over processes",
                          found="one for queries and one for documents", do="leave one of the two out")  # fmt: skip


def check_prefixes(train: TrainConfig, encoder: Encoder) -> None:
    """Refuse Matryoshka dimensions and layers that the model does not have."""
    train.check_dimension(encoder.dimension)
    if train.matryoshka_layers:
        check_inner(encoder.transformers, train.matryoshka_layers)


def check_alike(workers: Workers, whole: str) -> None:
    """Raise BadInput unless all processes start from the same."""
    if workers.first(lambda: whole) != whole:
        raise BadInput.at(f"process {workers.rank}", expected="the same data and base model in every process",
                          found="others than in process 0", do="give all the same files")  # fmt: skip


def ready(settings: FitConfig, encoder: Encoder, batches: BatchSource, policy: Policy, workers: Workers) -> Adaptation:
    """See that the memory is enough for each training, and make the encoder ready for it; stages train copies.

    Raises:
        BadInput: it is not, or the encoder has no such layers or modules to train.
        MissingExtra: peft is not installed.
    """
    if not settings.has_graph:
        return _fitting(settings.train, settings.prompts, encoder, batches, policy, workers)
    for train in trains(settings, encoder):
        quick = train.lora.model_copy(update={"init": "default"})  # corda takes long, and would round the base
        made = train.model_copy(update={"lora": quick})
        _fitting(made, settings.prompts, encoder, batches, policy, workers).release()
    return Adaptation(encoder, ())


def _fitting(
    train: TrainConfig,
    prompts: PromptsConfig,
    encoder: Encoder,
    batches: BatchSource,
    policy: Policy,
    workers: Workers,
) -> Adaptation:
    adaptation = adapted(encoder, train, seen_texts(batches), policy)
    try:
        if train.lora.rank:
            check_alike(workers, encoder.fingerprint())
        if not (train.shard and workers.size > 1):  # then memory is that of parts, which nobody has measured
            need = need_of(encoder, reach_of(train, prompts, encoder), policy, len(batches), workers.size)
            check_fits(need, policy.device, workers.size)
    except BadInput:
        adaptation.release()
        raise
    return adaptation


def reach_of(train: TrainConfig, prompts: PromptsConfig, encoder: Encoder) -> TrainConfig:
    """The settings of training whose lengths are those of all that may stand before a text too."""
    longest = {"max_query_tokens": encoder.max_tokens} if prompts.examples or encoder.examples else {}
    return train.model_copy(update=longest)


def seen_texts(batches: BatchSource) -> list[str]:
    """The texts of the training pairs, each once; those of test queries stay unseen."""
    return [batches.texts[i] for i in np.unique(np.concatenate([batches.queries, batches.documents]))]
