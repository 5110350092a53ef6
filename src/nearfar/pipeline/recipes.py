"""Every recipe by its name: stages that have proved themselves together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from nearfar.pipeline.stages import MergeStage, MineStage, RerankStage, Stage, TeachStage, TrainStage


@dataclass(frozen=True)
class Recipe:
    """Stages, what they are for, and where they come from."""

    stages: tuple[Stage, ...]
    purpose: str
    source: str
    static: bool = False  # whether it is for token tables alone


DISTILLED = {"info_nce": 1.0, "kl_distillation": 1.0}

# Learning rates are shares of the run's own, which suits its encoder: a full transformer, LoRA, or a token table.
# Few steps want the upper half of the usual rates, and later stages less than the first (LOG.md).
RECIPES: Mapping[str, Recipe] = {
    "quick": Recipe(
        (TrainStage.of({"epochs": 1, "batch_size": 128, "evaluations": 1}, rate=2.0),),
        "one short pass over the pairs: a few minutes on two cores; the demo's",
        "van den Oord et al., 2018",
    ),
    "balanced": Recipe(
        (
            TrainStage.of({"epochs": 2, "hard_negatives": 1}),
            MineStage(negatives=3, relative_margin=0.05),
            TrainStage.of({"epochs": 1, "hard_negatives": 2}, rate=0.5),
            MergeStage(method="greedy"),
        ),
        "pairs, then hard negatives of the model's own, and the better of both models or their mean",
        "after ANCE (Xiong et al., 2021), with the margin of NV-Retriever (Moreira et al., 2024)",
    ),
    "strong": Recipe(
        (
            MineStage(model="bm25", negatives=2, rank_from=1),
            TrainStage.of({"epochs": 2, "hard_negatives": 1}),
            MineStage(negatives=4, relative_margin=0.05),
            TrainStage.of({"epochs": 1, "hard_negatives": 2}, rate=0.5),
            MineStage(negatives=6, relative_margin=0.05),
            RerankStage(),
            TeachStage(),
            TrainStage.of({"epochs": 1, "hard_negatives": 3, "loss": DISTILLED}, rate=0.25),
            MergeStage(method="greedy"),
        ),
        "hard negatives of BM25, then of the model's own in two rounds, a cross-encoder that teaches, and a soup",
        "DPR (Karpukhin et al., 2020), after ANCE (Xiong et al., 2021) and DSE, model soups (Wortsman et al., 2022)",
    ),
    "static": Recipe(
        (TrainStage.of({"epochs": 6, "batch_size": 1024, "loss": "hardness"}),),
        "a token table from nothing: large batches, more passes, hard documents of the batch weigh more",
        "after static retrieval models of Sentence Transformers (Aarsen, 2025)",
        static=True,
    ),
}
