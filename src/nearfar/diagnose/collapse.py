"""Representation collapse: all texts end up in one place, or in few dimensions (guide, section 7)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from nearfar.diagnose.evidence import Evidence, Subject, Vectors
from nearfar.diagnose.finding import MOST_EXAMPLES, Example, Finding, Fix, Threshold, judge, unknown
from nearfar.diagnose.geometry import (
    DEAD,
    alignment,
    effective_rank,
    mean_cosine,
    sample,
    spread,
    uniformity,
    unit,
)

NAME = "collapse"
FEWEST = 30  # documents, and judged queries
SOURCE = "the failure zoo (benchmarks/failure_zoo)"
OVERSHOOT = Threshold("loss_overshoot", 1.15, 1.3, SOURCE)
SPREAD = Threshold("spread_kept", 0.88, 0.78, SOURCE)
COSINE = Threshold("cosine_gained", 0.35, 0.5, SOURCE)
THRESHOLDS = (
    SPREAD,
    COSINE,
    Threshold("rank_share", 0.25, 0.15, SOURCE),
    Threshold("dead_dimensions", 0.1, 0.3, SOURCE),
    OVERSHOOT,
)
USUAL_TEMPERATURE, LOWEST_TEMPERATURE = 0.05, 0.02  # guide, section 8
CONTRASTIVE = "info_nce"
SPHERE = {"spread": 1.0, "mean_cosine": 0.0}  # a fresh token table's


def diagnose(evidence: Evidence) -> Finding:
    """Look at where the model puts documents and queries.

    Figures:
        spread: mean over the dimensions of the standard deviation of the documents' unit vectors, times √d; 1 on a
            sphere, 0 where all are one.
        spread_kept: that, over the base's; 1 is the base's where it is a fresh token table.
        cosine_gained: mean cosine less the base's; less 0 where it is a fresh token table.
        rank_share: effective rank (RankMe) over the highest possible, min(n, d).
        mean_cosine: of two different documents.
        uniformity, alignment: Wang and Isola (2020).
        dead_dimensions: share of the dimensions with a spread under 0.05.
        loss_overshoot: highest loss of training over its first, or over ln(batch), that of a guess, where this is
            more: steps that are too large throw the vectors about. Of one stage of InfoNCE alone.
        ndcg: nDCG@10 of the test queries; the last loss beside it tells a loss that fell for the wrong reason.

    Good models have mean cosines of 0.7 and more where they were trained at low temperatures (E5), so that it is what
    training has changed that is judged; of a model that is no run, and has no base beside it, only rank and dimensions.
    """
    model = evidence.model
    if model is None:
        return unknown(NAME, "a model")
    if len(model.documents) < FEWEST:
        return unknown(NAME, f"at least {FEWEST} documents, found {len(model.documents)}")
    figures = measured(model.documents)
    if evidence.base is not None:
        figures |= changed(figures, measured(evidence.base.documents))
    elif evidence.course.steps:
        figures |= changed(figures, SPHERE)
    if len(evidence.test):
        figures |= _of_pairs(evidence, model)
    verdict, causes = judge(figures, THRESHOLDS)
    seen = f"documents fill {figures['rank_share']:.0%} of the dimensions, their spread is {figures['spread']:.2f}"
    summary = "; ".join(causes) if causes else f"{seen} of a sphere's"
    examples = _examples(evidence, model) if causes else ()
    return Finding(NAME, verdict, summary, figures, THRESHOLDS, examples, _fix(evidence, figures) if causes else Fix())


def measured(documents: Vectors) -> dict[str, float]:
    """The figures of the documents' vectors alone, (n, d)."""
    rows = unit(sample(documents))
    spreads = spread(rows)
    return {
        "spread": float(spreads.mean()),
        "rank_share": effective_rank(rows) / min(rows.shape),
        "mean_cosine": mean_cosine(rows),
        "uniformity": uniformity(rows),
        "dead_dimensions": float((spreads < DEAD).mean()),
    }


def changed(figures: Mapping[str, float], before: Mapping[str, float]) -> dict[str, float]:
    """What training has made of the spread and the mean cosine."""
    return {"spread_kept": figures["spread"] / max(before["spread"], DEAD),
            "cosine_gained": figures["mean_cosine"] - before["mean_cosine"]}  # fmt: skip


def chance_of(settings: Mapping[str, Any], *, stages: int = 0) -> float | None:
    """InfoNCE of a guess among the documents of a batch; None where the loss is another, or there are several stages.

    Args:
        settings: of training, as in the YAML.
    """
    if settings.get("loss", CONTRASTIVE) != CONTRASTIVE or settings.get("task_losses") or stages > 1:
        return None
    queue = settings.get("queue") or {}
    return math.log(max(2, int(settings.get("batch_size", 0)) + int(queue.get("size", 0))))


def _of_pairs(evidence: Evidence, model: Subject) -> dict[str, float]:
    relevant = evidence.test.relevant
    queries, documents = model.test[relevant.row_of_value()], model.documents[relevant.values]
    figures = {"alignment": alignment(unit(queries), unit(documents)), "ndcg": float(model.ndcg.mean())}
    if evidence.course.losses:
        losses = evidence.course.losses
        figures["last_loss"] = float(np.mean(losses[-5:]))
        if chance := chance_of(evidence.settings, stages=len(evidence.stages)):
            figures["loss_overshoot"] = max(losses) / max(losses[0], chance)
    return figures


def _examples(evidence: Evidence, model: Subject) -> tuple[Example, ...]:
    """Pairs of documents that the model holds for the same and that share no relevant query."""
    rows = np.random.default_rng(0).permutation(len(model.documents))[: 4 * MOST_EXAMPLES]
    cosines = unit(model.documents[rows]) @ unit(model.documents[rows]).T
    first, second = np.triu_indices(len(rows), 1)
    nearest = np.argsort(-cosines[first, second], kind="stable")[:MOST_EXAMPLES]
    return tuple({"document": evidence.documents[rows[first[i]]], "other": evidence.documents[rows[second[i]]],
                  "cosine": float(cosines[first[i], second[i]])} for i in nearest)  # fmt: skip


def _fix(evidence: Evidence, figures: Mapping[str, float]) -> Fix:
    """What the settings and the course of training point to; a term against collapse where they point to nothing."""
    patch: dict[str, Any] = {}
    advice: list[str] = []
    if OVERSHOOT.verdict(figures.get("loss_overshoot", 0.0)) != "ok":
        patch["learning_rate"] = None
        advice.append("the default learning rate")
    if float(evidence.settings.get("temperature", USUAL_TEMPERATURE)) < LOWEST_TEMPERATURE:
        patch["temperature"] = USUAL_TEMPERATURE
        advice.append(f"a temperature of {USUAL_TEMPERATURE}")
    if evidence.settings.get("loss", CONTRASTIVE) != CONTRASTIVE:
        patch["loss"] = CONTRASTIVE
        advice.append("InfoNCE, which keeps different documents apart")
    elif not patch:
        patch["loss"] = {CONTRASTIVE: 1.0, "anti_collapse": 0.1}
        advice.append("a term that keeps different documents apart")
    return Fix({"train": patch}, f"train again with {' and '.join(advice)}")
