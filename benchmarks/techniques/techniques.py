"""The techniques compared: for each, the settings of `train` that it changes, and the training pairs that it wants."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

PLAIN = "info_nce"
HARD = {"hard_negatives": 3}
REFRESH_STEPS = 30


@dataclass(frozen=True)
class Technique:
    """What is done otherwise than in plain InfoNCE."""

    train: Mapping[str, Any] = field(default_factory=dict)
    data: str = "pairs"  # pairs, or these with what was made of them before: see lab.py


def loss(setting: Any, data: str = "pairs", **train: Any) -> Technique:
    return Technique({"loss": setting, **train}, data)


LOSSES: Mapping[str, Technique] = {
    "focal": loss("focal"),
    "hardness": loss("hardness"),
    "adaptive_margin": loss("adaptive_margin"),
    "clp": loss("clp"),
    "triplet, hardest": loss("triplet"),
    "triplet, all, soft": loss({"triplet": {"negatives": "all", "margin": "soft"}}),
    "self_distillation": loss("self_distillation"),
    "self_distillation, difference": loss({"self_distillation": {"target": "difference"}}),
    "gaussian": loss("gaussian", "dot"),
    "+ uniformity": loss({"info_nce": 1, "uniformity": 0.1}),
    "+ alignment": loss({"info_nce": 1, "alignment": 0.1}),
    "+ anti_collapse": loss({"info_nce": 1, "anti_collapse": 0.1}),
}

SETTINGS: Mapping[str, Technique] = {
    "temperature 0.02": Technique({"temperature": 0.02}),
    "temperature 0.1": Technique({"temperature": 0.1}),
    "learned temperature": Technique({"learn_temperature": True}),
    "both directions": Technique({"directions": ["query_to_document", "document_to_query"],
                                  "partition": "per_direction"}),
    "batches of 64": Technique({"batch_size": 64}),
    "batches of 1024": Technique({"batch_size": 1024}),
    "queue of 2048": Technique({"queue": {"size": 2048}}),
    "mixed negatives": Technique({"mixed_negatives": {"count": 4}}),
    "matryoshka": Technique({"matryoshka": [48, 96, 192]}),
    "curriculum by overlap": Technique({"curriculum": {"by": "overlap"}}),
    "paraphrased queries": Technique(data="paraphrased"),
    "masked queries": Technique(data="masked"),
}  # fmt: skip

NEGATIVES: Mapping[str, Technique] = {
    "hard negatives of BM25": Technique(HARD, "bm25"),
    "hard negatives of a model": Technique(HARD, "mined"),
    "mined in training": Technique({**HARD, "mine": {"every_steps": REFRESH_STEPS, "relative_margin": 0.05}}),
    "hard negatives, focal": loss("focal", "mined", **HARD),
    "hard negatives, hardness": loss("hardness", "mined", **HARD),
    "triplet, explicit": loss({"triplet": {"negatives": "explicit"}}, "mined", **HARD),
    "self_distillation, explicit": loss({"self_distillation": {"negatives": "explicit"}}, "mined", **HARD),
    "hard negatives, bixse": loss("bixse", "mined", **HARD),
    "hard negatives + order": loss({"info_nce": 1, "order": 0.5}, "mined", **HARD),
}

TEACHERS: Mapping[str, Technique] = {
    "margin_mse": loss({"margin_mse": {"teacher_temperature": 0.05}}, "taught", **HARD),
    "kl_distillation": loss({"kl_distillation": {"teacher_temperature": 0.05}}, "taught", **HARD),
    "listwise_distillation": loss("listwise_distillation", "taught", **HARD),
    "soft_labels": loss({"soft_labels": {"teacher_temperature": 0.05}}, "taught", **HARD),
    "+ kl_distillation": loss({"info_nce": {}, "kl_distillation": {"teacher_temperature": 0.05}}, "taught", **HARD),
    "+ order of a teacher": loss({"info_nce": {}, "order": {"weight": 0.5, "labels": "teachers"}}, "taught", **HARD),
    "embedding_distillation": loss("embedding_distillation", "taught", **HARD),
    "embedding_distillation, relational": loss({"embedding_distillation": {"kind": "relational"}}, "taught", **HARD),
    "+ embedding_distillation": loss({"info_nce": 1, "embedding_distillation": 1}, "taught", **HARD),
}

RETRIEVAL: Mapping[str, Technique] = {PLAIN: Technique(), **LOSSES, **SETTINGS, **NEGATIVES, **TEACHERS}

SIMILARITY: Mapping[str, Technique] = {
    PLAIN: Technique(),
    "cosent": loss("cosent", "graded"),
    "pearson": loss("pearson", "graded"),
    "rank_kl": loss("rank_kl", "graded"),
    "order": loss("order", "graded"),
    "bixse": loss({"bixse": {"highest_grade": 5}}, "graded"),
    "cosent + pearson": loss({"cosent": 1, "pearson": 1}, "graded"),
    "cosent + info_nce": loss({"cosent": 1, "info_nce": 1}, "graded"),
}
